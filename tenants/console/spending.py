"""Spend: a month by day, category, model and workspace; its calls; and the same as CSV."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

from django.http import HttpResponse, QueryDict
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tenants.access.models import TokenScope
from tenants.accounting import wording
from tenants.common import charts, scope, tables
from tenants.common.charts import Series
from tenants.common.months import Month
from tenants.console.addresses import address_of
from tenants.console.door import Page, Visit, page
from tenants.console.sorting import Order, order_of
from tenants.console.templatetags.console import money, money_to
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend import reports
from tenants.spend.calls import Category
from tenants.spend.groups import SpendGroup, model_of
from tenants.spend.reports import SpendReport

type _Address = Callable[[Any], str]

_ZERO = Decimal(0)
_DAY = timedelta(days=1)
_SMALL_ONES = 6
#: What the lines of a table can be sorted by, once they are chosen: the dearest are listed.
_SORTED_BY: Mapping[str, Callable[["Line"], Any]] = {
    "name": lambda line: line.name.casefold(),
    "calls": lambda line: line.requests,
    "tokens": lambda line: line.tokens,
    "spend": lambda line: line.amount,
}
_DEAREST_FIRST = Order("spend", is_descending=True)
_TABLES = ("categories", "models", "workspaces")
_MOST_LINES = 25
#: The same colour everywhere for the same category; what is free has no bar.
_COLOURS: Mapping[str, int] = {
    Category.COMPLETION: 1,
    Category.EMBEDDINGS: 2,
    Category.OCR: 3,
    Category.AUDIO: 4,
    Category.CONNECTORS: 5,
    Category.FINE_TUNING: 6,
    Category.MODERATION: 7,
    Category.PROBE: 8,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table: what, how much, what it is made of, and where that is shown."""

    name: str
    address: str
    amount: Decimal
    share: int
    requests: int
    tokens: int
    chart: SafeString | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """How a month's sum grew: as a picture, and as a table of day and sum."""

    chart: SafeString
    rows: list[tuple[date, Decimal]]


class Spend(Page):
    """``/organizations/<id>/spend``: of the whole."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Show a month."""
        return _shown(visit, None)


class WorkspaceSpend(Page):
    """``/workspaces/<id>/spend``."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Show a month."""
        return _shown(visit, visit.workspace)


class SpendTable(Page):
    """``/organizations/<id>/spend.csv``."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, organization_id: UUID) -> HttpResponse:
        """Give a month as CSV, by category, day and model: what the API gives, to save."""
        return _table(visit, None)


class WorkspaceSpendTable(Page):
    """``/workspaces/<id>/spend.csv``."""

    @page(TokenScope.SPEND_READ)
    def get(self, visit: Visit, workspace_id: UUID) -> HttpResponse:
        """Give a month as CSV."""
        return _table(visit, visit.workspace)


def days_of(month: Month) -> list[date]:
    """List the days of a month."""
    last = month.next().first_day
    return [month.first_day + _DAY * place for place in range((last - month.first_day).days)]


def figure_in(currency: str) -> charts.Figure:
    """Write the amounts of a chart in a currency."""
    return lambda amount, places: money_to(amount, currency, places)


def by_category(groups: Iterable[SpendGroup]) -> list[Series]:
    """Turn groups by category and day into series, in the order of the bill's categories."""
    amounts: defaultdict[str, dict[date, Decimal]] = defaultdict(dict)
    for group in groups:
        on = group.names["day"]
        if isinstance(on, date):
            amounts[str(group.names["category"])][on] = group.amount
    return [
        Series(str(wording.CATEGORIES[name]), _COLOURS[name], amounts[name])
        for name in _COLOURS
        if name in amounts
    ]


def running(organization: Organization, report: SpendReport, series: Iterable[Series]) -> Running:
    """Draw how the month's sum grew, with limit and forecast."""
    days = days_of(report.month)
    today = timezone.now().astimezone(ZoneInfo(organization.timezone)).date()
    ones = list(series)
    totals, total = [], _ZERO
    for day in days:
        if day > today:
            break
        total += sum((one.amounts.get(day, _ZERO) for one in ones), _ZERO)
        totals.append(total)
    limit = report.limit.monthly_spend if report.limit else None
    forecast = report.forecast.amount if report.forecast else None
    currency = organization.currency
    facts = {"month": reports.name_of(report.month), "total": money(report.total, currency)}
    sentence = _("Spend of %(month)s so far: %(total)s.") % facts
    if forecast is not None:
        sentence += " " + _("Forecast: %(amount)s.") % {"amount": money(forecast, currency)}
    limit_word = _("limit %(amount)s") % {"amount": money(limit, currency)} if limit else ""
    chart = charts.running_total(
        days,
        totals,
        sentence,
        figure_in(currency),
        limit=limit,
        forecast=forecast,
        limit_word=limit_word,
    )
    return Running(chart, list(zip(days, totals, strict=False)))


