"""Envelope encryption: secrets under a data key, data keys under the keyring.

Both layers are bound to a *place*: who owns the box, which row and slot it sits in, and its
version. A box copied to another row, slot, workspace or organization does not open there.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from tenants.common.secrets import Secret
from tenants.vault.aead import KEY_BYTES, AeadKey, key_id_of
from tenants.vault.keyring import keyring

_DATA_KEY_ID = "d"


@dataclass(frozen=True)
class Place:
    """Where a box belongs; all of it is associated data.

    Attributes:
        organization: the tenant.
        workspace: its workspace, or None for a box of the whole organization.
        row: the row that holds the box.
        slot: which column, or which purpose.
        version: of the secret in that slot, from 1.
    """

    organization: UUID
    workspace: UUID | None
    row: UUID
    slot: str
    version: int

    def associated(self) -> bytes:
        """Encode unambiguously: every field with its length."""
        # Named one by one: dataclasses.astuple copies every value deeply, for longer than it takes
        # to encrypt.
        parts = (self.organization, self.workspace, self.row, self.slot, self.version)
        fields = [str(part or "").encode() for part in parts]
        return b"".join([len(field).to_bytes(2) + field for field in fields])


def new_data_key(place: Place) -> bytes:
    """Make a data key and return it wrapped by the newest master key.

    Raises:
        KeyringUnavailableError: the master key cannot be asked now; so does everything below.
    """
    return keyring().wrap(Secret(os.urandom(KEY_BYTES)), place.associated())


def rewrap(data_key: bytes, place: Place) -> bytes:
    """Return a data key wrapped by the newest master key; the same bytes when it is already.

    Raises:
        OpeningError: it does not open in this place, or its master key is gone.
    """
    if master_key_of(data_key) == keyring().newest_id:
        return data_key
    associated = place.associated()
    return keyring().wrap(keyring().unwrap(data_key, associated), associated)


def check(data_key: bytes, place: Place) -> None:
    """Open a data key and drop it.

    Raises:
        OpeningError: it does not open in this place, or its master key is gone.
    """
    keyring().unwrap(data_key, place.associated())


def master_key_of(data_key: bytes) -> str:
    """Tell which master key wrapped a data key.

    Raises:
        OpeningError: no box of ours.
    """
    return key_id_of(data_key)


def seal(plain: Secret[str], *, data_key: bytes, data_key_place: Place, place: Place) -> bytes:
    """Seal a secret under a wrapped data key.

    Raises:
        OpeningError: the data key itself does not open.
    """
    key = _unwrapped(data_key, data_key_place)
    return key.seal(plain.reveal().encode(), place.associated())


def open_box(box: bytes, *, data_key: bytes, data_key_place: Place, place: Place) -> Secret[str]:
    """Open a sealed secret in its place.

    Raises:
        OpeningError: either layer is altered, misplaced, or its master key is gone.
    """
    key = _unwrapped(data_key, data_key_place)
    return Secret(key.open(box, place.associated()).decode())


def fingerprint(plain: Secret[str]) -> bytes:
    """HMAC-SHA-256 of a secret: equal secrets are recognised, nothing else can be learned.

    The HMAC key is derived from SECRET_KEY (HKDF, RFC 5869), apart from any encryption key.
    """
    return hmac.digest(_fingerprint_key(), plain.reveal().encode(), hashlib.sha256)


def _unwrapped(data_key: bytes, place: Place) -> AeadKey:
    return AeadKey(_DATA_KEY_ID, keyring().unwrap(data_key, place.associated()).reveal())


@cache
def _fingerprint_key() -> bytes:
    derivation = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"aim/fingerprint/1")
    return derivation.derive(settings.SECRET_KEY.encode())
