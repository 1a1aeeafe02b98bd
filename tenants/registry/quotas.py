"""Remembers what Mistral has let us know of its limits, so that a restart and people can read it.

The gateway learns in memory and saves now and then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from tenants.common import scope
from tenants.registry.models import (
    ForeignParameters,
    NewEndpoints,
    OnDisconnect,
    QuotaRecord,
    TrafficPolicy,
)

_NO_WINDOWS: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of one quota, and when its windows were as they are here."""

    windows: tuple[Mapping[str, Any], ...] = _NO_WINDOWS
    closed_until: datetime | None = None
    outside_plan_until: datetime | None = None
    observed_at: datetime | None = None


NOTHING_LEARNED = Learned()


@dataclass(frozen=True, slots=True)
class Policy:
    """A workspace's wishes; see ``TrafficPolicy``."""

    failover: bool = False
    capacity_retries: int = 1
    longest_wait: int = 30
    on_disconnect: OnDisconnect = OnDisconnect.DRAIN
    parameters: ForeignParameters = ForeignParameters.ADAPT
    new_endpoints: NewEndpoints = NewEndpoints.REFUSE


DEFAULT_POLICY = Policy()


@dataclass(frozen=True, slots=True)
class Observation:
    """What a gateway process saves of one quota."""

    quota_code: str
    mistral_model: str
    windows: list[dict[str, Any]]
    used: dict[str, int]
    calls_of_message: float
    closed_until: datetime | None
    outside_plan_until: datetime | None


def learned(organization_id: UUID, quota_code: str, mistral_model: str) -> Learned:
    """Find what is known of a quota, inside the tenant's scope."""
    found = QuotaRecord.objects.filter(
        organization_id=organization_id, quota_code=quota_code, mistral_model=mistral_model
    ).first()
    if found is None:
        return NOTHING_LEARNED
    return Learned(
        tuple(found.windows), found.closed_until, found.outside_plan_until, found.observed_at
    )


def policy(organization_id: UUID, workspace_id: UUID) -> Policy:
    """Find what a workspace wishes, inside the tenant's scope."""
    found = TrafficPolicy.objects.filter(
        organization_id=organization_id, workspace_id=workspace_id
    ).first()
    if found is None:
        return DEFAULT_POLICY
    return Policy(
        found.failover,
        found.capacity_retries,
        found.longest_wait,
        OnDisconnect(found.on_disconnect),
        ForeignParameters(found.parameters),
        NewEndpoints(found.new_endpoints),
    )


def save(organization_id: UUID, observations: Iterable[Observation]) -> None:
    """Save what one process has learned of an organization's quotas; the last to save is right."""
    now = timezone.now()
    rows = [
        QuotaRecord(
            organization_id=organization_id,
            quota_code=seen.quota_code,
            mistral_model=seen.mistral_model,
            windows=seen.windows,
            used=seen.used,
            calls_of_message=seen.calls_of_message,
            observed_at=now,
            closed_until=seen.closed_until,
            outside_plan_until=seen.outside_plan_until,
        )
        # In one order, so that two processes do not wait for each other.
        for seen in sorted(observations, key=lambda one: (one.quota_code, one.mistral_model))
    ]
    with scope.tenant(organization_id):
        QuotaRecord.objects.bulk_create(
            rows,
            update_conflicts=True,
            unique_fields=["organization", "quota_code", "mistral_model"],
            update_fields=[
                "windows",
                "used",
                "calls_of_message",
                "observed_at",
                "closed_until",
                "outside_plan_until",
            ],
        )
