"""Addresses and retry policies of what compares and closes books; no decisions."""

from collections.abc import Mapping
from uuid import UUID

from celery import Task

from tenants.accounting import closing, reconciling, sweeping, synchronizing
from tenants.common.queue import enqueue_on_commit, task
from tenants.common.turns import turn


@task("accounting.sync", soft=110, retries=3)
def sync(organization_id: str, run_id: str) -> None:
    """Carry a sync on; one that takes long goes back into the queue."""
    if synchronizing.carry(UUID(organization_id), UUID(run_id)):
        enqueue_on_commit(sync, organization_id, run_id)


@task("accounting.reconcile", soft=110, retries=3)
def reconcile(organization_id: str, reconciliation_id: str) -> None:
    """Fetch a reconciliation's figures and compare."""
    reconciling.carry(UUID(organization_id), UUID(reconciliation_id))


_WORK: Mapping[str, "Task[..., None]"] = {"sync": sync, "reconciliation": reconcile}


@task("accounting.sweep", soft=30)
def sweep() -> None:
    """Enqueue what is due; the next beat repeats a sweep that failed."""
    for work, organization_id, row_id in sweeping.take_due():
        enqueue_on_commit(_WORK[work], str(organization_id), str(row_id))


@task("accounting.close_months", soft=280)
def close_months(after: str = "") -> None:
    """Close the months that are over; what is closed stays so, and the next beat goes on."""
    with turn(close_months, after) as mine:
        closing.close_due(mine)
