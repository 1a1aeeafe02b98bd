"""Addresses and retry policies of the ledger's upkeep; no decisions."""

from uuid import UUID

from tenants.common.queue import enqueue_on_commit, task
from tenants.common.turns import turn
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


@task("spend.recover_orphans", soft=50)
def recover_orphans() -> None:
    """Settle what dead processes left open; the next beat repeats a run that failed."""
    recovery.recover_orphans()


@task("spend.meter_batch", soft=900, retries=3)
def meter_batch(organization_id: str, job_id: str) -> None:
    """Ask about one batch job, and meter it when it is over."""
    batches.meter_job(UUID(organization_id), UUID(job_id))


@task("spend.sweep_batches", soft=30)
def sweep_batches() -> None:
    """Enqueue the batch jobs that are due; the next beat repeats a sweep that failed."""
    for organization_id, job_id in batches.take_due():
        enqueue_on_commit(meter_batch, str(organization_id), str(job_id))


@task("spend.prepare_partitions", soft=50, retries=5, pause=30)
def prepare_partitions() -> None:
    """Make the ledger's partitions of the coming months."""
    recovery.prepare_partitions()


@task("spend.forget_old_events", soft=280)
def forget_old_events(after: str = "") -> None:
    """Remove the single calls that nobody keeps; tomorrow's beat repeats a run that failed."""
    with turn(forget_old_events, after) as mine:
        retention.forget_old_events(mine)


@task("spend.roll_up", soft=280)
def roll_up() -> None:
    """Add to the roll-ups what the ledger has got; the next beat repeats a run that failed."""
    rollups.roll_up()


@task("spend.sum_up_pages", soft=280)
def sum_up_pages() -> None:
    """Keep the ledger's indexes whole; the next beat repeats a run that failed."""
    rollups.sum_up_pages()


@task("spend.note_key_use", soft=50)
def note_key_use() -> None:
    """Tell keys when they were last used; the next beat repeats a run that failed."""
    key_use.note_key_use()


@task("spend.watch_models", soft=280, retries=3, pause=60)
def watch_models(after: str = "") -> None:
    """Tell which aliases moved and which models retire; what was told is not told again."""
    with turn(watch_models, after) as mine:
        watching.watch_models(mine)


@task("spend.tell_of_limits", soft=50)
def tell_of_limits() -> None:
    """Announce the thresholds that were reached; the next beat repeats a run that failed."""
    alerts.tell_of_limits()


@task("spend.end_extensions", soft=50)
def end_extensions() -> None:
    """Let limits go back whose extension is over; the next beat repeats a run that failed."""
    extensions.end_due()


@task("spend.learn_outputs", soft=280)
def learn_outputs(after: str = "") -> None:
    """Learn how long answers usually are; tomorrow's beat repeats a run that failed."""
    with turn(learn_outputs, after) as mine:
        learning.learn_outputs(mine)


@task("spend.probe_key", soft=110, retries=3, passes=(MeterUnavailable,))
def probe_key(organization_id: str, probe_id: str) -> None:
    """Make one paid trial of a key that somebody asked for."""
    probing.probe(UUID(organization_id), UUID(probe_id))


@task("spend.sweep_probes", soft=30)
def sweep_probes() -> None:
    """Enqueue trials that a dead broker or worker left; the next beat repeats it."""
    for organization_id, probe_id in trying.take_lost():
        enqueue_on_commit(probe_key, str(organization_id), str(probe_id))
