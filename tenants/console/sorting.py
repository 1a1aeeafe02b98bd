"""Lists in the order of a column, by plain links (``?sort=name`` or ``?sort=-name``), page by page.

A page starts right after the last row of the one before, as in ``tenants.access.pagination``: the
cursor holds that row's value and id, and the order that they are of. Only columns that a list
declares can be asked for; a list that may be long declares only those that an index serves.
"""

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson
from django.db.models import Model, Q, QuerySet
from django.db.models.expressions import Combinable
from django.http import QueryDict

from tenants.access.pagination import make_cursor, page, read_cursor

#: How many of what a search finds are put in order; more stay newest first.
MOST_FOUND = 500


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a list can be sorted by.

    Attributes:
        by: what is compared. None: the id, and so when a row was made.
        is_nullable: rows without a value come last, whatever the direction.
    """

    by: Combinable | None
    is_nullable: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """What a list is sorted by; ``name`` is a column's."""

    name: str
    is_descending: bool

    def __str__(self) -> str:
        return f"-{self.name}" if self.is_descending else self.name


@dataclass(frozen=True, slots=True)
class SortedPage[M: Model]:
    """A few rows, the cursor of the page after, and their order.

    Attributes:
        is_refused: an order was asked for, but a search has found too much to be sorted.
    """

    rows: Sequence[M]
    next: str | None
    order: Order
    is_refused: bool = False


type Find = Callable[[UUID | None, int], Sequence[UUID]]

#: How lists come when nothing is asked for.
NEWEST = Order("created", is_descending=True)
#: What every list can be sorted by: when its rows were made.
CREATED = {"created": Column(None)}


def order_of(asked: str, columns: Container[str], usual: Order = NEWEST) -> Order:
    """Read an order; what no column declares is the usual one."""
    name = asked.removeprefix("-")
    return Order(name, asked.startswith("-")) if name in columns else usual


def sorted_page[M: Model](
    rows: QuerySet[M],
    columns: dict[str, Column],
    asked: QueryDict,
    *,
    limit: int,
    find: Find | None = None,
) -> SortedPage[M]:
    """Read one page in the order that is asked for, inside a scope.

    Args:
        rows: what is listed.
        columns: by name; ``created`` among them.
        asked: ``sort`` and ``cursor``.
        limit: rows of a page.
        find: gives ids of what a search finds, newest first, as ``pagination.page`` takes it.

    Raises:
        Invalid: ``cursor_invalid``: not a cursor of this order.
    """
    order = order_of(asked.get("sort", ""), columns)
    cursor = asked.get("cursor")
    is_refused = False
    if find is not None and order != NEWEST:
        found = find(None, MOST_FOUND + 1)
        is_refused = len(found) > MOST_FOUND
        rows = rows.filter(pk__in=found)
    if order == NEWEST or is_refused:
        plain = page(rows, limit=limit, cursor=cursor, find=find)
        return SortedPage(plain.rows, plain.next, NEWEST, is_refused)
    place = read_cursor(cursor, lambda octets: _place(octets, order)) if cursor else None
    read = _read(rows, columns[order.name], order, place, limit + 1)
    shown, last = read[:limit], read[limit - 1 : limit]
    after = None
    if len(read) > limit:
        value = getattr(last[0], "sort_value", None)
        after = make_cursor(orjson.dumps([str(order), value, str(last[0].pk)]))
    return SortedPage(shown, after, order)


def _place(octets: bytes, order: Order) -> tuple[Any, UUID]:
    """Read where a page starts.

    Raises:
        ValueError: it is a place in another order.
    """
    match orjson.loads(octets):
        case [str() as of, value, str() as row_id] if of == str(order):
            return value, UUID(row_id)
    raise ValueError("of another order")


def _read[M: Model](
    rows: QuerySet[M], column: Column, order: Order, place: tuple[Any, UUID] | None, most: int
) -> list[M]:
    way, sign = ("lt", "-") if order.is_descending else ("gt", "")
    after = Q() if place is None else Q(**{f"pk__{way}": place[1]})
    if column.by is None:
        return list(rows.filter(after).order_by(f"{sign}pk")[:most])
    compared: Any = rows.annotate(sort_value=column.by)
    found: list[M] = []
    if place is None or place[0] is not None:
        valued = compared.filter(sort_value__isnull=False) if column.is_nullable else compared
        if place is not None:
            # The first condition is what an index starts by; the second settles what is equal.
            valued = valued.filter(
                Q(**{f"sort_value__{way}e": place[0]}),
                Q(**{f"sort_value__{way}": place[0]}) | after,
            )
        found = list(valued.order_by(f"{sign}sort_value", f"{sign}pk")[:most])
        after = Q()
    if column.is_nullable and len(found) < most:
        empty = compared.filter(after, sort_value__isnull=True)
        found += empty.order_by(f"{sign}pk")[: most - len(found)]
    return found
