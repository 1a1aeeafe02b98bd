"""The shape of our own tokens: ``aim_<kind>_<random><crc>``; only their digest is ever stored.

The random part has 27 base62 characters (160.8 bits). The last six are the base62 CRC-32 of all
before them, so that a scanner, or the door itself, can tell a token from noise without a database.
"""

import hashlib
import secrets
import zlib
from enum import StrEnum

from tenants.common.secrets import Secret

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
RANDOM_CHARACTERS = 27
CHECKSUM_CHARACTERS = 6
HINT_CHARACTERS = 4


class TokenKind(StrEnum):
    """Who carries a token."""

    PLATFORM = "plat"
    ORGANIZATION = "org"
    MODEL = "mdl"
    INVITATION = "inv"


def mint(kind: TokenKind) -> Secret[str]:
    """Make a new token from the system's randomness."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(RANDOM_CHARACTERS))
    stem = f"aim_{kind.value}_{body}"
    return Secret(stem + _checksum(stem))


def derive(kind: TokenKind, seed: bytes) -> Secret[str]:
    """Make the token of a seed, always the same; the seed is a keyed digest of 32 bytes."""
    value = int.from_bytes(seed)
    body = ""
    for _ in range(RANDOM_CHARACTERS):
        value, digit = divmod(value, len(_ALPHABET))
        body += _ALPHABET[digit]
    stem = f"aim_{kind.value}_{body}"
    return Secret(stem + _checksum(stem))


def kind_of(token: str) -> TokenKind | None:
    """Tell a well-formed token's kind; None for anything whose checksum does not hold."""
    stem, checksum = token[:-CHECKSUM_CHARACTERS], token[-CHECKSUM_CHARACTERS:]
    if not token.isascii() or _checksum(stem) != checksum:
        return None
    for kind in TokenKind:
        prefix = f"aim_{kind.value}_"
        if stem.startswith(prefix) and len(stem) == len(prefix) + RANDOM_CHARACTERS:
            return kind
    return None


def digest(token: str) -> bytes:
    """SHA-256 of a token: enough for 160 random bits, and what the database looks up."""
    return hashlib.sha256(token.encode()).digest()


def hint(token: Secret[str]) -> str:
    """What people may see of a token: its prefix and last four characters."""
    plain = token.reveal()
    return f"{plain[: plain.rindex('_') + 1]}…{plain[-HINT_CHARACTERS:]}"


def _checksum(stem: str) -> str:
    value = zlib.crc32(stem.encode())
    digits = ""
    for _ in range(CHECKSUM_CHARACTERS):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
