"""Configured rate limits: how often, and how many tokens, a subject may use.

They are set beside the monthly limit, on an organization, a workspace or a model; every one that
matches a call must pass. Keeping to them is the gateway's work, in memory: they cost no money.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet, Sum
from django.utils import timezone

from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.months import Month
from tenants.common.prepared import Prepared
from tenants.keys.models import MistralKey
from tenants.keys.quota import quota_code
from tenants.registry import catalog
from tenants.spend.calls import LimitMode, SubjectKind
from tenants.spend.models import Limit, SpendLine, UsageEvent

#: Rows that limit any rate.
RATES_SET = (
    Q(requests_per_second__isnull=False)
    | Q(tokens_per_minute__isnull=False)
    | Q(tokens_per_month__isnull=False)
)

_ADD_COUNT = """
    INSERT INTO spend_ratecount AS known
        (id, created_at, organization_id, subject_kind, subject_id, period, refused, watched)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (organization_id, subject_kind, subject_id, period) DO UPDATE
    SET refused = known.refused + excluded.refused, watched = known.watched + excluded.watched
"""


@dataclass(frozen=True, slots=True)
class Rates:
    """The rate limits of one subject; None is no limit."""

    requests_per_second: Decimal | None = None
    tokens_per_minute: int | None = None
    tokens_per_month: int | None = None


@dataclass(frozen=True, slots=True)
class RateLimit:
    """The rate limits set on a subject that a call must pass, or that only count."""

    subject_kind: SubjectKind
    subject_id: UUID
    rates: Rates
    mode: LimitMode


def of(limit: Limit) -> Rates:
    """Read the rate limits of a row."""
    return Rates(limit.requests_per_second, limit.tokens_per_minute, limit.tokens_per_month)


def configured(
    *, organization_id: UUID, workspace_id: UUID, key_id: UUID, model_id: UUID
) -> tuple[RateLimit, ...]:
    """List the rate limits that a call must pass, widest first; inside the scope."""
    found = [
        RateLimit(SubjectKind(kind), subject_id, Rates(*rates), LimitMode(mode))
        for kind, subject_id, mode, *rates in _CONFIGURED.ask(
            organization_id, workspace_id, key_id, model_id
        )
    ]
    order = list(SubjectKind)
    return tuple(sorted(found, key=lambda limit: order.index(limit.subject_kind)))


def _configured(
    organization_id: UUID, workspace_id: UUID, key_id: UUID, model_id: UUID
) -> QuerySet[Limit, Any]:
    return Limit.objects.filter(
        RATES_SET,
        organization_id=organization_id,
        subject_id__in=(organization_id, workspace_id, key_id, model_id),
    ).values_list("subject_kind", "subject_id", "mode", *_RATES)


#: Columns of a row that limit rates, as ``Rates`` has them.
_RATES = ("requests_per_second", "tokens_per_minute", "tokens_per_month")
_CONFIGURED = Prepared(_configured, UUID, UUID, UUID, UUID)


def tokens_of_month(
    *, organization_id: UUID, month: Month, subjects: Iterable[tuple[SubjectKind, UUID]]
) -> dict[UUID, int]:
    """Count the tokens that subjects used in a month, by what is settled in the ledger."""
    counted: dict[UUID, int] = {}
    with scope.tenant(organization_id):
        events = UsageEvent.objects.filter(
            organization_id=organization_id,
            occurred_at__gte=month.starts_at,
            occurred_at__lt=month.ends_at,
        )
        for kind, subject_id in subjects:
            chosen = events
            if kind is not SubjectKind.ORGANIZATION:
                chosen = events.filter(**{f"{kind.value}_id": subject_id})
            sums = chosen.aggregate(
                prompt=Sum("prompt_tokens"), completion=Sum("completion_tokens")
            )
            counted[subject_id] = (sums["prompt"] or 0) + (sums["completion"] or 0)
    return counted


def tokens_of_quota(*, organization_id: UUID, code: str, mistral_model: str, since: date) -> int:
    """Count the tokens that all keys of one quota used with one model since a local day.

    ``code`` says which workspace of Mistral's (``keys.quota``), the model is a snapshot.
    """
    with scope.tenant(organization_id):
        keys = [
            key.pk
            for key in MistralKey.objects.only("id", "mistral_workspace_id", "identity")
            if quota_code(key.pk, key.mistral_workspace_id, key.identity) == code
        ]
        sums = (
            SpendLine.objects.filter(
                organization_id=organization_id,
                period__gte=since.replace(day=1),
                day__gte=since,
                key_id__in=keys,
            )
            .values("mistral_model")
            .annotate(tokens=Sum("prompt_tokens") + Sum("completion_tokens"))
        )
        return sum(
            row["tokens"]
            for row in sums
            if catalog.canonical(row["mistral_model"]) == mistral_model
        )


@dataclass(frozen=True, slots=True)
class RateCounts:
    """Calls that a subject's rates refused in a month, and that shadow mode would have refused."""

    subject_kind: SubjectKind
    subject_id: UUID
    period: date
    refused: int
    watched: int


def add_counts(organization_id: UUID, counts: Iterable[RateCounts]) -> None:
    """Add what one process has counted since it last did."""
    with scope.tenant(organization_id), connection.cursor() as cursor:
        # In one order, so that two processes do not wait for each other.
        for one in sorted(counts, key=lambda count: count.subject_id):
            row = (one.subject_kind.value, one.subject_id, one.period, one.refused, one.watched)
            cursor.execute(_ADD_COUNT, [new_id(), timezone.now(), organization_id, *row])
