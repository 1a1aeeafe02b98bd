"""Keyrings of keys that tests make up."""

import os

from tenants.vault.aead import AeadKey
from tenants.vault.keyring import Keyring
from tenants.vault.keys import LocalKey


def ring_of(*keys: AeadKey) -> Keyring:
    """Put local keys on a ring, newest first."""
    return Keyring({key.key_id: LocalKey(key) for key in keys})


def some_key(key_id: str) -> AeadKey:
    """Make a local key."""
    return AeadKey(key_id, os.urandom(32))
