"""Looks at the work in the background, and at the disk: whether what is due gets done."""

import shutil
from collections import Counter
from collections.abc import Iterator

from django.conf import settings

from aisuru_mistral.doctor.findings import Finding, Look, fail, ok, warn
from tenants.assistance import parking, workers
from tenants.support import figures

_LEAST_FREE = 1024**3
_MANY = 10_000


def looks(*, has_database: bool = True) -> dict[str, Look]:
    """The looks, by name; a full disk may be why there is no database."""
    if not has_database:
        return {"disk": _disk}
    return {
        "workers": _workers,
        "work": _work,
        "queue": _queue,
        "parked": _parked,
        "disk": _disk,
    }


def _workers() -> Iterator[Finding]:
    heard = [one for one in workers.workers() if not workers.is_silent(one)]
    if heard:
        yield ok("workers", f"{', '.join(one.name for one in heard)}: heard of within minutes")
    else:
        yield fail(
            "workers",
            "no worker has finished a task in the last minutes",
            "start a worker and beat; if they run, see what they log",
        )


def _work() -> Iterator[Finding]:
    late = figures.late(figures.figures() + figures.lags())
    for figure in late:
        yield fail(
            "work",
            f"{figure.name.replace('_', ' ')}: {figure.amount}, the oldest since "
            f"{figure.oldest_at:%Y-%m-%d %H:%M} UTC",
            "see that beat and at least one worker run, and what they log",
        )
    if not late:
        yield ok("work", "nothing that is due waits for long")


def _queue() -> Iterator[Finding]:
    for queue in figures.queues() or ():
        if queue.length > _MANY:
            yield warn(
                "queue",
                f"{queue.length} tasks wait in {queue.name}",
                "start more workers, or see why they are slow",
            )


def _parked() -> Iterator[Finding]:
    found = parking.parked()
    for (task, reason), count in Counter((one.task, one.reason) for one in found).items():
        yield warn(
            "parked",
            f"{count} messages for {task or 'no task'} were taken out of the queue: {reason}",
            "see task_parked in the workers' log; repeated: it ended its worker each time",
        )
    if not found:
        yield ok("parked", "no message was taken out of the queue in the last day")


def _disk() -> Iterator[Finding]:
    folder = settings.DATA_DIR if settings.DATA_DIR.exists() else settings.BASE_DIR
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE:
        yield warn(
            "disk",
            f"{free // 1024**2} MiB are free at {folder}",
            "make room: PostgreSQL stops when its disk is full",
        )
    else:
        yield ok("disk", f"{free // 1024**3} GiB are free at {folder}")
