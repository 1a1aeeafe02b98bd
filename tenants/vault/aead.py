"""AES-256-GCM with a self-describing box; it refuses everything that was not sealed just so.

A box is ``version (1) ‖ len(key id) (1) ‖ key id ‖ nonce (12) ‖ ciphertext ‖ tag (16)``. The header
is associated data too, so no byte of a box can be changed (NIST SP 800-38D; nonces are random,
which keeps one key safe for 2³² boxes).

    OpeningError    it does not open: wrong key, wrong place, or altered; never says which
    └── UnknownKeyError    the keyring has no key of that id
"""

import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


class OpeningError(Exception):
    """A box that does not open; the text never says why."""

    def __init__(self) -> None:
        super().__init__("the box does not open")


class UnknownKeyError(OpeningError):
    """A box sealed with a key that is not on the keyring."""


@dataclass(frozen=True)
class AeadKey:
    """One 256-bit key and its id.

    Attributes:
        key_id: 1 to 255 ASCII characters; written into every box.
        octets: 32 random bytes; never printed.
    """

    key_id: str
    octets: bytes

    def __post_init__(self) -> None:
        if len(self.octets) != KEY_BYTES:
            raise ValueError(f"an AES-256 key has {KEY_BYTES} bytes")

    def __repr__(self) -> str:
        return f"AeadKey({self.key_id!r})"

    def seal(self, plain: bytes, associated: bytes) -> bytes:
        """Encrypt, binding the box to its associated data."""
        header = header_of(self.key_id)
        return header + encrypt(self.octets, plain, header + associated)

    def open(self, box: bytes, associated: bytes) -> bytes:
        """Decrypt a box that this key sealed with the same associated data.

        Raises:
            OpeningError: anything else.
        """
        header = header_of(self.key_id)
        if not box.startswith(header):
            raise OpeningError
        return decrypt(self.octets, box[len(header) :], header + associated)


def encrypt(octets: bytes, plain: bytes, associated: bytes) -> bytes:
    """AES-256-GCM under a fresh random nonce, which comes first."""
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(octets).encrypt(nonce, plain, associated)


def decrypt(octets: bytes, sealed: bytes, associated: bytes) -> bytes:
    """Undo ``encrypt``.

    Raises:
        OpeningError: another key, other associated data, or altered.
    """
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise OpeningError
    try:
        return AESGCM(octets).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)
    except InvalidTag:
        raise OpeningError from None


def key_id_of(box: bytes) -> str:
    """Read which key sealed a box.

    Raises:
        OpeningError: no box of ours.
    """
    if len(box) < 2 or box[0] != VERSION or not box[1] or len(box) < 2 + box[1]:  # noqa: PLR2004 - version and length
        raise OpeningError
    try:
        return box[2 : 2 + box[1]].decode("ascii")
    except UnicodeDecodeError:
        raise OpeningError from None


def header_of(key_id: str) -> bytes:
    """Write the beginning of every box that a key seals."""
    name = key_id.encode("ascii")
    return bytes([VERSION, len(name)]) + name
