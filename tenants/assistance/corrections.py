"""Corrections of the ledger by the staff: small ones at once, others with a second pair of eyes.

What somebody posted alone within a day counts together, so that a large correction is not many
small ones. Posting itself is the ledger's business (``spend.corrections``).
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.assistance.models import CorrectionRequest, CorrectionStatus
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import Visit
from tenants.common import scope
from tenants.common.months import Month
from tenants.common.problems import Conflict, Invalid, NotFound
from tenants.mistral.masking import mask_key_shaped
from tenants.organizations import audit
from tenants.organizations.models import Organization, Workspace
from tenants.spend import corrections, drilldown
from tenants.spend.calls import Category
from tenants.spend.corrections import Difference
from tenants.spend.models import UsageEvent

#: What one person may post alone within a day, in whatever currency the organization pays.
ALONE = Decimal(50)
PATIENCE = timedelta(days=3)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be corrected.

    Attributes:
        month: where it is posted.
        workspace_id: whose spend; None is the default workspace's.
        category, mistral_model: the line.
        amount: in the organization's currency; negative gives back.
        corrects: the call that it mends, if it mends one: workspace and line are then the call's.
    """

    month: Month
    amount: Decimal
    workspace_id: UUID | None = None
    category: Category = Category.COMPLETION
    mistral_model: str = ""
    corrects: UUID | None = None


def ask(*, visit: Visit, asked: Asked, reason: str) -> CorrectionRequest:
    """Post a correction at once if it is small; else let it wait for another person of the staff.

    Args:
        visit: whose session, and that it may act was checked.
        asked: what.
        reason: the organization reads it.

    Raises:
        Invalid: ``correction_empty``, ``support_reason_missing``, ``call_unknown``,
            ``workspace_unknown``, or what posting refuses.
    """
    if not asked.amount:
        detail = _("A correction of nothing corrects nothing.")
        raise Invalid.field("/amount", "correction_empty", detail)
    if not reason.strip():
        detail = _("Say why: the organization reads it.")
        raise Invalid.field("/reason", "support_reason_missing", detail)
    staff, organization = visit.staff, visit.organization
    with scope.tenant(organization.pk):
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        event = _call(organization, asked)
        workspace = _workspace(event.workspace_id if event else asked.workspace_id)
        alone = abs(asked.amount) + _posted_alone(staff)
        request = CorrectionRequest.objects.create(
            organization=organization,
            workspace=workspace,
            period=asked.month.first_day,
            category=event.category if event else asked.category.value,
            mistral_model=event.mistral_model if event else asked.mistral_model,
            amount=asked.amount,
            currency=organization.currency,
            corrects=asked.corrects,
            reason=mask_key_shaped(reason.strip()),
            asked_by=staff.person,
            asked_by_name=staff.name,
            needs_second=alone > ALONE,
            expires_at=timezone.now() + PATIENCE,
        )
        if request.needs_second:
            _record(visit, request, "correction.requested")
        else:
            _post(visit, request)
    return request


def confirm(*, visit: Visit, request_id: UUID) -> CorrectionRequest:
    """Post a correction that another person of the staff asked for.

    Raises:
        NotFound: there is none.
        Conflict: ``correction_own``; ``correction_over``: it is decided, or nobody did for days.
        Invalid: what posting refuses.
    """
    with scope.tenant(visit.organization.pk):
        Organization.objects.select_for_update(no_key=True).get(pk=visit.organization.pk)
        request = _waiting(request_id)
        if request.asked_by_id == visit.staff.person.pk:
            detail = _("You asked for this correction yourself: another person has to confirm it.")
            raise Conflict("correction_own", detail)
        _post(visit, request)
    return request


def refuse(*, visit: Visit, request_id: UUID) -> CorrectionRequest:
    """Refuse a correction that waits, or take one's own back; nothing is posted.

    Raises:
        NotFound: there is none.
        Conflict: ``correction_over``.
    """
    with scope.tenant(visit.organization.pk):
        request = _waiting(request_id)
        _decide(visit, request, CorrectionStatus.REFUSED)
        _record(visit, request, "correction.refused")
    return request


def _post(visit: Visit, request: CorrectionRequest) -> None:
    organization = visit.organization
    month = Month(request.period.year, request.period.month, organization.timezone)
    event = _event(organization.pk, request.corrects) if request.corrects else None
    corrections.post_corrections(
        actor=visit.staff.actor,
        organization=organization,
        month=month,
        differences={
            f"support:{request.pk}": Difference(
                workspace_id=request.workspace_id,
                category=Category(request.category),
                mistral_model=request.mistral_model,
                amount=request.amount,
                quantities={},
                corrects=event,
            )
        },
        reason=request.reason,
    )
    _decide(visit, request, CorrectionStatus.POSTED)
    _record(visit, request, "correction.posted")


def _decide(visit: Visit, request: CorrectionRequest, status: CorrectionStatus) -> None:
    request.status, request.decided_at = status, timezone.now()
    request.decided_by, request.decided_by_name = visit.staff.person, visit.staff.name
    request.save(update_fields=["status", "decided_at", "decided_by", "decided_by_name"])


def _record(visit: Visit, request: CorrectionRequest, verb: str) -> None:
    audit.record(
        actor=visit.actor,
        organization_id=visit.organization.pk,
        verb=verb,
        target=request,
    )


def _waiting(request_id: UUID) -> CorrectionRequest:
    rows: QuerySet[CorrectionRequest] = CorrectionRequest.objects.filter(pk=request_id)
    request = rows.select_for_update(no_key=True, of=("self",)).first()
    if request is None:
        raise NotFound("not_found", _("There is nothing here."))
    if not request.is_waiting(timezone.now()):
        detail = _("This correction was decided, or waited for too long. Ask for it anew.")
        raise Conflict("correction_over", detail)
    return request


def _posted_alone(staff: Staff) -> Decimal:
    since = timezone.now() - _DAY
    rows = CorrectionRequest.objects.filter(
        asked_by=staff.person,
        status=CorrectionStatus.POSTED,
        needs_second=False,
        created_at__gt=since,
    )
    return sum((abs(amount) for amount in rows.values_list("amount", flat=True)), Decimal(0))


def _call(organization: Organization, asked: Asked) -> UsageEvent | None:
    if asked.corrects is None:
        return None
    event = _event(organization.pk, asked.corrects)
    if event is None:
        detail = _("No call of this organization has this id.")
        raise Invalid.field("/corrects", "call_unknown", detail)
    return event


def _event(organization_id: UUID, call_id: UUID) -> UsageEvent | None:
    return drilldown.find_call(organization_id, call_id)


def _workspace(workspace_id: UUID | None) -> Workspace:
    rows = Workspace.objects.all()
    rows = rows.filter(is_default=True) if workspace_id is None else rows.filter(pk=workspace_id)
    found = rows.first()
    if found is None:
        raise Invalid.field("/workspace_id", "workspace_unknown", _("There is nothing here."))
    return found
