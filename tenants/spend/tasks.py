"""Addresses and retry policies of the ledger's upkeep; no decisions."""

from uuid import UUID

from celery import shared_task
from django.db import InterfaceError, OperationalError

from tenants.common.queue import enqueue_on_commit
from tenants.keys import trying
from tenants.spend import (
    alerts,
    batches,
    extensions,
    key_use,
    learning,
    probing,
    recovery,
    retention,
    rollups,
    watching,
)
from tenants.spend.meter import MeterUnavailable

_TRANSIENT = (OperationalError, InterfaceError)


@shared_task(
    name="spend.recover_orphans",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=50,
    time_limit=60,
)
def recover_orphans() -> None:
    """Settle what dead processes left open; the next beat repeats a run that failed."""
    recovery.recover_orphans()


@shared_task(
    name="spend.meter_batch",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=_TRANSIENT,
    max_retries=3,
    retry_backoff=5,
    soft_time_limit=900,
    time_limit=960,
)
def meter_batch(organization_id: str, job_id: str) -> None:
    """Ask about one batch job, and meter it when it is over."""
    batches.meter_job(UUID(organization_id), UUID(job_id))


@shared_task(
    name="spend.sweep_batches",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=30,
    time_limit=45,
)
def sweep_batches() -> None:
    """Enqueue the batch jobs that are due; the next beat repeats a sweep that failed."""
    for organization_id, job_id in batches.take_due():
        enqueue_on_commit(meter_batch, str(organization_id), str(job_id))


@shared_task(
    name="spend.prepare_partitions",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=_TRANSIENT,
    max_retries=5,
    retry_backoff=30,
    soft_time_limit=50,
    time_limit=60,
)
def prepare_partitions() -> None:
    """Make the ledger's partitions of the coming months."""
    recovery.prepare_partitions()


@shared_task(
    name="spend.forget_old_events",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=3_000,
    time_limit=3_100,
)
def forget_old_events() -> None:
    """Remove the single calls that nobody keeps; tomorrow's beat repeats a run that failed."""
    retention.forget_old_events()


@shared_task(
    name="spend.roll_up",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=290,
    time_limit=300,
)
def roll_up() -> None:
    """Add to the roll-ups what the ledger has got; the next beat repeats a run that failed."""
    rollups.roll_up()


@shared_task(
    name="spend.sum_up_pages",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=290,
    time_limit=300,
)
def sum_up_pages() -> None:
    """Keep the ledger's indexes whole; the next beat repeats a run that failed."""
    rollups.sum_up_pages()


@shared_task(
    name="spend.note_key_use",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=50,
    time_limit=60,
)
def note_key_use() -> None:
    """Tell keys when they were last used; the next beat repeats a run that failed."""
    key_use.note_key_use()


@shared_task(
    name="spend.watch_models",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=_TRANSIENT,
    max_retries=3,
    retry_backoff=60,
    soft_time_limit=3_000,
    time_limit=3_100,
)
def watch_models() -> None:
    """Tell which aliases moved and which models retire; what was told is not told again."""
    watching.watch_models()


@shared_task(
    name="spend.tell_of_limits",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=50,
    time_limit=60,
)
def tell_of_limits() -> None:
    """Announce the thresholds that were reached; the next beat repeats a run that failed."""
    alerts.tell_of_limits()


@shared_task(
    name="spend.end_extensions",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=50,
    time_limit=60,
)
def end_extensions() -> None:
    """Let limits go back whose extension is over; the next beat repeats a run that failed."""
    extensions.end_due()


@shared_task(
    name="spend.learn_outputs",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=3_000,
    time_limit=3_100,
)
def learn_outputs() -> None:
    """Learn how long answers usually are; tomorrow's beat repeats a run that failed."""
    learning.learn_outputs()


@shared_task(
    name="spend.probe_key",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=(*_TRANSIENT, MeterUnavailable),
    max_retries=3,
    retry_backoff=5,
    soft_time_limit=110,
    time_limit=130,
)
def probe_key(organization_id: str, probe_id: str) -> None:
    """Make one paid trial of a key that somebody asked for."""
    probing.probe(UUID(organization_id), UUID(probe_id))


@shared_task(
    name="spend.sweep_probes",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=30,
    time_limit=45,
)
def sweep_probes() -> None:
    """Enqueue trials that a dead broker or worker left; the next beat repeats it."""
    for organization_id, probe_id in trying.take_lost():
        enqueue_on_commit(probe_key, str(organization_id), str(probe_id))
