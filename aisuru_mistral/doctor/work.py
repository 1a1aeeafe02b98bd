"""Looks at the work in the background, and at the disk: whether what is due gets done."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from aisuru_mistral.doctor.findings import Finding, Look, fail, ok, warn
from tenants.assistance import parking, workers
from tenants.support import figures

_LEAST_FREE = 1024**3
_LEAST_FREE_OF_ODDS = 8 * 1024**2
_SOME = 64 * 1024
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
    folder = settings.DATA_DIR
    has_postgres = (folder / "postgres" / "PG_VERSION").exists()
    kept = "PostgreSQL" if has_postgres else "signs of life, figures and beat's schedule"
    if not folder.is_dir():
        yield fail(
            "disk",
            f"DATA_DIR ({folder}) is not there: {kept} have no place",
            "make it, or set DATA_DIR to a folder that this user may write to",
        )
        return
    if refused := _refuses(folder):
        yield fail(
            "disk",
            f"DATA_DIR ({folder}) takes no file ({refused}): it is for {kept}",
            "make room, mount it to be written to, or have this user own it",
        )
        return
    free = shutil.disk_usage(folder).free
    if free < (_LEAST_FREE if has_postgres else _LEAST_FREE_OF_ODDS):
        yield warn(
            "disk",
            f"{free // 1024**2} MiB are free at {folder}, which is for {kept}",
            "make room: PostgreSQL stops when its disk is full"
            if has_postgres
            else "make room, or give the container's /tmp more: processes are taken for dead"
            " that cannot say that they live",
        )
    else:
        yield ok("disk", f"{free // 1024**2} MiB are free at {folder}, which is for {kept}")


def _refuses(folder: Path) -> str:
    """Write a file that has no name, and is gone at once; say why it cannot be."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(_SOME))
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
