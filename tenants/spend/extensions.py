"""Lets a limit allow more until an instant; at the end it goes back by itself, once.

Whoever sets the limit meanwhile has the last word: then nothing goes back.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope, turns
from tenants.common.money import plain
from tenants.common.months import Month
from tenants.common.problems import Conflict, Invalid, NotFound
from tenants.organizations import audit, outbox
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization
from tenants.spend import alerts, limits
from tenants.spend.calls import LimitMode, SubjectKind
from tenants.spend.models import Limit, LimitExtension

LONGEST = timedelta(days=62)
_WORKER = Actor(kind="worker", id="spend.end_extensions", name="spend.end_extensions")


def extend_limit(
    *,
    actor: Actor,
    organization: Organization,
    limit_id: UUID,
    monthly_spend: Decimal,
    until: datetime,
) -> LimitExtension:
    """Let a limit allow more until an instant; the next call obeys it.

    Extended again, it goes back to what it was before the first time.

    Args:
        actor: who extends it.
        organization: the tenant.
        limit_id: which limit; it has a monthly amount.
        monthly_spend: what it allows until then, in the organization's currency.
        until: when it goes back.

    Raises:
        NotFound: there is no such limit.
        Conflict: ``limit_not_set``: it limits no spend.
        Invalid: ``extension_no_more``, ``extension_out_of_range``, ``above_organization_limit``.
    """
    if not timedelta() < until - timezone.now() <= LONGEST:
        detail = _("Choose a day from tomorrow on, at most %(days)d days away.")
        detail %= {"days": LONGEST.days}
        raise Invalid.field("/until", "extension_out_of_range", detail)
    with scope.tenant(organization.pk):
        # One limit of an organization at a time, as when it is set.
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
        limit = Limit.objects.filter(pk=limit_id).first()
        if limit is None:
            raise NotFound("not_found", _("There is nothing here."))
        _refuse(organization, limit, monthly_spend)
        former = _end_standing(limit)
        extension = LimitExtension.objects.create(
            organization=organization,
            limit=limit,
            former=former,
            amount=monthly_spend,
            ends_at=until,
            extended_by=actor.name,
        )
        _write(organization, limit, monthly_spend)
        _tell(actor, organization, extension, "spend.limit_extended", "limit.extended")
    return extension


def end_due() -> int:
    """Let every limit go back whose extension is over; returns how many went back."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM spend_extensions_due()")
        due: list[UUID] = [row[0] for row in cursor.fetchall()]
    return sum(turns.each(due, _end_due_of))


def standing() -> dict[UUID, LimitExtension]:
    """Find the extensions that hold, by limit, inside a scope."""
    return {one.limit_id: one for one in LimitExtension.objects.filter(ended_at=None)}


def _end_due_of(organization_id: UUID) -> int:
    count = 0
    with scope.tenant(organization_id):
        organization = Organization.objects.select_for_update(no_key=True).get()
        due = LimitExtension.objects.filter(ended_at=None, ends_at__lte=Now())
        # Each locks the balances of its subject: in the order in which all lock several of them.
        in_order = due.order_by("limit__subject_kind", "limit__subject_id", "pk")
        for extension in in_order.select_related("limit"):
            LimitExtension.objects.filter(pk=extension.pk).update(ended_at=Now())
            if extension.limit.monthly_spend != extension.amount:
                continue  # somebody set it meanwhile
            _write(organization, extension.limit, extension.former)
            _tell(_WORKER, organization, extension, "spend.limit_restored", "limit.restored")
            count += 1
    return count


def _refuse(organization: Organization, limit: Limit, asked: Decimal) -> None:
    if limit.monthly_spend is None:
        detail = _("This limit limits no spend, so there is nothing to extend.")
        raise Conflict("limit_not_set", detail)
    if asked <= limit.monthly_spend:
        detail = _("An extension allows more than the limit: choose a higher amount.")
        raise Invalid.field("/monthly_spend", "extension_no_more", detail)
    if limit.subject_kind == SubjectKind.ORGANIZATION:
        return
    whole = limits.limit_of(organization, organization)
    ceiling = whole.monthly_spend if whole.mode == LimitMode.ENFORCE else None
    if ceiling is not None and asked > ceiling:
        detail = _("The organization may spend %(limit)s %(currency)s a month. Choose no more.")
        detail %= {"limit": plain(ceiling), "currency": organization.currency}
        raise Invalid.field("/monthly_spend", "above_organization_limit", detail)


def _end_standing(limit: Limit) -> Decimal:
    """End the extension that holds, and tell what the limit goes back to."""
    now_allowed = limit.monthly_spend or Decimal(0)
    held = LimitExtension.objects.filter(limit=limit, ended_at=None).first()
    if held is None:
        return now_allowed
    LimitExtension.objects.filter(pk=held.pk).update(ended_at=Now())
    return held.former if held.amount == now_allowed else now_allowed


def _write(organization: Organization, limit: Limit, amount: Decimal) -> None:
    month = Month.of(timezone.now(), organization.timezone)
    limit.monthly_spend = amount
    limit.save(update_fields=["monthly_spend", "updated_at"])
    limits.apply(limit, month.first_day, organization.currency)
    alerts.arm_again(limit, month.first_day)


def _tell(
    actor: Actor, organization: Organization, extension: LimitExtension, kind: str, verb: str
) -> None:
    limit = extension.limit
    audit.record(
        actor=actor,
        organization_id=organization.pk,
        verb=verb,
        target=limit,
        changed=["monthly_spend"],
    )
    data: dict[str, Any] = {
        "subject_kind": limit.subject_kind,
        "subject_id": str(limit.subject_id),
        "limit": plain(limit.monthly_spend or Decimal(0)),
        "usual_limit": plain(extension.former),
        "currency": organization.currency,
        "until": extension.ends_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "extended_by": extension.extended_by,
    }
    outbox.announce(
        organization_id=organization.pk,
        kind=kind,
        data=data,
        workspace_id=alerts.workspace_of(limit),
    )
