"""What an organization spends: the month's curve, its limits, corrections and comparisons."""

from datetime import date
from decimal import Decimal
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from tenants.accounting.models import Reconciliation
from tenants.assistance.corrections import ALONE
from tenants.assistance.models import CorrectionRequest
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import Visit, visit
from tenants.common import charts
from tenants.common.months import Month
from tenants.keys import expiry
from tenants.keys.models import MistralKey
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend import extensions, limits, reports
from tenants.spend.calls import SubjectKind
from tenants.spend.groups import grouped
from tenants.spend.models import Balance, Correction, Limit
from tenants.support import pages, words
from tenants.support.door import closed
from tenants.support.forms import CorrectionForm, ExtendForm, MonthForm, ReconciliationForm
from tenants.support.pages import NOTHING, Button, Section, amount, figure, when
from tenants.support.words import told

_MANY = 50
_FEW = 20
_MOST_WORKSPACES = 500
_ZERO = Decimal(0)


def spend(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Show a month's spend, and what may be done about it."""
    with visit(staff=staff, organization_id=organization_id, page="spend") as found:
        month = reports.month_of(request.GET.get("month") or None, found.organization)
        picker = Section(
            _("Month"),
            form=MonthForm(initial={"month": str(month)}),
            form_url=_address(found, "admin:spend"),
            form_label=_("Show"),
            is_get=True,
        )
        sections = [
            picker,
            curve(found.organization, month),
            of_limits(found, with_form=True),
            _corrections(found, month),
            _reconciliations(found, month),
        ]
        return pages.page(request, staff, _("Spend and limits"), sections, visit=found)


def curve(organization: Organization, month: Month) -> Section:
    """Draw how a month's spend grew, with the figures in a table below, inside the scope."""
    lines = reports.lines_of(organization).filter(period=month.first_day)
    by_day = {day.names["day"]: day for day in grouped(lines, ["day"], ())}
    today = expiry.today(organization.timezone, timezone.now())
    last = min(month.next().first_day - date.resolution, today)
    totals: list[Decimal] = []
    days = [
        month.first_day + date.resolution * place
        for place in range((month.next().first_day - month.first_day).days)
    ]
    for day in days:
        if day <= last or day in by_day:
            before = totals[-1] if totals else _ZERO
            totals.append(before + (by_day[day].amount if day in by_day else _ZERO))
    total = totals[-1] if totals else _ZERO
    limit = limits.limit_of(organization, organization).monthly_spend
    currency = organization.currency
    whole = amount(total, currency)
    sentence = _("Spend of %(month)s so far: %(total)s.") % {"month": month, "total": whole}
    chart = charts.running_total(
        days,
        totals,
        sentence,
        figure,
        limit=limit,
        forecast=None,
        limit_word=_("limit %(amount)s") % {"amount": amount(limit, currency)} if limit else "",
    )
    rows = [
        [
            day.isoformat(),
            amount(by_day[day].amount, currency),
            amount(sum_, currency),
            by_day[day].events,
        ]
        for day, sum_ in zip(days, totals, strict=False)
        if day in by_day
    ]
    return Section(
        _("Spend of the month"),
        facts=[
            (_("Month"), month),
            (_("Total"), whole),
            (_("Calls without a price"), sum(day.unpriced for day in by_day.values())),
        ],
        # Unfold's script takes everything that is called a chart for one of its own.
        chart=SafeString(chart.replace('class="chart"', 'class="curve"')),
        headers=[_("Day"), _("Cost"), _("So far"), _("Calls")],
        rows=rows,
    )


def of_limits(found: Visit, *, with_form: bool = False) -> Section:
    """List limits with where this month stands, and whether one is extended."""
    organization = found.organization
    month = Month.of(timezone.now(), organization.timezone)
    rows = list(Limit.objects.order_by("pk")[:_MANY])
    names = _names(organization, rows)
    extended = extensions.standing()
    balances = {
        one.subject_id: one
        for one in Balance.objects.filter(
            organization=organization,
            period=month.first_day,
            subject_id__in=[row.subject_id for row in rows],
        )
    }
    form = None
    if with_form and rows and found.may("limit:extend"):
        form = ExtendForm(limits=[(str(row.pk), names[row.subject_id]) for row in rows])
    cells = []
    for row in rows:
        balance = balances.get(row.subject_id)
        until = extended.get(row.pk)
        cells.append(
            [
                names[row.subject_id],
                amount(row.monthly_spend, organization.currency),
                when(until.ends_at) if until else NOTHING,
                told(words.MODES, row.mode),
                amount(balance.settled if balance else None, organization.currency),
                amount(balance.held if balance else None, organization.currency),
                when(balance.refused_at if balance else None),
            ]
        )
    return Section(
        _("Limits"),
        headers=[
            _("Of"),
            _("A month"),
            _("Extended until"),
            _("Mode"),
            _("Spent"),
            _("Held"),
            _("Last refused a call (gateway)"),
        ],
        rows=cells,
        form=form,
        form_url=_address(found, "admin:limit_extend"),
        form_label=_("Extend the limit"),
        more="" if with_form else _address(found, "admin:spend"),
    )


def _corrections(found: Visit, month: Month) -> Section:
    currency = found.organization.currency
    now = timezone.now()
    asked = list(CorrectionRequest.objects.all()[:_FEW])
    posted = Correction.objects.order_by("-pk")[:_FEW]
    rows = [
        [
            when(row.created_at),
            f"{row.period:%Y-%m}",
            amount(row.amount, currency),
            row.reason,
            row.asked_by_name,
            _("expired")
            if row.status == "waiting" and not row.is_waiting(now)
            else row.get_status_display(),
            row.decided_by_name or NOTHING,
            when(row.expires_at) if row.is_waiting(now) else NOTHING,
        ]
        for row in asked
    ]
    rows += [
        [
            when(row.created_at),
            f"{row.occurred_at:%Y-%m}",
            NOTHING,
            row.reason,
            row.posted_by,
            _("in the ledger"),
            NOTHING,
            NOTHING,
        ]
        for row in posted
        if not row.reference.startswith("support:")
    ]
    form = None
    if found.may("correction:post"):
        places = Workspace.objects.order_by("-is_default", "name")[:_MOST_WORKSPACES]
        form = CorrectionForm(
            initial={"month": str(month)}, workspaces=[(str(one.pk), one.name) for one in places]
        )
    text = _(
        "Above %(amount)s %(currency)s a day another person of the staff has to confirm, within"
        " three days."
    )
    return Section(
        _("Corrections"),
        text % {"amount": figure(ALONE), "currency": currency},
        headers=[
            _("When"),
            _("Month"),
            _("Amount"),
            _("Why"),
            _("Asked by"),
            _("Status"),
            _("Decided by"),
            _("Waits until"),
        ],
        rows=rows,
        form=form,
        form_url=_address(found, "admin:correction_post"),
        form_label=_("Post the correction"),
        buttons=_decisions(found, [row for row in asked if row.is_waiting(now)]),
    )


def _decisions(found: Visit, waiting: list[CorrectionRequest]) -> list[Button]:
    if not found.may("correction:confirm"):
        return []
    buttons = []
    for row in waiting:
        ids = [found.organization.pk, row.pk]
        facts = {"amount": amount(row.amount, row.currency)}
        if row.asked_by_id != found.staff.person.pk:
            confirm = reverse("admin:correction_confirm", args=ids)
            said = _("Confirm the correction of %(amount)s") % facts
            buttons.append(Button(said, confirm, is_grave=True))
        refuse = reverse("admin:correction_refuse", args=ids)
        buttons.append(Button(_("Refuse the correction of %(amount)s") % facts, refuse))
    return buttons


def _reconciliations(found: Visit, month: Month) -> Section:
    rows = Reconciliation.objects.defer("lines", "figures")[:_FEW]
    may_start = found.may("reconciliation:start")
    return Section(
        _("Reconciliations"),
        _("What differs is posted by the organization, when it confirms the comparison."),
        headers=[_("Month"), _("Figures of"), _("Status"), _("Ours"), _("Theirs"), _("Asked by")],
        rows=[
            [
                f"{row.period:%Y-%m}",
                told(words.SOURCES, row.source),
                row.failure or told(words.RECONCILIATIONS, row.status),
                _figure(row.totals.get("ours")),
                _figure(row.totals.get("theirs")),
                row.requested_by,
            ]
            for row in rows
        ],
        form=ReconciliationForm(initial={"month": str(month)}) if may_start else None,
        form_url=_address(found, "admin:reconciliation_start"),
        form_label=_("Start the reconciliation"),
    )


def _figure(text: str | None) -> str:
    return figure(Decimal(text)) if text else NOTHING


def _names(organization: Organization, rows: list[Limit]) -> dict[UUID, str]:
    """Call what limits are on by its name."""
    ids = [row.subject_id for row in rows]
    names = {organization.pk: organization.name}
    names |= dict(Workspace.objects.filter(pk__in=ids).values_list("pk", "name"))
    names |= dict(RegisteredModel.objects.filter(pk__in=ids).values_list("pk", "name"))
    for key in MistralKey.objects.filter(pk__in=ids).only("name", "last4"):
        names[key.pk] = f"{key.name} …{key.last4}"
    kinds = {
        SubjectKind.ORGANIZATION.value: _("organization"),
        SubjectKind.WORKSPACE.value: _("workspace"),
        SubjectKind.MODEL.value: _("model"),
        SubjectKind.KEY.value: _("key"),
    }
    return {
        row.subject_id: f"{kinds[row.subject_kind]} {names.get(row.subject_id, NOTHING)}"
        for row in rows
    }


def _address(found: Visit, name: str) -> str:
    return reverse(name, args=[found.organization.pk])


SPEND = closed(spend)
