"""Keeps one large body from holding up everybody: its reading is bounded, and done in a thread.

All callers of a process share one event loop. What is read of a small body takes microseconds; of
one of thirty megabytes it could take seconds, if it was made for that. So a body may have so many
values at most, and one that is not small is read in a thread, where large ones wait for each other,
in turns between organizations, and nobody for them.
"""

import re
from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID

from tenants.common.problems import Invalid
from tenants.gateway.turns import Turns

#: Bytes up to which a body is read at once: handing it over would take longer.
LIGHT = 64 * 1024
#: Values of one body: a job of ten thousand lines has half as many, a full context a tenth.
MOST_VALUES = 250_000
#: Bytes that are searched at once: no other thread runs until one search is over, and the slowest
#: of ours take some milliseconds for so many.
SLICE = 256 * 1024
_VALUE_MARKS = (b",", b"{", b"[")

_turns = Turns("gateway-weighing")


async def apart[**Arguments, Result](
    whose: UUID,
    size: int,
    work: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Do work on a body of so many bytes: at once if it is small, else when it is its turn."""
    if size <= LIGHT:
        return work(*args, **kwargs)
    return await _turns.do(whose, partial(work, *args, **kwargs))


def slices(text: bytes) -> Iterator[bytes]:
    """Cut JSON into pieces that are searched one by one, and never behind an escaping backslash."""
    start = 0
    while start < len(text):
        piece = text[start : start + SLICE]
        if (len(piece) - len(piece.rstrip(b"\\"))) % 2:
            piece += text[start + SLICE : start + SLICE + 1]
        yield piece
        start += len(piece)


def count[Text: (bytes, str)](text: Text, mark: Text) -> int:
    """Count one character, slice by slice."""
    if len(text) <= SLICE:
        return text.count(mark)
    return sum(text.count(mark, at, at + SLICE) for at in range(0, len(text), SLICE))


def holds(text: bytes, words: bytes) -> bool:
    """Tell whether some words stand in a text, slice by slice."""
    if len(text) <= SLICE:
        return words in text
    more = SLICE + len(words) - 1
    return any(text.find(words, at, at + more) >= 0 for at in range(0, len(text), SLICE))


def finds(pattern: re.Pattern[bytes], longest: int, text: bytes) -> bool:
    """Tell whether a pattern, which matches so many bytes at most, is in a text, slice by slice."""
    if len(text) <= SLICE:
        return pattern.search(text) is not None
    more = SLICE + longest - 1
    return any(pattern.search(text, at, at + more) for at in range(0, len(text), SLICE))


def refuse_complex(body: bytes) -> None:
    """Refuse a body with more values than anybody has reason to send; it may be no JSON at all.

    Nearly always it is three counts. Only where text has many of the marks that part values, what
    stands outside of text is looked at.

    Raises:
        Invalid: it has too many.
    """
    if _values(body) <= MOST_VALUES:
        return
    values = inside = 0
    for piece in slices(body):
        quoted = piece.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')
        values += _values(b"".join(quoted[inside::2]))
        inside = (inside + len(quoted) - 1) % 2
        if values > MOST_VALUES:
            raise Invalid(
                "too_complex", f"The body has more than {MOST_VALUES} values. Send it in parts."
            )


def _values(text: bytes) -> int:
    return sum(count(text, mark) for mark in _VALUE_MARKS)
