"""What Mistral's Admin API says a month has used, read leniently (see ``lenient``).

The published file leaves the rows free; their members are as observed on the dashboard's twin of
that path. What people use in Mistral's own products (``chat``, ``vibe_…``) is no cost of a key, and
is not read.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tenants.mistral.lenient import day, document_of, inside, instant, listed, mapping, number, text

#: Members of the answer that are about API keys, by the name that their rows get here.
_USAGE_PARTS: Mapping[str, tuple[str, ...]] = {
    "completion": ("completion", "models"),
    "ocr": ("ocr", "models"),
    "connectors": ("connectors", "models"),
    "audio": ("audio", "models"),
    "audio_characters": ("audio_characters", "models"),
    "libraries_pages": ("libraries_api", "pages", "models"),
    "libraries_tokens": ("libraries_api", "tokens", "models"),
    "libraries_audio": ("libraries_api", "audio_seconds", "models"),
    "fine_tuning": ("fine_tuning", "training"),
}


@dataclass(frozen=True, slots=True)
class UsageRow:
    """What one model used of one meter on one day, as Mistral bills it.

    Attributes:
        part: of the answer it stood in, as in ``completion`` or ``libraries_pages``.
        metric: the snapshot that is billed. ``name``: as people see it.
        group: ``input``, ``output``, ``cached``, or whatever else Mistral bills by.
        day: None when the row told none.
        value: all that was used. ``paid``: the part that is not included in the plan.
    """

    part: str
    metric: str
    name: str
    group: str
    event_type: str
    zone: str
    tier: str
    day: date | None
    value: Decimal
    paid: Decimal


@dataclass(frozen=True, slots=True)
class UnitPrice:
    """What Mistral asks this very organization for one unit."""

    event_type: str
    metric: str
    group: str
    zone: str
    tier: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class MonthUsage:
    """A month's usage; ``starts_at`` and ``ends_at`` are Mistral's own month."""

    starts_at: datetime | None
    ends_at: datetime | None
    currency: str
    rows: tuple[UsageRow, ...]
    prices: tuple[UnitPrice, ...]
    skipped: int


def read_usage_month(body: bytes) -> MonthUsage:
    """Read ``GET /v1/admin/usage``."""
    answer = document_of(body)
    rows: list[UsageRow] = []
    skipped = 0
    for part, path in _USAGE_PARTS.items():
        for row in _usage_rows(part, inside(answer, path)):
            if row is None:
                skipped += 1
            else:
                rows.append(row)
    prices = listed(answer.get("prices"), _unit_price)
    return MonthUsage(
        starts_at=instant(answer.get("start_date")),
        ends_at=instant(answer.get("end_date")),
        currency=text(answer.get("currency")).upper(),
        rows=tuple(rows),
        prices=prices.rows,
        skipped=skipped + prices.skipped,
    )


def _usage_rows(part: str, models: object) -> Iterator[UsageRow | None]:
    for key, groups in mapping(models).items():
        name, _separator, metric = str(key).rpartition("::")
        for group, rows in mapping(groups).items():
            for row in rows if isinstance(rows, list) else ():
                yield _usage_row(part, name or metric, metric, str(group), row)


def _usage_row(part: str, name: str, metric: str, group: str, row: object) -> UsageRow | None:
    told = mapping(row)
    value = number(told.get("value"))
    metric = text(told.get("billing_metric")) or text(metric)
    if value is None or not metric:
        return None
    paid = number(told.get("value_paid"))
    return UsageRow(
        part=part,
        metric=metric,
        name=text(told.get("billing_display_name")) or text(name) or metric,
        group=text(told.get("billing_group")) or text(group),
        event_type=text(told.get("event_type")),
        zone=text(told.get("api_zone")),
        tier=text(told.get("service_tier")),
        day=day(told.get("timestamp")),
        value=value,
        paid=value if paid is None else paid,
    )


def _unit_price(row: Mapping[str, Any]) -> UnitPrice | None:
    price, metric = number(row.get("price")), text(row.get("billing_metric"))
    if price is None or not metric:
        return None
    return UnitPrice(
        event_type=text(row.get("event_type")),
        metric=metric,
        group=text(row.get("billing_group")),
        zone=text(row.get("api_zone")),
        tier=text(row.get("service_tier")),
        price=price,
    )
