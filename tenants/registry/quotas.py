"""Remembers what Mistral has let us know of its limits, so that a restart and people can read it.

The gateway learns in memory and saves now and then.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.prepared import Prepared
from tenants.common.problems import Invalid
from tenants.mistral.windows import INFERRED
from tenants.registry import catalog
from tenants.registry.models import (
    ForeignParameters,
    NewEndpoints,
    OnDisconnect,
    QuotaRecord,
    RegisteredModel,
    TrafficPolicy,
)

_NO_WINDOWS: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of one quota, when its windows were as they are here, and the last reset."""

    windows: tuple[Mapping[str, Any], ...] = _NO_WINDOWS
    closed_until: datetime | None = None
    outside_plan_until: datetime | None = None
    observed_at: datetime | None = None
    reset_at: datetime | None = None


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
    """What a gateway process saves of one quota; ``saved_after`` is the last reset it knows."""

    quota_code: str
    mistral_model: str
    windows: list[dict[str, Any]]
    used: dict[str, int]
    calls_of_message: float
    closed_until: datetime | None
    outside_plan_until: datetime | None
    saved_after: datetime | None = None


def learned(organization_id: UUID, quota_code: str, mistral_model: str) -> Learned:
    """Find what is known of a quota, inside the tenant's scope."""
    for row in _LEARNED.ask(organization_id, quota_code, mistral_model):
        windows, closed, outside, observed_at, reset_at, saved_after = row
        if reset_at != saved_after:
            return Learned(_of_headers(windows), None, None, observed_at, reset_at)
        return Learned(tuple(windows), closed, outside, observed_at, reset_at)
    return NOTHING_LEARNED


def reset(organization_id: UUID, mistral_model: str | None) -> int:
    """Have what refusals taught forgotten, inside the tenant's scope; return of how many quotas.

    Gateways follow when they read their pictures next. What headers told stays.

    Args:
        organization_id: whose quotas.
        mistral_model: of this model of Mistral's only; None for all.

    Raises:
        Invalid: ``model_unknown``, with ``near_matches``: no calls are counted under this name.
    """
    rows = QuotaRecord.objects.filter(organization_id=organization_id)
    if mistral_model is not None:
        rows = rows.filter(mistral_model=mistral_model)
    count = rows.update(reset_at=timezone.now())
    if mistral_model is not None and not count:
        _refuse_unknown(mistral_model)
    return count


def name_of(snapshot: str, mistral_model: str) -> str:
    """Give the name under which the calls of a registered model are counted."""
    return snapshot or catalog.canonical(mistral_model)


def _refuse_unknown(mistral_model: str) -> None:
    models = RegisteredModel.objects.filter(retired_at=None)
    names = {name_of(*pair) for pair in models.values_list("snapshot", "mistral_model")}
    if mistral_model not in names:
        detail = _(
            "Rate limits of no such model are known here. Use a name that they are listed by."
        )
        near = catalog.near_matches(mistral_model, names)
        raise Invalid.field("/mistral_model", "model_unknown", detail, near_matches=near)


def _of_headers(windows: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    return tuple(window for window in windows if window["window"] != INFERRED)


def policy(organization_id: UUID, workspace_id: UUID) -> Policy:
    """Find what a workspace wishes, inside the tenant's scope."""
    for row in _POLICY.ask(organization_id, workspace_id):
        failover, retries, longest_wait, on_disconnect, parameters, new_endpoints = row
        return Policy(
            failover,
            retries,
            longest_wait,
            OnDisconnect(on_disconnect),
            ForeignParameters(parameters),
            NewEndpoints(new_endpoints),
        )
    return DEFAULT_POLICY


def _learned(organization_id: UUID, code: str, mistral_model: str) -> QuerySet[QuotaRecord, Any]:
    rows = QuotaRecord.objects.filter(
        organization_id=organization_id, quota_code=code, mistral_model=mistral_model
    )
    return rows.values_list(
        "windows",
        "closed_until",
        "outside_plan_until",
        "observed_at",
        "reset_at",
        "saved_after",
    )


def _policy(organization_id: UUID, workspace_id: UUID) -> QuerySet[TrafficPolicy, Any]:
    rows = TrafficPolicy.objects.filter(organization_id=organization_id, workspace_id=workspace_id)
    return rows.values_list(
        "failover",
        "capacity_retries",
        "longest_wait",
        "on_disconnect",
        "parameters",
        "new_endpoints",
    )


_LEARNED = Prepared(_learned, UUID, str, str)
_POLICY = Prepared(_policy, UUID, UUID)


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
            saved_after=seen.saved_after,
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
                "saved_after",
            ],
        )
