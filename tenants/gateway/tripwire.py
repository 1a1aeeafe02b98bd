"""The leak tripwire's hook in the gateway: one look at what passes, and more only at a suspect.

Prompts and whole answers are masked before they go on. Of a stream, each piece is masked as it
passes; a secret that Mistral spells out over several events is found when the stream is over, and
only told, because what was said cannot be taken back.
"""

import asyncio
from typing import Any
from uuid import UUID

from django.db import connection

from tenants.keys import tripwire
from tenants.keys.tripwire import MOST_SUSPECTS, Place, Suspect, suspects

__all__ = ["MOST_SUSPECTS", "Place", "Spoken", "screen", "suspects"]

_CONTENT, _COMPACT, _SPACED = b'"content":', b'"', b' "'
_BACKSLASH = ord("\\")
_MOST_SPOKEN = 1024 * 1024


async def screen(
    text: bytes,
    found: list[Suspect],
    *,
    seen_in: UUID,
    place: Place,
    is_too_late: bool = False,
) -> bytes:
    """Mask and report what really is a secret, in a thread."""
    return await asyncio.to_thread(_screen, text, found, seen_in, place, is_too_late)


class Spoken:
    """What a stream says, put together from its events; bounded, and only to be looked at."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length = 0

    def hear(self, chunk: bytes) -> bool:
        """Take the texts that lie whole in a chunk; True when one is as long as a secret."""
        longest = 0
        start = chunk.find(_CONTENT)
        while start >= 0:
            start += len(_CONTENT)
            start += 1 if chunk.startswith(_COMPACT, start) else len(_SPACED)
            stop = chunk.find(_COMPACT, start)
            while stop > 0 and chunk[stop - 1] == _BACKSLASH:
                stop = chunk.find(_COMPACT, stop + 1)
            if stop < 0:
                break
            longest = max(longest, stop - start)
            if self._length < _MOST_SPOKEN:
                self._parts.append(chunk[start:stop])
                self._length += stop - start
            start = chunk.find(_CONTENT, stop)
        return longest >= tripwire.KEY_LENGTH

    async def judge(self, seen_in: UUID) -> None:
        """Report what was spelt out over several events; each is told once a day anyway."""
        text = b"".join(self._parts)
        if found := suspects(text):
            await screen(text, found, seen_in=seen_in, place=Place.ANSWER, is_too_late=True)


def _screen(*facts: Any) -> bytes:
    text, found, seen_in, place, is_too_late = facts
    try:
        return tripwire.screen(text, found, seen_in=seen_in, place=place, is_too_late=is_too_late)
    finally:
        connection.close()
