"""Addresses and retry policies of the work on keys; no decisions."""

from uuid import UUID

from celery import shared_task
from django.db import InterfaceError, OperationalError

from tenants.common.problems import Unavailable
from tenants.common.queue import enqueue_on_commit
from tenants.keys import auditing, noticing, sweeping, validation
from tenants.organizations import intake_keys

# The last of them: the service that guards the master keys does not answer.
_TRANSIENT = (OperationalError, InterfaceError, Unavailable)


@shared_task(
    name="keys.validate",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=_TRANSIENT,
    max_retries=3,
    retry_backoff=5,
    soft_time_limit=110,
    time_limit=130,
)
def validate(organization_id: str, key_id: str) -> None:
    """Check one key."""
    validation.validate(UUID(organization_id), UUID(key_id))


@shared_task(
    name="keys.sweep",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=30,
    time_limit=45,
)
def sweep() -> None:
    """Enqueue the checks of keys that are due; the next beat repeats a sweep that failed."""
    for organization_id, key_id in sweeping.take_due():
        enqueue_on_commit(validate, str(organization_id), str(key_id))


@shared_task(
    name="keys.notice_expiring",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=_TRANSIENT,
    max_retries=3,
    retry_backoff=30,
    soft_time_limit=1_000,
    time_limit=1_100,
)
def notice_expiring() -> None:
    """Tell that keys expire soon; what was told is not told again."""
    noticing.notice_expiring()


@shared_task(
    name="keys.audit_custody",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=3_000,
    time_limit=3_100,
)
def audit_custody() -> None:
    """Open every stored secret once, and have those checked that do not open."""
    for organization_id, key_id in auditing.find_unopened():
        enqueue_on_commit(validate, str(organization_id), str(key_id))


@shared_task(
    name="keys.destroy_intake_keys",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=30,
    time_limit=45,
)
def destroy_intake_keys() -> None:
    """Destroy the intake keys whose time is over."""
    intake_keys.destroy_expired()
