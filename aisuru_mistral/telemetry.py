"""`/metrics`: this process's counters, those of its siblings, and the platform's own figures.

With several web processes on one port, Prometheus reaches any of them: they count in files that all
can read (``PROMETHEUS_MULTIPROC_DIR``, which the entrypoint sets). The platform's figures come from
the database, at most every ten seconds and for every process the same: take their maximum, not
their sum.
"""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import psutil
import structlog
from django.db import DatabaseError
from django.utils import timezone
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from aisuru_mistral.upkeep import UPKEEP
from aisuru_mistral.wishes import ASKED_OF_DATABASE, WISHES
from tenants.assistance import parking, workers
from tenants.assistance.models import WorkerSeen
from tenants.support import figures

log = structlog.get_logger(__name__)

_FRESH = 10


class Platform(Collector):
    """What waits, since when, and how much there is: of all tenants together."""

    def describe(self) -> list[Metric]:
        """Promise nothing, so that registering asks no database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Read them; a database that is away costs its figures, not the page."""
        try:
            found, queues, heard, parked = _read(int(time.monotonic() // _FRESH))
        except DatabaseError as error:
            log.warning("figures_unreadable", error=type(error).__name__)
            yield _degraded(WISHES.keys() - ASKED_OF_DATABASE)
            return
        amounts = GaugeMetricFamily("aim_platform", "How many there are.", labels=["what"])
        ages = GaugeMetricFamily(
            "aim_platform_oldest_seconds", "How long the oldest has waited.", labels=["what"]
        )
        for figure in found:
            amounts.add_metric([figure.name], figure.amount)
            if figure.oldest_at is not None:
                seconds = (timezone.now() - figure.oldest_at).total_seconds()
                ages.add_metric([figure.name], max(seconds, 0.0))
            elif figure.name in figures.WAITING:  # nothing waits: a mean over time needs the zero
                ages.add_metric([figure.name], 0.0)
        lengths = GaugeMetricFamily("aim_queue_length", "Tasks that wait.", labels=["queue"])
        waits = GaugeMetricFamily(
            "aim_queue_oldest_seconds", "How long the oldest task has waited.", labels=["queue"]
        )
        for queue in queues:
            lengths.add_metric([queue.name], queue.length)
            if queue.oldest_seconds is not None:
                waits.add_metric([queue.name], queue.oldest_seconds)
        silence = GaugeMetricFamily(
            "aim_worker_silent_seconds", "Since a worker's last task.", labels=["worker"]
        )
        for worker in heard:
            silence.add_metric([worker.name], (timezone.now() - worker.seen_at).total_seconds())
        stuck = GaugeMetricFamily(
            "aim_tasks_parked", "Taken out of the queue in a day.", labels=["reason"]
        )
        for reason in parking.REASONS:
            stuck.add_metric([reason], parked.count(reason))
        yield from (amounts, ages, lengths, waits, silence, stuck, _degraded(WISHES))


PLATFORM = Platform()
REGISTRY.register(PLATFORM)
REGISTRY.register(UPKEEP)


def page() -> bytes:
    """Write everything in Prometheus's text format."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")  # noqa: TID251 - prometheus-client's own
    if folder is None:
        return generate_latest(REGISTRY)
    for file in Path(folder).glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not psutil.pid_exists(pid):
            mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, folder)  # type: ignore[no-untyped-call]
    registry.register(PLATFORM)
    registry.register(UPKEEP)
    return generate_latest(registry)


def _degraded(names: Iterable[str]) -> Metric:
    """Tell what is done without, as ``/health/ready`` does; nothing of what nobody knows."""
    metric = GaugeMetricFamily("aim_degraded", "Whether it is done without.", labels=["what"])
    for name in names:
        with suppress(DatabaseError):
            metric.add_metric([name], 0 if WISHES[name]() else 1)
    return metric


@lru_cache(maxsize=1)
def _read(
    _moment: int,
) -> tuple[list[figures.Figure], list[figures.Queue], list[WorkerSeen], list[str]]:
    found = figures.figures() + figures.lags()
    reasons = [one.reason for one in parking.parked()]
    return found, figures.queues() or [], workers.workers(), reasons
