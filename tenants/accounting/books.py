"""What our own ledger says of a month as somebody else counts it: their month has its own edges.

Mistral's month is in UTC. Our roll-ups are of the organization's local month; the few hours between
the two are read from the events, and shown as what they are: an edge, not a difference.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Q, Sum, Value
from django.db.models.functions import Coalesce, NullIf

from tenants.accounting.comparing import Ours
from tenants.accounting.figures import Place
from tenants.common.months import Month
from tenants.organizations.models import Organization
from tenants.registry import catalog
from tenants.spend import pricebook
from tenants.spend.calls import Category
from tenants.spend.models import SpendLine, UsageEvent
from tenants.spend.pricing import Meter, Prices

_ZERO = Decimal(0)
_EDGE = timedelta(hours=36)
_COUNTS = (
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "pages",
    "annotated_pages",
    "audio_seconds",
    "characters",
)


@dataclass(frozen=True, slots=True)
class Books:
    """Our side.

    Attributes:
        places: in their month.
        total: of our own month, as reports show it. ``edge``: what their month has more than it.
    """

    places: Mapping[Place, Ours]
    total: Decimal
    edge: Decimal


def read(organization: Organization, month: Month, starts_at: datetime, ends_at: datetime) -> Books:
    """Read our side of a month that begins and ends at these instants, inside a snapshot scope."""
    own = SpendLine.objects.filter(organization=organization, period=month.first_day)
    rows = list(_summed(own, "mistral_model", estimated=True))
    total = sum((row["amount"] or _ZERO for row in rows), _ZERO)
    edges = [
        *((1, row) for row in _inside(organization, month, starts_at, ends_at)),
        *((-1, row) for row in _outside(organization, month, starts_at, ends_at)),
    ]
    edge = sum((sign * (row["amount"] or _ZERO) for sign, row in edges), _ZERO)
    signed = [*((1, row) for row in rows), *edges]
    return Books(_places(signed, organization, ends_at), total, edge)


def utc_month(month: Month) -> tuple[datetime, datetime]:
    """Find Mistral's own month."""
    first, after = month.first_day, month.next().first_day
    return (
        datetime(first.year, first.month, 1, tzinfo=UTC),
        datetime(after.year, after.month, 1, tzinfo=UTC),
    )


def _outside(
    organization: Organization, month: Month, starts_at: datetime, ends_at: datetime
) -> Iterable[Mapping[str, Any]]:
    """Sum the events of our month that are not in theirs."""
    windows = Q(occurred_at__gte=starts_at - _EDGE, occurred_at__lt=starts_at) | Q(
        occurred_at__gte=ends_at, occurred_at__lt=ends_at + _EDGE
    )
    return _of_events(organization, windows & Q(period=month.first_day))


def _inside(
    organization: Organization, month: Month, starts_at: datetime, ends_at: datetime
) -> Iterable[Mapping[str, Any]]:
    """Sum the events of their month that are not in ours."""
    windows = Q(occurred_at__gte=starts_at, occurred_at__lt=starts_at + _EDGE) | Q(
        occurred_at__gte=ends_at - _EDGE, occurred_at__lt=ends_at
    )
    return _of_events(organization, windows & ~Q(period=month.first_day))


def _of_events(organization: Organization, chosen: Q) -> Iterable[Mapping[str, Any]]:
    events = UsageEvent.objects.filter(chosen, organization=organization).annotate(
        snapshot=Coalesce(NullIf("answered_model", Value("")), "requested_model")
    )
    return _summed(events, "snapshot", estimated=False)


def _summed(rows: Any, model: str, *, estimated: bool) -> Iterable[Mapping[str, Any]]:
    sums: dict[str, Any] = {f"sum_{name}": Sum(name) for name in _COUNTS}
    if estimated:
        sums["sum_estimated"] = Sum("cost", filter=Q(is_estimated=True))
        sums["sum_unpriced"] = Sum("events", filter=Q(is_unpriced=True))
    names = ("category", model, "workspace_id")
    billed = rows.exclude(category=Category.FREE).order_by()  # nobody's bill has it
    found: Iterable[Mapping[str, Any]] = (
        billed.values(*names).annotate(**sums, amount=Sum("cost")).order_by(*names)
    )
    return [{**row, "mistral_model": row[model]} for row in found]


def _places(
    rows: Iterable[tuple[int, Mapping[str, Any]]], organization: Organization, at: datetime
) -> dict[Place, Ours]:
    sums: dict[Place, dict[str, Any]] = defaultdict(lambda: defaultdict(int))
    for sign, row in rows:
        snapshot = catalog.canonical(row["mistral_model"])
        workspace_id: UUID = row["workspace_id"]
        found = sums[Place(row["category"], snapshot, workspace_id)]
        found["amount"] += sign * (row["amount"] or _ZERO)
        for name in (*_COUNTS, "estimated", "unpriced"):
            found[name] += sign * (row.get(f"sum_{name}") or 0)
    book, last = pricebook.of_organization(organization.pk), at - timedelta(microseconds=1)
    return {
        place: _ours(found, book.prices_for(place.mistral_model, organization.currency, last))
        for place, found in sums.items()
    }


def _ours(found: Mapping[str, Any], prices: Prices) -> Ours:
    cached = int(found["cached_tokens"])
    meters = {
        Meter.INPUT: int(found["prompt_tokens"]) - cached,
        Meter.CACHED_INPUT: cached,
        Meter.OUTPUT: int(found["completion_tokens"]),
        Meter.PAGE: int(found["pages"]),
        Meter.ANNOTATED_PAGE: int(found["annotated_pages"]),
        Meter.AUDIO_SECOND: int(found["audio_seconds"]),
        Meter.CHARACTER: int(found["characters"]),
    }
    return Ours(
        amount=Decimal(found["amount"]),
        estimated=Decimal(found["estimated"]),
        unpriced=int(found["unpriced"]),
        meters={meter: count for meter, count in meters.items() if count},
        prices=prices,
    )
