"""Reads registered models as they stand: not deleted, with status and limit beside each."""

from collections.abc import Iterable
from datetime import date
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from tenants.registry import status
from tenants.registry.models import RegisteredModel
from tenants.registry.status import ModelStatus
from tenants.spend.models import Limit


def present() -> QuerySet[RegisteredModel]:
    """Read models that are not deleted, with all that their status depends on, inside a scope."""
    rows = RegisteredModel.objects.filter(retired_at=None)
    return rows.select_related("organization", "workspace", "key")


def stopped(today: date) -> QuerySet[RegisteredModel]:
    """Read models that may answer no calls for a reason of their own, inside a scope: few of many.

    What ``with_facts`` then says of each decides.
    """
    return present().filter(
        Q(key__status__in=status.STOPPING)
        | Q(key__expires_on__lt=today)
        | Q(workspace__archived_at__isnull=False)
    )


def with_facts(rows: Iterable[RegisteredModel]) -> list[Any]:
    """Add limits and status to models, inside their scope.

    Each gets ``status``, ``blocked_reason``, ``blocked_detail`` (what to do about it, in the
    reader's language) and ``spend_limit`` (a month's; None without one).
    """
    shown: list[Any] = list(rows)
    limits = Limit.objects.filter(subject_kind="model", subject_id__in=[row.pk for row in shown])
    amounts = dict(limits.values_list("subject_id", "monthly_spend"))
    now = timezone.now()
    for row in shown:
        reason = status.of(row, now)
        row.status = (ModelStatus.BLOCKED if reason else ModelStatus.READY).value
        row.blocked_reason = reason.value if reason else None
        row.blocked_detail = status.explain(reason) if reason else None
        row.spend_limit = amounts.get(row.pk)
    return shown
