"""Messages that no worker can do: bounded, taken out of the queue, and remembered for people.

A message whose worker died is delivered again, on every broker; one that kills each worker would be
delivered for ever. So repeats are counted, in the database that all workers share, and after a few
the message is parked. What it was about is not lost: the rows themselves say what is due, and the
sweeps ask for it again.
"""

from datetime import timedelta

import structlog
from django.db import DatabaseError, connection
from django.utils import timezone

from tenants.assistance.models import RepeatedTask

log = structlog.get_logger(__name__)

REASONS = ("repeated", "unknown", "malformed")
#: So many times a message is delivered again before it is parked.
MOST_REPEATS = 4
#: Parked ones are told of for so long.
RECENT = timedelta(days=1)
_FORGOTTEN = timedelta(days=30)
_COUNT = """
    INSERT INTO assistance_repeatedtask (message, task, arguments, deliveries, reason, seen_at)
    VALUES (%(message)s, %(task)s, %(arguments)s, 1, '', now())
    ON CONFLICT (message) DO UPDATE SET
        deliveries = assistance_repeatedtask.deliveries + 1, seen_at = now()
    RETURNING deliveries
"""
_PARK = """
    INSERT INTO assistance_repeatedtask (message, task, arguments, deliveries, reason, seen_at)
    VALUES (%(message)s, %(task)s, '', 1, %(reason)s, now())
    ON CONFLICT (message) DO UPDATE SET reason = %(reason)s, seen_at = now()
"""


def is_spent(message: str, task: str, arguments: str) -> bool:
    """Count one more delivery of a message; tell whether it is to be parked, and note that.

    Without a database nothing can be counted, and it is tried once more.
    """
    facts = {"message": message[:80], "task": task[:100], "arguments": arguments[:200]}
    try:
        with connection.cursor() as cursor:
            cursor.execute(_COUNT, facts)
            [(deliveries,)] = cursor.fetchall()
    except DatabaseError as error:
        log.warning("repeat_not_counted", error=type(error).__name__)
        return False
    log.warning("task_repeated", task=task, deliveries=deliveries)
    if deliveries < MOST_REPEATS:
        return False
    park(message, task, "repeated")
    return True


def park(message: str, task: str, reason: str) -> None:
    """Note that a message was taken out of the queue; never in the way of the others.

    Args:
        message: its id.
        task: its name, or that of the queue.
        reason: ``repeated``, ``unknown`` or ``malformed``.
    """
    log.error("task_parked", task=task[:100], reason=reason)
    facts = {"message": message[:80], "task": task[:100], "reason": reason}
    try:
        with connection.cursor() as cursor:
            cursor.execute(_PARK, facts)
        RepeatedTask.objects.filter(seen_at__lt=timezone.now() - _FORGOTTEN).delete()
    except (DatabaseError, ValueError) as error:  # the latter: a name with a NUL in it
        log.warning("parking_not_noted", error=type(error).__name__)


def parked() -> list[RepeatedTask]:
    """List what was parked within the last day, newest first."""
    recent = RepeatedTask.objects.filter(seen_at__gte=timezone.now() - RECENT)
    return list(recent.exclude(reason=""))
