"""Pages of a list, newest first, by the time-ordered id; the cursor is signed and says nothing.

No page is ever counted or skipped to: each starts right after the last row of the one before, so
that rows added meanwhile move nothing.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.core.signing import BadSignature, Signer
from django.db.models import Model, QuerySet
from django.utils.translation import gettext as _

from tenants.common.problems import Invalid

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_PLACE_BYTES = 4


@dataclass(frozen=True)
class Page[M]:
    """A few rows and the cursor of the page after; None when these were the last."""

    rows: Sequence[M]
    next: str | None


def page[M: Model](
    rows: QuerySet[M],
    *,
    limit: int,
    cursor: str | None,
    find: Callable[[UUID | None, int], Sequence[UUID]] | None = None,
) -> Page[M]:
    """Read one page of a queryset, inside a scope.

    Args:
        rows: what is listed.
        limit: rows of a page.
        cursor: of this page; None for the first.
        find: gives the ids of so many rows after a place, newest first, where something else than
            the queryset knows them best.

    Raises:
        Invalid: ``cursor_invalid``: not a cursor that we gave.
    """
    before = None if cursor is None else read_cursor(cursor, _row_id)
    if find is not None:
        rows = rows.filter(pk__in=find(before, limit + 1))
    elif before is not None:
        rows = rows.filter(pk__lt=before)
    found = list(rows.order_by("-pk")[: limit + 1])
    more = len(found) > limit
    found = found[:limit]
    return Page(found, make_cursor(found[-1].pk.bytes) if more else None)


def part[M](rows: Sequence[M], *, limit: int, cursor: str | None) -> Page[M]:
    """Give one page of a short list that is known as a whole; its cursor tells a place in it.

    Raises:
        Invalid: ``cursor_invalid``: not a cursor that we gave.
    """
    start = 0 if cursor is None else read_cursor(cursor, _place)
    end = start + limit
    following = make_cursor(end.to_bytes(_PLACE_BYTES)) if end < len(rows) else None
    return Page(rows[start:end], following)


def make_cursor(place: bytes) -> str:
    """Write the cursor of the page that starts after a place."""
    return _signer().sign(urlsafe_b64encode(place).decode().rstrip("="))


def read_cursor[Place](cursor: str, read: Callable[[bytes], Place]) -> Place:
    """Read a cursor back.

    Raises:
        Invalid: ``cursor_invalid``: altered, or of another list.
    """
    try:
        text = _signer().unsign(cursor)
        return read(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (BadSignature, ValueError):
        detail = _("This cursor is not one from an answer of ours. Start without it.")
        raise Invalid.field("/cursor", "cursor_invalid", detail) from None


def _row_id(place: bytes) -> UUID:
    return UUID(bytes=place)


def _signer() -> Signer:
    return Signer(salt="aim.cursor", sep=".")


def _place(place: bytes) -> int:
    if len(place) != _PLACE_BYTES:
        raise ValueError("a cursor of another list")
    return int.from_bytes(place)
