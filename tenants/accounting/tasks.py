"""Addresses and retry policies of what compares and closes books; no decisions."""

from collections.abc import Mapping
from uuid import UUID

from celery import Task, shared_task
from django.db import InterfaceError, OperationalError

from tenants.accounting import closing, reconciling, sweeping, synchronizing
from tenants.common.queue import enqueue_on_commit

_TRANSIENT = (OperationalError, InterfaceError)


@shared_task(
    name="accounting.sync",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=_TRANSIENT,
    max_retries=3,
    retry_backoff=5,
    soft_time_limit=110,
    time_limit=130,
)
def sync(organization_id: str, run_id: str) -> None:
    """Carry a sync on; one that takes long goes back into the queue."""
    if synchronizing.carry(UUID(organization_id), UUID(run_id)):
        enqueue_on_commit(sync, organization_id, run_id)


@shared_task(
    name="accounting.reconcile",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=_TRANSIENT,
    max_retries=3,
    retry_backoff=5,
    soft_time_limit=110,
    time_limit=130,
)
def reconcile(organization_id: str, reconciliation_id: str) -> None:
    """Fetch a reconciliation's figures and compare."""
    reconciling.carry(UUID(organization_id), UUID(reconciliation_id))


_WORK: Mapping[str, "Task[..., None]"] = {"sync": sync, "reconciliation": reconcile}


@shared_task(
    name="accounting.sweep",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=30,
    time_limit=45,
)
def sweep() -> None:
    """Enqueue what is due; the next beat repeats a sweep that failed."""
    for work, organization_id, row_id in sweeping.take_due():
        enqueue_on_commit(_WORK[work], str(organization_id), str(row_id))


@shared_task(
    name="accounting.close_months",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=3_000,
    time_limit=3_100,
)
def close_months() -> None:
    """Close the months that are over; the next beat goes on where this one ended."""
    closing.close_due()
