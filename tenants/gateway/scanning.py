"""Reads a file of batch requests on its way to Mistral, line by line, to count what it can use.

Every line is parsed: what is counted is what Mistral will read. Lines end with a line feed, perhaps
after a carriage return, and with nothing else. A file with a line that does not parse, says a
member twice or could be cut into other lines is not counted, and a job that names it is refused.
Nothing of the file is kept but counts and names; one line at most is in memory. All files are
counted in one thread, a few lines at a time and in turns between organizations: many of them slow
other callers no more than one.
"""

import time
from functools import partial
from typing import Any
from uuid import UUID

import orjson

from tenants.common.problems import Problem
from tenants.gateway import contents, weighing
from tenants.gateway.tally import Tally
from tenants.gateway.turns import Turns

#: Marks facts that were counted by parsing: what was counted otherwise does not count.
COUNTED = "counted_parts"
_LONGEST_LINE = 8 * 1024 * 1024
#: Mistral takes a million requests in a batch.
MOST_LINES = 1_000_000
#: Above this many bytes or lines they are counted in the thread.
_AT_ONCE, _LINES_AT_ONCE = 16 * 1024, 50
#: After so many lines the thread lets others have the processor for so many seconds.
_SLICE, _PAUSE = 100, 0.001
_BLANK = b" \t\r\n"
_BEGINNINGS = b"{" + _BLANK
#: A quotation mark as some encoders escape it, and a backslash as all do.
_HIDDEN_MARK, _BACKSLASH = b"\\u0022", b"\\\\"

_turns = Turns("gateway-counting")


class _Faulty(Exception):  # noqa: N818 - reads as what a line is
    """What is wrong with a line."""


class BatchScan:
    """What the lines of one batch file, which an organization sends, can use at most."""

    def __init__(self, whose: UUID) -> None:
        self._whose = whose
        self._tally = Tally()
        self._partial = bytearray()
        self._ready = bytearray()
        self._line = 0
        self._size = 0
        self._is_over = False
        self._fault = ""

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the file; ``catch_up`` looks at them."""
        if not self._size and data[:1] not in _BEGINNINGS:
            self._give_up(1, "does not begin an object of JSON")  # and need not be kept
        self._size += len(data)
        if self._fault:
            return
        end = data.rfind(b"\n") + 1
        if end:
            self._ready += self._partial
            self._ready += data[:end]
            self._partial = bytearray(data[end:])
        else:
            self._partial += data
        if len(self._partial) > _LONGEST_LINE:
            ahead = self._ready.count(b"\n")
            self._give_up(self._line + ahead + 1, _too_long())

    @property
    def kept(self) -> int:
        """How many bytes wait to be looked at."""
        return len(self._partial) + len(self._ready)

    async def catch_up(self, *, is_over: bool = False) -> None:
        """Count the lines that have passed whole; ``is_over`` tells that nothing will follow."""
        self._is_over = is_over
        if is_over and self._partial:
            self._ready += self._partial
            self._partial = bytearray()
        if self._ready and not self._fault:
            lines, self._ready = bytes(self._ready), bytearray()
            if len(lines) > _AT_ONCE or lines.count(b"\n") > _LINES_AT_ONCE:
                await _turns.do(self._whose, partial(self._count, lines))
            else:
                self._count(lines)

    def facts(self) -> dict[str, Any]:
        """Tell what was found; without ``COUNTED`` nothing is known of the lines."""
        facts: dict[str, Any] = {"bytes": self._size}
        if self._fault:
            return {**facts, "fault": self._fault, "line": self._line}
        if not self._is_over:
            return facts
        return {**facts, COUNTED: True, **self._tally.facts()}

    def _count(self, lines: bytes) -> None:
        for line in lines.removesuffix(b"\n").split(b"\n"):
            self._line += 1
            if self._line > MOST_LINES:
                self._give_up(self._line, f"is one more than the {MOST_LINES} that are counted")
                return
            if not self._line % _SLICE:
                time.sleep(_PAUSE)
            try:
                _add(self._tally, line.removesuffix(b"\r"))
            except _Faulty as fault:
                self._give_up(self._line, str(fault))
                return

    def _give_up(self, line: int, why: str) -> None:
        self._line, self._fault = line, why
        self._partial, self._ready = bytearray(), bytearray()


def _add(tally: Tally, line: bytes) -> None:
    """Count one line; an empty one is none.

    Raises:
        _Faulty: it cannot be counted.
    """
    if not line.strip(_BLANK):
        return
    if b"\r" in line:
        raise _Faulty("holds a carriage return, at which it could be cut")
    if len(line) > _LONGEST_LINE:
        raise _Faulty(_too_long())
    request, fault = _parsed(line)
    if fault:  # raised here and not there: the parser's error carries the whole line
        raise _Faulty(fault)
    try:
        tally.add(request, len(line))
        has_twins = _has_twins(line, request)
    except Problem as problem:
        raise _Faulty(f"cannot be counted: {problem.detail}") from None
    if has_twins:
        raise _Faulty("says a member twice")


def _parsed(line: bytes) -> tuple[Any, str]:
    """Parse a line, or tell why not."""
    try:
        if len(line) > weighing.LIGHT:
            weighing.refuse_complex(line)
        return orjson.loads(line), ""
    except Problem:
        return None, f"has more than {weighing.MOST_VALUES} values"
    except orjson.JSONDecodeError as error:
        return None, f"is not valid JSON in UTF-8 ({error.msg}, at character {error.pos})"


def _has_twins(line: bytes, request: object) -> bool:
    """Tell whether a line has a member twice: of two, one is read.

    Written anew, a line has as many quotation marks, in whatever way those in texts are escaped,
    but for those of what was not read.

    Raises:
        Invalid: it is nested too deeply.
    """
    return contents.dumped(request).count(b'"') != line.count(b'"') + _hidden_marks(line)


def _hidden_marks(line: bytes) -> int:
    """Count quotation marks that are escaped by their number."""
    hidden = line.count(_HIDDEN_MARK)
    if not hidden or _BACKSLASH + _HIDDEN_MARK[1:] not in line:
        return hidden
    # Some are text that says so: a backslash, and the number.
    pieces = (piece.replace(_BACKSLASH, b"") for piece in weighing.slices(line))
    return b"".join(pieces).count(_HIDDEN_MARK)


def _too_long() -> str:
    return f"is longer than {_LONGEST_LINE} bytes"
