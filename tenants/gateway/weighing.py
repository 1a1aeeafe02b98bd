"""Keeps one large body from holding up everybody: its reading is bounded, and done in a thread.

All callers of a process share one event loop. What is read of a small body takes microseconds; of
one of thirty megabytes it could take seconds, if it was made for that. So a body may have so many
values at most, and one that is not small is read in a thread, where large ones wait for each other
and nobody for them.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from tenants.common.problems import Invalid

#: Bytes up to which a body is read at once: handing it over would take longer.
LIGHT = 64 * 1024
#: Values of one body: a job of ten thousand lines has half as many, a full context a tenth.
MOST_VALUES = 250_000
_VALUE_MARKS = (b",", b"{", b"[")

_thread = ThreadPoolExecutor(1, "gateway-weighing")


async def apart[**Arguments, Result](
    size: int,
    work: Callable[Arguments, Result],
    *args: Arguments.args,
    **kwargs: Arguments.kwargs,
) -> Result:
    """Do some work on a body of so many bytes: at once if it is small, else in the thread."""
    if size <= LIGHT:
        return work(*args, **kwargs)
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_thread, partial(work, *args, **kwargs))


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
