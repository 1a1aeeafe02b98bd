"""Which workers there are: each says so itself, after a task, at most twice a minute.

Beat has something done every few seconds, so a worker that is silent for minutes hangs, or died, or
nobody gives it work. One that ends in order is forgotten at once.
"""

import time
from datetime import timedelta

import structlog
from django.db import DatabaseError, connection
from django.utils import timezone

from tenants.assistance.models import WorkerSeen

log = structlog.get_logger(__name__)

#: Whoever is silent for longer is told as missing, and forgotten after a day.
SILENT = timedelta(minutes=3)
_FORGOTTEN = timedelta(days=1)
_PAUSE = 30.0
_NOTE = """
    INSERT INTO assistance_workerseen (name, seen_at) VALUES (%s, now())
    ON CONFLICT (name) DO UPDATE SET seen_at = now()
"""
_noted: dict[str, float] = {}


def note(name: str) -> None:
    """Say that a worker lives, unless it was said just now; never in the way of its work."""
    now = time.monotonic()
    if now - _noted.get(name, -_PAUSE) < _PAUSE:
        return
    _noted[name] = now
    try:
        with connection.cursor() as cursor:
            cursor.execute(_NOTE, [name[:200]])
        WorkerSeen.objects.filter(seen_at__lt=timezone.now() - _FORGOTTEN).delete()
    except DatabaseError as error:
        log.warning("worker_not_noted", error=type(error).__name__)


def forget(name: str) -> None:
    """Say that a worker has ended as it should."""
    _noted.pop(name, None)
    try:
        WorkerSeen.objects.filter(name=name[:200]).delete()
    except DatabaseError as error:
        log.warning("worker_not_forgotten", error=type(error).__name__)


def workers() -> list[WorkerSeen]:
    """All that were seen in the last day, by name."""
    return list(WorkerSeen.objects.filter(seen_at__gte=timezone.now() - _FORGOTTEN))


def is_silent(worker: WorkerSeen) -> bool:
    """Tell whether nothing was heard of it for minutes."""
    return worker.seen_at < timezone.now() - SILENT
