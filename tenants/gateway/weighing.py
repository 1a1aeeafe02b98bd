"""Keeps one large body from holding up everybody: its reading is bounded, and done in a thread.

All callers of a process share one event loop. What is read of a small body takes microseconds; of
one of thirty megabytes it could take seconds, if it was made for that. So a body may have so many
values at most, and one that is not small is read in a thread, where large ones wait for each other,
in turns between organizations, and nobody for them.
"""

from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID

from tenants.common.problems import Invalid
from tenants.gateway.turns import Turns

#: Bytes up to which a body is read at once: handing it over would take longer.
LIGHT = 64 * 1024
#: Values of one body: a job of ten thousand lines has half as many, a full context a tenth.
MOST_VALUES = 250_000
#: Bytes that are searched at once: no other thread runs until one search is over.
SLICE = 1024 * 1024
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


def refuse_complex(body: bytes) -> None:
    """Refuse a body with more values than anybody has reason to send; it may be no JSON at all.

    Nearly always it is three counts. Only where text has many of the marks that part values, what
    stands outside of text is looked at; what cannot be told apart is refused too.

    Raises:
        Invalid: it has too many.
    """
    if _values(body) <= MOST_VALUES:
        return
    quoted = body.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"', 4 * MOST_VALUES)
    if _values(b"".join(quoted[::2])) > MOST_VALUES:
        raise Invalid(
            "too_complex", f"The body has more than {MOST_VALUES} values. Send it in parts."
        )


def _values(text: bytes) -> int:
    return sum(text.count(mark) for mark in _VALUE_MARKS)
