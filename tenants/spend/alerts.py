"""Tells of limits whose thresholds are reached: once per limit, month and threshold.

It looks at the balances from the worker's side, so that no call waits for it. A raised limit is
armed again for what is no longer reached, a new month for everything: the month is part of the row
that says it was told.
"""

from collections.abc import Iterable
from datetime import UTC, date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from tenants.common import scope, turns
from tenants.common.money import plain
from tenants.common.months import Month
from tenants.keys.models import MistralKey
from tenants.organizations import outbox
from tenants.organizations.models import Organization
from tenants.registry.models import RegisteredModel
from tenants.spend.calls import SubjectKind
from tenants.spend.models import Balance, Limit, ThresholdAlert

#: What a limit itself is told as, so that 100 can be a threshold like any other.
LIMIT_ITSELF = 0
#: A refused call tells of the limit when so much of it is spent; the rest is worst cases.
_NEARLY = Decimal("0.9")
_HUNDRED = Decimal(100)


def tell_of_limits() -> int:
    """Announce whatever is due, one organization at a time; returns how many announcements."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM spend_alerts_due()")
        due: list[UUID] = [row[0] for row in cursor.fetchall()]
    return sum(turns.each(due, _tell))


def arm_again(limit: Limit, month: date) -> None:
    """Forget that thresholds were told which a limit, as it is now, has not reached."""
    balance = _balance(limit, month)
    rows = ThresholdAlert.objects.filter(limit=limit, period=month)
    # Also those that are not chosen now: chosen again they are no news.
    told = set(rows.values_list("threshold", flat=True))
    reached = _reached(limit, balance, told - {LIMIT_ITSELF}) if balance else []
    rows.exclude(threshold__in=reached).delete()


def _tell(organization_id: UUID) -> int:
    count = 0
    with scope.tenant(organization_id):
        organization = Organization.objects.get()
        month = Month.of(timezone.now(), organization.timezone)
        limits = Limit.objects.filter(monthly_spend__gt=0).order_by("id")
        for limit in limits.select_for_update(no_key=True):
            balance = _balance(limit, month.first_day)
            if balance is None:
                continue
            told = set(
                ThresholdAlert.objects.filter(limit=limit, period=month.first_day).values_list(
                    "threshold", flat=True
                )
            )
            for threshold in _reached(limit, balance, limit.alert_thresholds):
                if threshold not in told:
                    _announce(organization, limit, balance, month, threshold)
                    count += 1
    return count


def _reached(limit: Limit, balance: Balance, thresholds: Iterable[int]) -> list[int]:
    """Which of some thresholds have been reached, lowest first, the limit itself last."""
    allowed = limit.monthly_spend
    if not allowed:
        return []
    reached = [
        threshold
        for threshold in sorted(thresholds)
        if balance.settled * _HUNDRED >= allowed * threshold
    ]
    is_refusing = balance.refused_at is not None and balance.settled >= allowed * _NEARLY
    return [*reached, LIMIT_ITSELF] if balance.settled >= allowed or is_refusing else reached


def _announce(
    organization: Organization, limit: Limit, balance: Balance, month: Month, threshold: int
) -> None:
    alert = ThresholdAlert.objects.create(
        organization=organization, limit=limit, period=month.first_day, threshold=threshold
    )
    data: dict[str, Any] = {
        "subject_kind": limit.subject_kind,
        "subject_id": str(limit.subject_id),
        "month": str(month),
        "limit": plain(limit.monthly_spend or Decimal(0)),
        "spent": plain(balance.settled),
        "held": plain(balance.held),
        "currency": balance.currency,
        "mode": limit.mode,
        "resets_at": month.ends_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
    }
    kind = "spend.limit_reached"
    if threshold != LIMIT_ITSELF:
        kind = "spend.threshold_reached"
        data["threshold"] = threshold
    outbox.announce(
        organization_id=organization.pk,
        kind=kind,
        data=data,
        workspace_id=workspace_of(limit),
        # A limit that was raised may reach the threshold again in the same month.
        once=f"{kind}:{limit.pk}:{month}:{threshold}:{alert.pk}",
    )


def _balance(limit: Limit, month: date) -> Balance | None:
    return Balance.objects.filter(
        organization=limit.organization_id,
        subject_kind=limit.subject_kind,
        subject_id=limit.subject_id,
        period=month,
    ).first()


def workspace_of(limit: Limit) -> UUID | None:
    """Which workspace is concerned; None for the whole organization."""
    kind, subject_id = limit.subject_kind, limit.subject_id
    if kind == SubjectKind.WORKSPACE:
        return subject_id
    part: MistralKey | RegisteredModel | None = None
    if kind == SubjectKind.MODEL:
        part = RegisteredModel.objects.filter(pk=subject_id).first()
    elif kind == SubjectKind.KEY:
        part = MistralKey.objects.filter(pk=subject_id).first()
    return part.workspace_id if part else None
