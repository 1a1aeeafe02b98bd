"""Secret: a plaintext that never prints, and refuses JSON, pickle, copies and comparison."""

import hmac
from typing import Never, final

MASK = "••••"


@final
class Secret[Plain: (str, bytes)]:
    """Carry a plaintext between custody and the wire.

    ``str``, ``repr`` and f-strings give ``••••``; pickling and copying raise TypeError, and so does
    JSON, which knows no such type. Two secrets are compared in constant time.
    """

    __slots__ = ("_plain",)

    def __init__(self, plain: Plain) -> None:
        self._plain: Plain = plain

    def reveal(self) -> Plain:
        """Give the plaintext away: call it only where the next line puts it on the wire."""
        return self._plain

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return MASK

    def __len__(self) -> int:
        return len(self._plain)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_octets(self._plain), _octets(other.reveal()))

    def __hash__(self) -> int:
        raise TypeError("a Secret is no dictionary key")

    def __reduce_ex__(self, protocol: object) -> Never:
        raise TypeError("a Secret is never serialised or copied")


def _octets(plain: str | bytes) -> bytes:
    return plain.encode() if isinstance(plain, str) else plain


def last_four(secret: Secret[str]) -> str:
    """Give the four characters by which people recognise a key."""
    return secret.reveal()[-4:]
