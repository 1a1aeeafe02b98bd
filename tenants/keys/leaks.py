"""Finds secrets of ours in a stream of bytes: Mistral keys by keyed fingerprint, our own tokens.

Mistral keys have no prefix, and their plaintext is nowhere to compare with. A key is 32 letters and
digits, so each window of 32 within a run of them could be one, wherever the run begins. An HMAC for
each would take minutes per gigabyte; what is computed instead, cheapest first:

1. every byte is mapped to "letter or digit" or "other"; a search for 32 in a row skips the rest;
2. a window's last four characters must be those of a key that we hold;
3. only then its fingerprint is computed, and it must be one that we hold.

So a key is never missed within a run, and never seen where there is none. NUL bytes are left out,
which finds keys in UTF-16 too. Tokens of ours are recognised by prefix and CRC-32, without a
database. Keys in base64, compressed, split over lines or of another shape are not found.

The same stream gives the same findings however it is cut into pieces. A finding never holds the
secret.
"""

import string
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.common.tokens import CHECKSUM_CHARACTERS, RANDOM_CHARACTERS, TokenKind, kind_of
from tenants.keys import custody
from tenants.keys.models import KeyReplacement, MistralKey
from tenants.organizations import walking

KEY_LENGTH = 32
_TAIL = 4
_RUN = b"a" * KEY_LENGTH
_CHARACTERS = (string.ascii_letters + string.digits).encode()
_CLASSES = bytes(0x61 if octet in _CHARACTERS else 0x20 for octet in range(256))
_PREFIXES = tuple(f"aim_{kind.value}_".encode() for kind in TokenKind)
_BODY = RANDOM_CHARACTERS + CHECKSUM_CHARACTERS
_LONGEST = max(map(len, _PREFIXES)) + _BODY
MISTRAL_KEY = "mistral_key"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a key is, and what it is good for."""

    organization_id: UUID
    key_id: UUID
    status: str


@dataclass(slots=True)
class KnownKeys:
    """The fingerprints of all keys, deleted ones too: a leak may be older than the deletion."""

    owners: dict[bytes, list[Owner]] = field(default_factory=dict)
    tails: set[bytes] = field(default_factory=set)

    def add(self, fingerprint: bytes, last4: str, owner: Owner) -> None:
        """Know a key."""
        self.owners.setdefault(fingerprint, []).append(owner)
        self.tails.add(last4.encode())


@dataclass(frozen=True, slots=True)
class Leak:
    """A secret that was found.

    Attributes:
        kind: ``mistral_key``, or a ``TokenKind`` of ours.
        last4: its last characters.
        line: where its first character is, from 1.
        owner: whose key it is; None for a token.
    """

    kind: str
    last4: str
    line: int
    owner: Owner | None


def load_known() -> KnownKeys:
    """Read the fingerprints of all organizations, one after the other."""
    known = KnownKeys()
    for organization_id in walking.organization_ids():
        with scope.tenant(organization_id):
            for row in MistralKey.objects.only("fingerprint", "last4", "status"):
                owner = Owner(organization_id, row.pk, row.status)
                known.add(bytes(row.fingerprint), row.last4, owner)
            for waiting in KeyReplacement.objects.only("fingerprint", "last4", "status", "key_id"):
                owner = Owner(organization_id, waiting.key_id, waiting.status)
                known.add(bytes(waiting.fingerprint), waiting.last4, owner)
    return known


class Matcher:
    """Looks through one stream, piece by piece.

    Args:
        known: the keys to look for; without, tokens only.
    """

    def __init__(self, known: KnownKeys | None = None) -> None:
        self._known = known or KnownKeys()
        self._carried = b""
        self._line = 1

    def feed(self, piece: bytes) -> list[Leak]:
        """Look at the next piece, and give what ends in it."""
        fresh = piece.replace(b"\0", b"")
        if not fresh:
            return []
        text = self._carried + fresh
        found = list(self._look(text, len(self._carried)))
        kept = min(len(text), _LONGEST)
        self._line += text.count(b"\n", 0, len(text) - kept)
        self._carried = text[len(text) - kept :]
        return found

    def _look(self, text: bytes, seen: int) -> Iterator[Leak]:
        """Give what ends after the first ``seen`` bytes, which were looked at before."""
        classes = text.translate(_CLASSES)
        start = classes.find(_RUN)
        while start >= 0:
            stop = classes.find(b" ", start)
            stop = len(text) if stop < 0 else stop
            yield from self._token(text, start, stop, seen)
            yield from self._keys(text, start, stop, seen)
            start = classes.find(_RUN, stop)

    def _token(self, text: bytes, start: int, stop: int, seen: int) -> Iterator[Leak]:
        end = start + _BODY
        if stop < end or end <= seen or text[start - 1 : start] != b"_":
            return
        for prefix in _PREFIXES:
            if text.endswith(prefix, 0, start):
                kind = kind_of(text[start - len(prefix) : end].decode("ascii"))
                if kind is not None:
                    last4 = text[end - _TAIL : end].decode("ascii")
                    yield Leak(kind.value, last4, self._line_at(text, start), None)

    def _keys(self, text: bytes, start: int, stop: int, seen: int) -> Iterator[Leak]:
        tails = self._known.tails
        if not tails:
            return
        for end in range(max(start + KEY_LENGTH, seen + 1), stop + 1):
            if text[end - _TAIL : end] in tails:
                yield from self._key(text, end)

    def _key(self, text: bytes, end: int) -> Iterator[Leak]:
        window = text[end - KEY_LENGTH : end].decode("ascii")
        for owner in self._known.owners.get(custody.fingerprint(Secret(window)), ()):
            line = self._line_at(text, end - KEY_LENGTH)
            yield Leak(MISTRAL_KEY, window[-_TAIL:], line, owner)

    def _line_at(self, text: bytes, position: int) -> int:
        return self._line + text.count(b"\n", 0, position)


def scan(pieces: Iterable[bytes], known: KnownKeys | None = None) -> Iterator[Leak]:
    """Look through a whole stream."""
    matcher = Matcher(known)
    for piece in pieces:
        yield from matcher.feed(piece)
