"""Figures of what keeps the service going and shows itself to no caller, for ``/metrics``.

Tasks that fail, the last backup, the months that the ledger is prepared for, and how many of
PostgreSQL's connections are taken: from the database, at most every ten seconds.
"""

import time
from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

import structlog
from django.db import DatabaseError, connection
from django.utils import timezone
from django.utils.module_loading import autodiscover_modules
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from aisuru_mistral.celery import app
from tenants.assistance import chores
from tenants.spend import recovery

log = structlog.get_logger(__name__)

_FRESH = 10
#: Of all databases and logins: pg_stat_activity would show those of this login alone.
_CONNECTIONS = """
    SELECT (SELECT sum(numbackends) FROM pg_stat_database)::int,
        current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0)
"""


class _Read(NamedTuple):
    failures: dict[str, int]
    last_backup: datetime | None
    partitions_ahead: int
    connections: int
    most_connections: int


class Upkeep(Collector):
    """Its figures are the same from every process: take their maximum."""

    def describe(self) -> list[Metric]:
        """Promise nothing, so that registering asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read them; a database that is away costs these figures, not the page."""
        try:
            read = _read(int(time.monotonic() // _FRESH))
        except DatabaseError as error:
            log.warning("upkeep_unreadable", error=type(error).__name__)
            return
        failing = GaugeMetricFamily(
            "aim_task_failures", "How often in a row a task has failed.", labels=["task"]
        )
        for task, failures in read.failures.items():
            failing.add_metric([task], failures)
        yield failing
        if read.last_backup is not None:
            age = (timezone.now() - read.last_backup).total_seconds()
            yield GaugeMetricFamily("aim_backup_age_seconds", "Since the last backup.", age)
        for name, told, value in (
            ("aim_partitions_ahead", "Coming months of the ledger.", read.partitions_ahead),
            ("aim_postgres_connections", "Connections that are taken.", read.connections),
            ("aim_postgres_connections_most", "That others may have.", read.most_connections),
        ):
            yield GaugeMetricFamily(name, told, value)


UPKEEP = Upkeep()


def connections() -> tuple[int, int]:
    """Tell how many of PostgreSQL's connections are taken, and how many may be."""
    with connection.cursor() as cursor:
        cursor.execute(_CONNECTIONS)
        [(taken, most)] = cursor.fetchall()
    return taken, most


def _tasks() -> list[str]:
    """Name the tasks of this code: rows of others, from before, tell nothing any more."""
    autodiscover_modules("tasks")  # a web process has had no need of them
    return list(app.tasks)


@lru_cache(maxsize=1)
def _read(_moment: int) -> _Read:
    taken, most = connections()
    failures = chores.failures(_tasks())
    return _Read(failures, chores.last_backup(), recovery.partitions_ahead(), taken, most)
