"""Reads spend from the events: totals, groups, and the metered calls one by one.

Every figure is a sum of events of one budget month of the organization's zone, so it can be
followed to them. Nothing here knows a prompt or an answer.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum, Value
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce, NullIf, TruncDate
from django.utils import formats
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.money import plain
from tenants.common.months import Month
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend.models import Balance, UsageEvent

_ZERO = Decimal(0)
_QUANTITIES = (
    "prompt_tokens",
    "completion_tokens",
    "cached_tokens",
    "pages",
    "audio_seconds",
    "characters",
    "requests",
)
#: What spend can be grouped by, and the members that each adds to a group.
GROUPINGS: Mapping[str, tuple[str, ...]] = {
    "category": ("category",),
    "day": ("day",),
    "model": ("model_id", "mistral_model"),
    "workspace": ("workspace_id",),
    "key": ("key_id",),
    "source": ("source",),
}
_MOST_CALLS = 200


@dataclass(frozen=True, slots=True)
class SpendGroup:
    """The events that share ``names``: their amount, quantities and how many have no price."""

    names: Mapping[str, str | date | UUID | None]
    amount: Decimal
    quantities: Mapping[str, int]
    unpriced: int


@dataclass(frozen=True, slots=True)
class SpendReport:
    """Spend of one month.

    Attributes:
        names: the members of each group, also where there is none.
        total: what the month's events cost. ``held``: worst cases of the calls going on now, which
            are not spend yet.
        estimated: the part of ``total`` that is an estimate and was not corrected since.
        unpriced: calls whose price is unknown and which ``total`` therefore lacks.
        empty_message: a sentence when there is nothing, else empty.
    """

    month: Month
    currency: str
    total: Decimal
    held: Decimal
    names: tuple[str, ...]
    groups: tuple[SpendGroup, ...]
    estimated: Decimal
    unpriced: int
    empty_message: str


@dataclass(frozen=True, slots=True)
class CallsPage:
    """Some calls, newest first, and where the next page begins (None at the end)."""

    results: tuple[UsageEvent, ...]
    next: tuple[datetime, UUID] | None


def spend_report(
    *,
    organization: Organization,
    workspace: Workspace | None = None,
    model: RegisteredModel | None = None,
    month: Month,
    group_by: Sequence[str] = (),
) -> SpendReport:
    """Sum a month's events, grouped by any of ``GROUPINGS`` in the order given.

    Raises:
        ValueError: a grouping that does not exist.
    """
    unknown = set(group_by) - set(GROUPINGS)
    if unknown:
        raise ValueError(f"no such grouping: {', '.join(sorted(unknown))}")
    names = [name for key in dict.fromkeys(group_by) for name in GROUPINGS[key]]
    with scope.tenant(organization.pk, snapshot=True):
        events = _events_of(organization, workspace, model, month)
        totals = events.aggregate(**_sums())
        groups = tuple(_group(row, names) for row in _grouped(events, names, month))
        estimated = _uncorrected(events).aggregate(amount=Coalesce(Sum("cost"), _ZERO))["amount"]
        held = _held(organization, workspace, model, month)
    empty = "" if totals["events"] else _("No usage in %(month)s") % {"month": _name(month)}
    return SpendReport(
        month=month,
        currency=organization.currency,
        total=totals["amount"],
        held=held,
        names=tuple(names),
        groups=groups,
        estimated=estimated,
        unpriced=totals["unpriced"],
        empty_message=empty,
    )


def rows_for_csv(report: SpendReport) -> Iterator[list[str]]:
    """Write a report as rows of text: a header, a row ``group`` for each, and one row ``total``.

    The figures of the month stand in columns of their own, which are empty beside a group, and the
    other way round: the sum of any column is right, whichever rows are in it.
    """
    yield [
        *("row", "month", "timezone", "currency"),
        *report.names,
        *("amount", *_QUANTITIES, "unpriced"),
        *("total", "held", "estimated", "total_unpriced"),
    ]
    common = [str(report.month), report.month.zone, report.currency]
    for group in report.groups:
        names = (group.names[name] for name in report.names)
        yield [
            "group",
            *common,
            *("" if value is None else str(value) for value in names),
            plain(group.amount),
            *(str(group.quantities[name]) for name in _QUANTITIES),
            str(group.unpriced),
            *[""] * 4,
        ]
    yield [
        "total",
        *common,
        *[""] * (len(report.names) + 1 + len(_QUANTITIES) + 1),
        *(plain(amount) for amount in (report.total, report.held, report.estimated)),
        str(report.unpriced),
    ]


def calls(
    *,
    organization: Organization,
    workspace: Workspace | None = None,
    model: RegisteredModel | None = None,
    message_id: str = "",
    before: tuple[datetime, UUID] | None = None,
    limit: int = 50,
) -> CallsPage:
    """List metered calls and their corrections, newest first.

    Args:
        organization: the tenant.
        workspace: only its calls.
        model: only its calls.
        message_id: only the calls of one AIsuru message.
        before: ``next`` of the page before.
        limit: rows a page, at most 200.
    """
    most = max(1, min(limit, _MOST_CALLS))
    with scope.tenant(organization.pk):
        events = UsageEvent.objects.filter(organization=organization, **_only(workspace, model))
        if message_id:
            events = events.filter(message_id=message_id)
        if before is not None:
            events = events.filter(pk__lt=(organization.pk, *before))
        found = list(events.order_by("-occurred_at", "-id")[: most + 1])
    results = tuple(found[:most])
    last = results[-1] if len(found) > most else None
    return CallsPage(results, (last.occurred_at, last.id) if last else None)


def _name(month: Month) -> str:
    """Name a month inside of a sentence: of our languages only English writes it with a capital."""
    name = formats.date_format(month.first_day, "F Y")
    return name if (get_language() or "").startswith("en") else name.lower()


def _only(workspace: Workspace | None, model: RegisteredModel | None) -> dict[str, UUID]:
    chosen = {}
    if workspace is not None:
        chosen["workspace_id"] = workspace.pk
    if model is not None:
        chosen["model_id"] = model.pk
    return chosen


def _events_of(
    organization: Organization,
    workspace: Workspace | None,
    model: RegisteredModel | None,
    month: Month,
) -> QuerySet[UsageEvent]:
    # The budget month was fixed when the call was made. The instants only choose partitions, with
    # room for an organization that has moved to another zone since.
    return UsageEvent.objects.filter(
        organization=organization,
        period=month.first_day,
        occurred_at__gte=month.starts_at - timedelta(days=2),
        occurred_at__lt=month.ends_at + timedelta(days=2),
        **_only(workspace, model),
    )


def _sums() -> dict[str, Combinable]:
    sums: dict[str, Combinable] = {
        f"sum_{name}": Coalesce(Sum(name), 0) for name in _QUANTITIES if name != "pages"
    }
    return sums | {
        "sum_pages": Coalesce(Sum(F("pages") + F("annotated_pages")), 0),
        "amount": Coalesce(Sum("cost"), _ZERO),
        "unpriced": Count("id", filter=Q(cost=None)),
        "events": Count("id"),
    }


def _grouped(
    events: QuerySet[UsageEvent], names: Sequence[str], month: Month
) -> Iterable[Mapping[str, Any]]:
    if not names:
        return ()
    derived: dict[str, Combinable] = {
        "day": TruncDate("occurred_at", tzinfo=ZoneInfo(month.zone)),
        "mistral_model": Coalesce(NullIf("answered_model", Value("")), "requested_model"),
    }
    wanted = {name: derived[name] for name in names if name in derived}
    labelled = events.annotate(**wanted).order_by().values(*names)
    rows: Iterable[Mapping[str, Any]] = labelled.annotate(**_sums()).order_by(*names)
    return rows


def _group(row: Mapping[str, Any], names: Sequence[str]) -> SpendGroup:
    return SpendGroup(
        names={name: row[name] for name in names},
        amount=row["amount"],
        quantities={name: row[f"sum_{name}"] for name in _QUANTITIES},
        unpriced=row["unpriced"],
    )


def _uncorrected(events: QuerySet[UsageEvent]) -> QuerySet[UsageEvent]:
    corrections = UsageEvent.objects.filter(
        organization=OuterRef("organization"),
        occurred_at=OuterRef("occurred_at"),
        corrects=OuterRef("id"),
    )
    return events.filter(~Q(estimate=""), ~Exists(corrections))


def _held(
    organization: Organization,
    workspace: Workspace | None,
    model: RegisteredModel | None,
    month: Month,
) -> Decimal:
    subject = model or workspace or organization
    balance = Balance.objects.filter(
        organization=organization, subject_id=subject.pk, period=month.first_day
    ).first()
    return balance.held if balance else _ZERO
