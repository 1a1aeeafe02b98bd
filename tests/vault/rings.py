"""Keyrings of keys that tests make up."""

import base64
import os

import psycopg

from tenants.vault.aead import AeadKey
from tenants.vault.keyring import Keyring
from tenants.vault.keys import LocalKey
from tests.postgres import owner_url


def ring_of(*keys: AeadKey) -> Keyring:
    """Put local keys on a ring, newest first."""
    return Keyring({key.key_id: LocalKey(key) for key in keys})


def some_key(key_id: str) -> AeadKey:
    """Make a local key."""
    return AeadKey(key_id, os.urandom(32))


def forget(*key_ids: str) -> None:
    """Delete what made-up master keys wrapped: other tests' keyrings know nothing of them."""
    with psycopg.connect(owner_url()) as owner:
        for key_id in key_ids:
            header = bytes([1, len(key_id)]) + key_id.encode()
            for table in ("organizations_datakey", "organizations_intakekey"):
                owner.execute(
                    f"DELETE FROM {table} WHERE substring(wrapped FOR %s) = %s",
                    [len(header), header],
                )
            owner.execute(
                "DELETE FROM mfa_authenticator"
                " WHERE coalesce(data->>'secret', data->>'seed') LIKE %s",
                [f"sealed:{_beginning(header)}%"],
            )


def _beginning(header: bytes) -> str:
    """What base64 makes of whole groups of it."""
    return base64.b64encode(header[: len(header) // 3 * 3]).decode()
