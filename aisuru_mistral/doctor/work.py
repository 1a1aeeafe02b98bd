"""Looks at the work in the background, and at the disk: whether what is due gets done."""

import shutil
from collections.abc import Iterator

from django.conf import settings

from aisuru_mistral.doctor.findings import Finding, Look, fail, ok, warn
from tenants.support import figures

_LEAST_FREE = 1024**3
_MANY = 10_000


def looks() -> dict[str, Look]:
    """The looks, by name."""
    return {"work": _work, "queue": _queue, "disk": _disk}


def _work() -> Iterator[Finding]:
    late = figures.late(figures.figures())
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
