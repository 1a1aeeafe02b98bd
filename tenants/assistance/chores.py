"""Work that comes back: tasks that fail again and again, and backups, which nobody sees otherwise.

Workers have no page for Prometheus, so what fails is counted in the database: how often in a row,
by the task's name, of which there are as many as in the code. ``docker/backup.sh`` writes its own
row, with the owner's login, once a dump is whole.
"""

import time
from collections.abc import Collection
from datetime import datetime, timedelta

import structlog
from django.db import DatabaseError, connection
from django.utils import timezone

from tenants.assistance.models import Chore

log = structlog.get_logger(__name__)

BACKUP = "backup"
#: What is done at all is tried again within a day; what was asked for by hand perhaps never is.
_RECENT = timedelta(days=2)
_PAUSE = 30.0
_FAILED = """
    INSERT INTO assistance_chore (name, failures, failed_at) VALUES (%s, 1, now())
    ON CONFLICT (name) DO UPDATE SET
        failures = assistance_chore.failures + 1, failed_at = now()
"""
_DONE = """
    UPDATE assistance_chore SET failures = 0, done_at = now() WHERE name = %s AND failures > 0
"""
_said: dict[str, float] = {}


def note_failure(name: str) -> None:
    """Count that a task failed once more; never in the way of the others."""
    _said.pop(name, None)
    _write(_FAILED, name)


def note_success(name: str) -> None:
    """Say that a task was done, if it had failed; asked of the database every half minute only."""
    now = time.monotonic()
    if now - _said.get(name, -_PAUSE) < _PAUSE:
        return
    _said[name] = now
    _write(_DONE, name)


def failures(names: Collection[str]) -> dict[str, int]:
    """Tell how often in a row, up to now, those of these tasks have failed that failed of late."""
    found = Chore.objects.filter(name__in=names, failed_at__gte=timezone.now() - _RECENT)
    return dict(found.order_by("name").values_list("name", "failures"))


def last_backup() -> datetime | None:
    """Tell when a backup was last made by ``backup.sh``; None where it never was."""
    return Chore.objects.filter(name=BACKUP).values_list("done_at", flat=True).first()


def _write(statement: str, name: str) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement, [name[:100]])
    except DatabaseError as error:
        log.warning("chore_not_noted", error=type(error).__name__)
