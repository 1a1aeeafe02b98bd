"""Verbs on money: extend a limit until a day, correct the ledger, compare a month.

Each takes a form; what is wrong with it is said on a page of its own, and nothing has happened.
"""

from datetime import datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext as _

from tenants.accounting.models import FigureSource
from tenants.accounting.reconciliations import request_reconciliation
from tenants.assistance import corrections
from tenants.assistance.corrections import Asked
from tenants.assistance.models import CorrectionStatus
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import authorise
from tenants.common.problems import Invalid
from tenants.spend.calls import Category
from tenants.spend.extensions import extend_limit as extend
from tenants.spend.reports import month_of
from tenants.support.door import closed
from tenants.support.forms import CorrectionForm, ExtendForm, ReconciliationForm
from tenants.support.verbs import done

_DAY = timedelta(days=1)


def extend_limit(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Let a limit allow more until the end of a day; it goes back by itself."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="limit:extend")
    data = _read(ExtendForm(request.POST))
    zone = ZoneInfo(visit.organization.timezone)
    extend(
        actor=visit.actor,
        organization=visit.organization,
        limit_id=data["limit"],
        monthly_spend=data["monthly_spend"],
        until=datetime.combine(data["until"] + _DAY, time(), tzinfo=zone),
    )
    said = _("The limit allows more until the end of that day, and goes back by itself.")
    return done(request, "admin:spend", organization_id, said)


def post_correction(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Post a correction, or let it wait for another person of the staff."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="correction:post")
    data = _read(CorrectionForm(request.POST))
    asked = Asked(
        month=month_of(data["month"], visit.organization),
        amount=data["amount"],
        workspace_id=data["workspace"],
        corrects=data["corrects"],
    )
    row = corrections.ask(visit=visit, asked=asked, reason=data["reason"])
    said = _("The correction is in the ledger.")
    if row.status == CorrectionStatus.WAITING:
        said = _("The correction waits until another person of the staff confirms it.")
    return done(request, "admin:spend", organization_id, said)


def confirm_correction(
    request: HttpRequest, staff: Staff, organization_id: UUID, request_id: UUID
) -> HttpResponse:
    """Post a correction that somebody else asked for."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="correction:confirm")
    corrections.confirm(visit=visit, request_id=request_id)
    return done(request, "admin:spend", organization_id, _("The correction is in the ledger."))


def refuse_correction(
    request: HttpRequest, staff: Staff, organization_id: UUID, request_id: UUID
) -> HttpResponse:
    """Refuse a correction that waits, or take one's own back."""
    visit = authorise(staff=staff, organization_id=organization_id, capability="correction:confirm")
    corrections.refuse(visit=visit, request_id=request_id)
    return done(request, "admin:spend", organization_id, _("The correction is refused."))


def start_reconciliation(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """Compare a month with what Mistral or AIsuru says, or with the sum of an invoice."""
    visit = authorise(
        staff=staff, organization_id=organization_id, capability="reconciliation:start"
    )
    data = _read(ReconciliationForm(request.POST))
    source = FigureSource(data["source"])
    figures: list[dict[str, Any]] = []
    if source is FigureSource.MANUAL and data["amount"] is not None:
        figures = [{"category": Category.COMPLETION.value, "model": "", "amount": data["amount"]}]
    request_reconciliation(
        actor=visit.actor,
        organization=visit.organization,
        month=month_of(data["month"], visit.organization),
        source=source,
        figures=figures,
    )
    return done(request, "admin:spend", organization_id, _("The month is being compared."))


def _read(form: Form) -> dict[str, Any]:
    """Read a form.

    Raises:
        Invalid: ``form_invalid``: the detail says what is wrong with which field.
    """
    if form.is_valid():
        return form.cleaned_data
    wrong = [
        f"{form.fields[name].label if name in form.fields else ''}: {' '.join(map(str, errors))}"
        for name, errors in form.errors.items()
    ]
    raise Invalid("form_invalid", _("This cannot be read: %(what)s") % {"what": "; ".join(wrong)})


EXTEND_LIMIT = closed(extend_limit, "POST")
POST_CORRECTION = closed(post_correction, "POST")
CONFIRM_CORRECTION = closed(confirm_correction, "POST")
REFUSE_CORRECTION = closed(refuse_correction, "POST")
START_RECONCILIATION = closed(start_reconciliation, "POST")
