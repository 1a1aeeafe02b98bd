"""Takes from JSON what fits and leaves the rest: for answers of an API that is still changing.

Only a body that is no JSON object at all is refused. Nothing is ever quoted in an error.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tenants.mistral.errors import WireError

_MAX_TEXT = 512
_MAX_ROWS = 10_000
_MAX_NUMBER = Decimal(10) ** 15
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_DAY_LENGTH = len("2026-01-31")


@dataclass(frozen=True, slots=True)
class Listed[Row]:
    """Rows that could be read, and how many could not; ``sent`` rows came on this page."""

    rows: tuple[Row, ...]
    skipped: int = 0
    sent: int = 0
    total: int | None = None


def document_of(body: bytes) -> Mapping[str, Any]:
    """Read a body as a JSON object; numbers come as ``Decimal``.

    Raises:
        WireError: no JSON object.
    """
    try:
        document = json.loads(body, parse_float=Decimal, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        document = None
    # Raised here and not above: the parser's error carries the whole body.
    if not isinstance(document, dict):
        raise WireError("body", "a JSON object")
    return document


def listed[Row](
    value: object, read: Callable[[Mapping[str, Any]], Row | None], total: int | None = None
) -> Listed[Row]:
    """Read the rows of a list, and count those that cannot be read."""
    rows = value[:_MAX_ROWS] if isinstance(value, list) else []
    found = [read(row) if isinstance(row, dict) else None for row in rows]
    known = tuple(row for row in found if row is not None)
    return Listed(known, len(found) - len(known), len(rows), total)


def inside(document: Mapping[str, Any], path: tuple[str, ...]) -> object:
    """Follow names into objects; None where there is nothing."""
    found: object = document
    for name in path:
        found = mapping(found).get(name)
    return found


def mapping(value: object) -> Mapping[str, Any]:
    """Take an object, or an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def text(value: object) -> str:
    """Take text that a column and a log line can hold, or none."""
    if not isinstance(value, str) or len(value) > _MAX_TEXT or _CONTROL.search(value):
        return ""
    return value


def texts(value: object) -> tuple[str, ...]:
    """Take the texts of a list."""
    rows = value if isinstance(value, list | tuple) else ()
    return tuple(found for found in map(text, rows[:_MAX_ROWS]) if found)


def number(value: object) -> Decimal | None:
    """Read an amount or a quantity, told as a number or as text; never negative or absurd."""
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        found = Decimal(value)
    except ArithmeticError:
        return None
    return found if found.is_finite() and 0 <= found <= _MAX_NUMBER else None


def count(value: object) -> int | None:
    """Take a whole number."""
    found = number(value) if isinstance(value, int) else None
    return None if found is None else int(found)


def day(value: object) -> date | None:
    """Take the day of a date or an instant."""
    try:
        return date.fromisoformat(text(value)[:_DAY_LENGTH])
    except ValueError:
        return None


def instant(value: object) -> datetime | None:
    """Take an instant; one without a zone is UTC."""
    try:
        found = datetime.fromisoformat(text(value))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
