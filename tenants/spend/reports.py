"""Reads spend from the roll-ups and their tail: totals, groups, months, and where a month stands.

Every figure is a sum of lines of one budget month of the organization's zone, as fresh as the
ledger, and can be followed to its events (``drilldown``). All of one report is read in one
snapshot, and its total is the sum of its groups because it is computed from them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet, Sum
from django.utils import formats, timezone
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.money import plain
from tenants.common.months import Month
from tenants.common.prepared import Prepared
from tenants.common.problems import Invalid
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend import forecast, limits
from tenants.spend.forecast import Forecast
from tenants.spend.groups import (
    GROUPINGS,
    QUANTITIES,
    ModelName,
    SpendGroup,
    by_day,
    days_of_dearest,
    grouped,
    in_cuts,
    names_of,
)
from tenants.spend.limits import Subject
from tenants.spend.models import Balance, Rollup, SpendLine

_ZERO = Decimal(0)


class _Balance(NamedTuple):
    """What a subject has spent in a month, and holds."""

    settled: Decimal
    held: Decimal


_BALANCE = Prepared(
    lambda organization_id, kind, subject_id, period: Balance.objects.filter(
        organization_id=organization_id, subject_kind=kind, subject_id=subject_id, period=period
    ).values_list("settled", "held"),
    *(UUID, str, UUID, date),
)
_MONTHS = Prepared(
    lambda organization_id, kind, subject_id: Balance.objects.filter(
        organization_id=organization_id, subject_kind=kind, subject_id=subject_id
    ).values_list("period", "settled"),
    *(UUID, str, UUID),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """A subject's own limit in the present month; amounts are in the organization's currency."""

    monthly_spend: Decimal
    mode: str
    spent: Decimal
    held: Decimal
    remaining: Decimal
    resets_at: datetime


@dataclass(frozen=True, slots=True)
class SpendReport:
    """Spend of one month.

    Attributes:
        names: the members of each group, also where there is none.
        total: what the month's events cost. ``held``: worst cases of the calls going on now, which
            are not spend yet.
        estimated: the part of ``total`` that is an estimate and was not corrected since.
        unpriced: calls whose price is unknown and which ``total`` therefore lacks.
        limit: where the subject's own limit stands; None for past months and without one.
        forecast: where the present month is heading; None for others and with too few days.
        empty_message: a sentence when there is nothing, else empty.
        cuts: the same sum in other ways, as they were asked for.
        dearest: what each day of the dearest models of the last cut cost.
    """

    month: Month
    currency: str
    total: Decimal
    held: Decimal
    names: tuple[str, ...]
    groups: tuple[SpendGroup, ...]
    estimated: Decimal
    unpriced: int
    limit: Standing | None
    forecast: Forecast | None
    empty_message: str
    cuts: tuple[tuple[SpendGroup, ...], ...] = ()
    dearest: Mapping[ModelName, Mapping[date, Decimal]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class MonthSpend:
    """One month that can be chosen: what it cost, and whether anything was used at all."""

    month: Month
    total: Decimal
    estimated: Decimal
    unpriced: int
    is_empty: bool


def spend_report(
    *,
    organization: Organization,
    workspace: Workspace | None = None,
    model: RegisteredModel | None = None,
    month: Month,
    group_by: Sequence[str] = (),
    cuts: Sequence[Sequence[str]] = (),
    dearest: int = 0,
    quantities: Sequence[str] = QUANTITIES,
) -> SpendReport:
    """Sum a month, grouped by any of ``GROUPINGS`` in the order given.

    Args:
        organization: the tenant.
        workspace: only what it spent.
        model: only what it spent.
        month: which.
        group_by: what to group by.
        cuts: other ways to group the same lines by, read together with the first.
        dearest: of so many models, the dearest, also give the days.
        quantities: what groups count; each takes time.

    Raises:
        ValueError: a grouping that does not exist.
    """
    unknown = {*group_by, *(name for one in cuts for name in one)} - set(GROUPINGS)
    if unknown:
        raise ValueError(f"no such grouping: {', '.join(sorted(unknown))}")
    names = names_of(group_by)
    subject: Subject = model or workspace or organization
    now = timezone.now()
    with scope.tenant(organization.pk, snapshot=True):
        lines = lines_of(organization, workspace, model)
        further: list[tuple[SpendGroup, ...]] = []
        days: Mapping[ModelName, Mapping[date, Decimal]] = {}
        if cuts:
            subjects = {"workspace_id": workspace, "model_id": model}
            wanted = [group_by, *cuts]
            (groups, *further), is_rolled = in_cuts(
                organization, month, subjects, wanted, quantities
            )
            rows = lines_of(organization, workspace, model, Rollup if is_rolled else SpendLine)
            days = days_of_dearest(rows.filter(period=month.first_day), further[-1], dearest)
        else:
            groups = grouped(lines.filter(period=month.first_day), names, quantities)
        total = sum((group.amount for group in groups), _ZERO)
        balance = _balance(organization, subject, month)
        held = balance.held if balance else _ZERO
        standing = _standing(organization, subject, month, balance, now)
        heading = forecast.forecast(
            lines=lines,
            month=month,
            spent=total,
            began=subject.created_at,
            now=now,
            limit=standing.monthly_spend if standing else None,
            days_known=by_day(groups) if "day" in names else None,
        )
    is_empty = not any(group.events for group in groups)
    return SpendReport(
        month=month,
        currency=organization.currency,
        total=total,
        held=held,
        names=tuple(names),
        groups=groups if names else (),
        estimated=sum((group.estimated for group in groups), _ZERO),
        unpriced=sum(group.unpriced for group in groups),
        limit=standing,
        forecast=heading,
        empty_message=empty_message(month) if is_empty else "",
        cuts=tuple(further),
        dearest=days,
    )


def month_totals(
    *, organization: Organization, workspace: Workspace | None = None
) -> list[tuple[Month, Decimal]]:
    """List every month of a subject with what it cost, newest first; the ledger is not read.

    Balances are kept by the meter and are the sums of the ledger.
    """
    subject: Subject = workspace or organization
    with scope.tenant(organization.pk):
        kind = limits.kind_of(subject).value
        settled: dict[date, Decimal] = dict(_MONTHS.ask(organization.pk, kind, subject.pk))
    month = Month.of(subject.created_at, organization.timezone)
    first = min([*settled, month.first_day])
    month = Month(first.year, first.month, organization.timezone)
    last = Month.of(timezone.now(), organization.timezone)
    listed = []
    while month.first_day <= last.first_day:
        listed.append((month, settled.get(month.first_day, _ZERO)))
        month = month.next()
    return listed[::-1]


def months(
    *,
    organization: Organization,
    workspace: Workspace | None = None,
    model: RegisteredModel | None = None,
) -> list[MonthSpend]:
    """List every month from the subject's first on, newest first: what a picker offers.

    The first is the month in which the subject was made, or an earlier one that has usage: calls
    that were made without the gateway may be reported late.
    """
    subject: Subject = model or workspace or organization
    with scope.tenant(organization.pk, snapshot=True):
        lines = lines_of(organization, workspace, model).order_by()
        sums = lines.values("period").annotate(
            amount=Sum("cost"),
            estimated=Sum("cost", filter=Q(is_estimated=True)),
            unpriced=Sum("events", filter=Q(is_unpriced=True)),
            events=Sum("events"),
        )
        found = {row["period"]: row for row in sums}
    month = Month.of(subject.created_at, organization.timezone)
    if found:
        first = min(found)
        if first < month.first_day:
            month = Month(first.year, first.month, organization.timezone)
    last = Month.of(timezone.now(), organization.timezone)
    listed: list[MonthSpend] = []
    while month.first_day <= last.first_day:
        row: Mapping[str, Any] = found.get(month.first_day, {})
        listed.append(
            MonthSpend(
                month=month,
                total=row.get("amount") or _ZERO,
                estimated=row.get("estimated") or _ZERO,
                unpriced=int(row.get("unpriced") or 0),
                is_empty=not row.get("events"),
            )
        )
        month = month.next()
    return listed[::-1]


def lines_of(
    organization: Organization,
    workspace: Workspace | None = None,
    model: RegisteredModel | None = None,
    kind: type[SpendLine | Rollup] = SpendLine,
) -> QuerySet[Any]:
    """Choose the lines of a subject, for use inside its scope; of the roll-ups alone if asked."""
    lines = kind.objects.filter(organization=organization)
    if workspace is not None:
        lines = lines.filter(workspace_id=workspace.pk)
    if model is not None:
        lines = lines.filter(model_id=model.pk)
    return lines


def rows_for_csv(report: SpendReport) -> Iterator[list[str]]:
    """Write a report as rows of text: a header, a row ``group`` for each, and one row ``total``.

    The figures of the month stand in columns of their own, which are empty beside a group, and the
    other way round: the sum of any column is right, whichever rows are in it.
    """
    yield [
        *("row", "month", "timezone", "currency"),
        *report.names,
        *("amount", *QUANTITIES, "unpriced"),
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
            *(str(group.quantities[name]) for name in QUANTITIES),
            str(group.unpriced),
            *[""] * 4,
        ]
    yield [
        "total",
        *common,
        *[""] * (len(report.names) + 1 + len(QUANTITIES) + 1),
        *(plain(amount) for amount in (report.total, report.held, report.estimated)),
        str(report.unpriced),
    ]


def month_of(text: str | None, organization: Organization) -> Month:
    """Read a month of the organization's zone; the present one without.

    Raises:
        Invalid: ``month_invalid``.
    """
    if text is None:
        return Month.of(timezone.now(), organization.timezone)
    try:
        return Month.parse(text, organization.timezone)
    except ValueError:
        detail = _("Write a month as YYYY-MM.")
        raise Invalid.field("/month", "month_invalid", detail) from None


def empty_message(month: Month) -> str:
    """Say in the reader's language that a month has no usage."""
    return _("No usage in %(month)s") % {"month": name_of(month)}


def name_of(month: Month) -> str:
    """Name a month inside of a sentence: of our languages only English writes it with a capital."""
    name = formats.date_format(month.first_day, "F Y")
    return name if (get_language() or "").startswith("en") else name.lower()


def _balance(organization: Organization, subject: Subject, month: Month) -> _Balance | None:
    kind = limits.kind_of(subject).value
    rows = _BALANCE.ask(organization.pk, kind, subject.pk, month.first_day)
    return _Balance._make(rows[0]) if rows else None


def _standing(
    organization: Organization,
    subject: Subject,
    month: Month,
    balance: _Balance | None,
    now: datetime,
) -> Standing | None:
    if not month.starts_at <= now < month.ends_at:
        return None
    limit = limits.limit_of(organization, subject)
    if limit.monthly_spend is None:
        return None
    spent, held = (balance.settled, balance.held) if balance else (_ZERO, _ZERO)
    return Standing(
        monthly_spend=limit.monthly_spend,
        mode=limit.mode,
        spent=spent,
        held=held,
        remaining=max(limit.monthly_spend - spent - held, _ZERO),
        resets_at=month.ends_at,
    )
