"""Writes tables as CSV (RFC 4180): every one of them here, so that no cell of any is a formula."""

import csv
import io
import re
from collections.abc import Iterable

#: Excel takes UTF-8 without it for an old code page; for files that people open.
MARK = b"\xef\xbb\xbf"
#: How a formula begins for some spreadsheet: full-width signs are taken for plain ones.
_FORMULA = re.compile(r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")


def write(rows: Iterable[Iterable[object]]) -> bytes:
    """Write rows of cells in UTF-8; numbers stay numbers, also those below zero."""
    written = io.StringIO()
    csv.writer(written).writerows([harmless(cell) for cell in row] for row in rows)
    return written.getvalue().encode()


def harmless(cell: object) -> str:
    """Write a cell so that a spreadsheet reads no formula: with ``'`` before what begins as one."""
    text = "" if cell is None else str(cell)
    is_formula = _FORMULA.match(text) and not _NUMBER.fullmatch(text)
    return f"'{text}" if is_formula else text
