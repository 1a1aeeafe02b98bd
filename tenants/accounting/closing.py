"""Closes months: a while after a month is over, its statement is built once and kept for good.

Two workers at once may build the same statement; the first one written is the statement. Months are
closed one after the other, because each states what changed in the ones before.
"""

import hashlib
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import structlog
from django.utils import timezone

from tenants.accounting import statements
from tenants.accounting.models import Statement
from tenants.common import scope, turns
from tenants.common.models import new_id
from tenants.common.months import Month
from tenants.common.turns import Turn
from tenants.organizations import audit, outbox, walking
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, OrganizationStatus

log = structlog.get_logger(__name__)

WORKER = Actor(kind="worker", id="accounting.close_months", name="accounting.close_months")
#: Calls of the last minutes settle, and reports of calls made elsewhere come in, before it closes.
GRACE = timedelta(days=3)
_ONE_RUN = 24


def close_due(turn: Turn | None = None) -> int:
    """Close every month of every organization that is due, and tell how many.

    Args:
        turn: close those only for which it has time; None: all.
    """
    close_of = partial(close_due_of, now=timezone.now(), turn=turn)
    return sum(turns.each(walking.organization_ids(turn), close_of, turn))


def close_due_of(organization_id: UUID, now: datetime, turn: Turn | None = None) -> int:
    """Close an organization's months that are due, oldest first, and tell how many."""
    closed = 0
    for _ in range(_ONE_RUN):
        with scope.tenant(organization_id):
            organization = Organization.objects.get(pk=organization_id)
            last = Statement.objects.order_by("-period").first()
        if organization.status == OrganizationStatus.ERASED:
            return closed
        month = _next(organization, last)
        if month.ends_at + GRACE > now:
            return closed
        close(organization, month)
        closed += 1
        if turn is not None and turn.is_over():
            return closed
    return closed


def close(organization: Organization, month: Month) -> Statement:
    """Build and keep a month's statement; one that is there already stays as it is."""
    with scope.tenant(organization.pk, snapshot=True):
        known = Statement.objects.filter(period=month.first_day).first()
        if known is not None:
            return known
        earlier = list(Statement.objects.filter(period__lt=month.first_day).order_by("period"))
        document = statements.build(organization, month, earlier, timezone.now())
    made = _written(organization, month, document)
    with scope.tenant(organization.pk):
        Statement.objects.bulk_create([made], ignore_conflicts=True)
        kept = Statement.objects.get(period=month.first_day)
        if kept.pk == made.pk:
            audit.record(
                actor=WORKER, organization_id=organization.pk, verb="month.closed", target=kept
            )
            outbox.announce(
                organization_id=organization.pk,
                kind="statement.closed",
                data={
                    "statement_id": str(kept.pk),
                    "month": str(month),
                    "total": document["stated_total"],
                    "currency": organization.currency,
                    "sha256": kept.json_sha256,
                },
                once=f"statement.closed:{month}",
            )
            log.info("month_closed", organization_id=str(organization.pk), month=str(month))
    return kept


def _written(organization: Organization, month: Month, document: statements.Document) -> Statement:
    as_json, as_csv = statements.as_json(document), statements.as_csv(document)
    digest = hashlib.sha256(as_json).hexdigest()
    # It brings reportlab: eight megabytes of whoever never closes a month.
    from tenants.accounting import paper  # noqa: PLC0415

    as_pdf = paper.as_pdf(document, json_sha256=digest, language=organization.locale)
    return Statement(
        id=new_id(),
        organization=organization,
        period=month.first_day,
        timezone=month.zone,
        currency=organization.currency,
        total=document["total"],
        adjustments_total=document["adjustments_total"],
        closed_at=datetime.fromisoformat(document["closed_at"]),
        json=as_json,
        json_sha256=digest,
        csv=as_csv,
        csv_sha256=hashlib.sha256(as_csv).hexdigest(),
        pdf=as_pdf,
        pdf_sha256=hashlib.sha256(as_pdf).hexdigest(),
    )


def _next(organization: Organization, last: Statement | None) -> Month:
    """Find the month after the last closed one; first that of the organization's making.

    What was reported for months before that is a correction of an earlier month in the first
    statement.
    """
    if last is not None:
        closed = Month(last.period.year, last.period.month, organization.timezone)
        return closed.next()
    return Month.of(organization.created_at, organization.timezone)