def _shown(visit: Visit, workspace: Workspace | None) -> HttpResponse:
    organization = visit.organization
    month = reports.month_of(visit.request.GET.get("month") or None, organization)
    report = reports.spend_report(
        organization=organization,
        workspace=workspace,
        month=month,
        group_by=["category", "day"],
        cuts=[["workspace", "model"], ["category"], ["workspace"], ["model"]],
        dearest=_SMALL_ONES,
        quantities=["requests", "prompt_tokens", "completion_tokens"],
    )
    _finest, categories, workspaces, models = report.cuts
    orders = _orders(visit.request.GET)
    series = by_category(report.groups)
    days = days_of(month)
    facts = {"month": reports.name_of(month), "total": money(report.total, organization.currency)}
    shown = _dearest(models)
    here = (
        address_of("console-workspace-calls", "workspace_id", workspace.pk)
        if workspace
        else address_of("console-calls", "organization_id", organization.pk)
    )
    calls = f"{here}?month={month}"
    places = {one.pk: one.name for one in visit.here.workspaces}
    with scope.tenant(organization.pk):
        ids = [str(one.names["model_id"]) for one in shown if one.names["model_id"]]
        called = dict(RegisteredModel.objects.filter(pk__in=ids).values_list("pk", "name"))
        listed: set[Any] = {one.names["workspace_id"] for one in _dearest(workspaces)}
        if archived := listed - set(places):
            rows = Workspace.objects.filter(pk__in=archived)
            places |= dict(rows.values_list("pk", "name"))
    return visit.show(
        "spend/month",
        month=month,
        months=reports.month_totals(organization=organization, workspace=workspace),
        report=report,
        workspace=workspace,
        days=_days(series, days),
        calls=calls,
        series=series,
        stacked=charts.stacked_days(
            days,
            series,
            _("Spend of %(month)s by day: %(total)s in all.") % facts,
            figure_in(organization.currency),
        ),
        running=running(organization, report, series),
        orders=orders,
        asked_orders=[
            (f"sort_{table}", order) for table, order in orders.items() if order != _DEAREST_FIRST
        ],
        categories=_in_order(
            orders["categories"],
            _lines(
                categories, "category", wording.CATEGORIES, lambda key: f"{calls}&category={key}"
            ),
        ),
        models=_in_order(
            orders["models"],
            _with_charts(
                report, shown, days, called, lambda key: f"{calls}&mistral_model={quote(key)}"
            ),
        ),
        more_models=len(models) - len(shown),
        more_workspaces=max(len(workspaces) - _MOST_LINES, 0),
        workspaces=[]
        if workspace
        else _in_order(
            orders["workspaces"],
            _lines(workspaces, "workspace_id", places, partial(_workspace_address, month)),
        ),
    )


def _orders(asked: QueryDict) -> dict[str, Order]:
    """Read what each table is sorted by: ``?sort_models=-calls``."""
    return {
        table: order_of(asked.get(f"sort_{table}", ""), _SORTED_BY, _DEAREST_FIRST)
        for table in _TABLES
    }


def _in_order(order: Order, lines: list[Line]) -> list[Line]:
    return sorted(lines, key=_SORTED_BY[order.name], reverse=order.is_descending)


def _workspace_address(month: Month, workspace_id: UUID) -> str:
    return f"{address_of('console-workspace-spend', 'workspace_id', workspace_id)}?month={month}"


def _lines(
    groups: Sequence[SpendGroup], name: str, called: Mapping[Any, Any], address: _Address
) -> list[Line]:
    total = sum((one.amount for one in groups), _ZERO)
    keyed = [(one.names[name], one) for one in _dearest(groups)]
    return [_line(group, called.get(key, key), address(key), total) for key, group in keyed]


def _dearest(groups: Iterable[SpendGroup]) -> list[SpendGroup]:
    return sorted(groups, key=lambda one: one.amount, reverse=True)[:_MOST_LINES]


def _line(
    group: SpendGroup, name: Any, address: str, total: Decimal, chart: SafeString | None = None
) -> Line:
    used = group.quantities
    return Line(
        name=str(name),
        address=address,
        amount=group.amount,
        share=round(100 * group.amount / total) if total else 0,
        requests=used["requests"],
        tokens=used["prompt_tokens"] + used["completion_tokens"],
        chart=chart,
    )


def _with_charts(
    report: SpendReport,
    groups: Iterable[SpendGroup],
    days: list[date],
    called: Mapping[Any, str],
    address: _Address,
) -> list[Line]:
    """List the models, the dearest with a small chart each, all on one scale."""
    most = max((max(one.values(), default=_ZERO) for one in report.dearest.values()), default=_ZERO)
    lines = []
    for group in groups:
        key = model_of(group)
        title = " · ".join(filter(None, (called.get(key[0]), str(key[1] or "")))) or "\N{EN DASH}"
        chart = None
        if (amounts := report.dearest.get(key)) is not None:
            cost = money(group.amount, report.currency)
            sentence = _("%(model)s by day: %(total)s in all.") % {"model": title, "total": cost}
            chart = charts.small_days(days, Series(title, 1, amounts), most, sentence)
        lines.append(_line(group, title, address(key[1]), report.total, chart))
    return lines


def _days(series: list[Series], days: list[date]) -> list[tuple[date, list[Decimal]]]:
    """Write the table under the chart: days on which something was spent, each with its sum."""
    rows = []
    for day in days:
        amounts = [one.amounts.get(day, _ZERO) for one in series]
        if any(amounts):
            rows.append((day, [*amounts, sum(amounts, _ZERO)]))
    return rows


def _table(visit: Visit, workspace: Workspace | None) -> HttpResponse:
    organization = visit.organization
    month = reports.month_of(visit.request.GET.get("month") or None, organization)
    report = reports.spend_report(
        organization=organization,
        workspace=workspace,
        month=month,
        group_by=["category", "day", "model"],
    )
    name = f"spend-{(workspace or organization).pk}-{month}.csv"
    return HttpResponse(
        tables.MARK + tables.write(reports.rows_for_csv(report)),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
