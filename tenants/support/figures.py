"""The platform's figures without a row of any tenant: what waits, for how long, how much there is.

A worker's health is told by what it leaves undone: work that waits for minutes is work that nobody
does.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from celery import current_app
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone
from kombu.exceptions import ChannelError

#: What waits longer is not being done.
LATE = timedelta(minutes=5)
_HOUR = 3600
_NOT_FOUND = "404"
#: More are not looked at: a share is a share.
MOST_ANSWERS = 50_000
#: What workers have to do; the longest wait tells of their health.
WAITING = frozenset(
    {"keys_due", "announcements", "invitations_unmailed", "webhooks_due", "mails_due"}
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A count; ``oldest_at`` is since when its oldest waits, if it is of something that waits."""

    name: str
    amount: int
    oldest_at: datetime | None
    is_estimate: bool

    def is_late(self, at: datetime) -> bool:
        """Tell whether something has waited for too long."""
        waits = self.name in WAITING and self.oldest_at is not None
        return waits and self.oldest_at is not None and self.oldest_at < at - LATE


@dataclass(frozen=True, slots=True)
class Queue:
    """Tasks that wait for a worker, where the broker is this database."""

    name: str
    length: int
    oldest_seconds: int | None


def figures() -> list[Figure]:
    """Read them all, in one query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM support_figures()")
        return [Figure(*row) for row in cursor.fetchall()]


def lags() -> list[Figure]:
    """Read what is due to be told and since when, and what checks of keys found within an hour."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT *, false FROM support_lags()")
        return [Figure(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Answers:
    """How many of the newest calls ended in one way, and when the last did."""

    name: str
    amount: int
    last_at: datetime


def answers() -> list[Answers]:
    """Count how Mistral answered within the last hour, most frequent first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM support_answers(make_interval(secs => %s), %s)", [_HOUR, MOST_ANSWERS]
        )
        found = [Answers(*row) for row in cursor.fetchall()]
    return sorted(found, key=lambda one: -one.amount)


def queues() -> list[Queue] | None:
    """Ask the broker, whichever it is, how long its queues are; None when it does not answer.

    One that is not there is empty: Redis has no other empty ones, and elsewhere nobody has sent
    anything yet. In PostgreSQL it is known too since when the oldest waits.
    """
    name = current_app.conf.task_default_queue
    if settings.BROKER_URL.startswith("pgmq"):
        found = _queues_here()
        if found is None or any(queue.name == name for queue in found):
            return found
        return [*found, Queue(name, 0, None)]
    try:
        with current_app.connection_for_read() as broker:
            broker.ensure_connection(max_retries=1, timeout=2)
            channel: Any = broker.default_channel
            length = channel.queue_declare(name, passive=True).message_count
    except Exception as error:  # noqa: BLE001 - each broker raises its own kind
        if not _is_missing(error):
            return None
        length = 0
    return [Queue(name, length, None)]


def _is_missing(error: Exception) -> bool:
    """Tell whether a broker answered, and has no such queue: as a number, or as a word."""
    return isinstance(error, ChannelError) and str(error.reply_code) == _NOT_FOUND


def _queues_here() -> list[Queue] | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('pgmq.meta') IS NOT NULL")
        if cursor.fetchone() != (True,):
            return None
        try:
            cursor.execute(
                "SELECT queue_name, queue_length, oldest_msg_age_sec FROM pgmq.metrics_all()"
            )
        except DatabaseError:
            return None  # queues of somebody else's
        return [Queue(*row) for row in cursor.fetchall()]


def late(found: list[Figure]) -> list[Figure]:
    """Choose what has waited for too long."""
    now = timezone.now()
    return [figure for figure in found if figure.is_late(now)]
