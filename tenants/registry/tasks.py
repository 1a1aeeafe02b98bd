"""Addresses and retry policies of publishing models in AIsuru; no decisions."""

from uuid import UUID

from celery import shared_task
from django.db import InterfaceError, OperationalError

from tenants.common.problems import Unavailable
from tenants.common.queue import enqueue_on_commit
from tenants.registry import publishing, sweeping

# The last of them: the service that guards the master keys does not answer.
_TRANSIENT = (OperationalError, InterfaceError, Unavailable)


@shared_task(
    name="registry.publish",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=_TRANSIENT,
    max_retries=3,
    retry_backoff=5,
    soft_time_limit=110,
    time_limit=130,
)
def publish(organization_id: str, publication_id: str) -> None:
    """Push one model, take it away, or look at it; whatever came meanwhile goes into the queue."""
    if publishing.carry(UUID(organization_id), UUID(publication_id)):
        enqueue_on_commit(publish, organization_id, publication_id)


@shared_task(
    name="registry.sweep",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=30,
    time_limit=45,
)
def sweep() -> None:
    """Enqueue what is due; the next beat repeats a sweep that failed."""
    for organization_id, publication_id in sweeping.take_due():
        enqueue_on_commit(publish, str(organization_id), str(publication_id))
