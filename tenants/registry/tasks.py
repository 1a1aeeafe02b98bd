"""Addresses and retry policies of publishing models in AIsuru; no decisions."""

from uuid import UUID

from tenants.common.queue import enqueue_on_commit, task
from tenants.registry import publishing, sweeping


@task("registry.publish", soft=110, retries=3)
def publish(organization_id: str, publication_id: str) -> None:
    """Push one model, take it away, or look at it; whatever came meanwhile goes into the queue."""
    if publishing.carry(UUID(organization_id), UUID(publication_id)):
        enqueue_on_commit(publish, organization_id, publication_id)


@task("registry.sweep", soft=30)
def sweep() -> None:
    """Enqueue what is due; the next beat repeats a sweep that failed."""
    for organization_id, publication_id in sweeping.take_due():
        enqueue_on_commit(publish, str(organization_id), str(publication_id))
