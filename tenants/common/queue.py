"""What a task is, and how work is handed to Celery: after the commit.

A dead broker loses nothing, a sweep finds it later. What is the same for all tasks (late
acknowledgement, no results, one queue) is the broker's: ``aisuru_mistral/broker.py``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import structlog
from celery import Task, shared_task
from django.db import InterfaceError, OperationalError, transaction

from tenants.common.problems import Unavailable

log = structlog.get_logger(__name__)

#: Seconds that no task takes longer than, but for those that end between their steps when their
#: worker is told to stop: whoever tells it waits a little longer. Long work is done in turns.
LONGEST = 300
# Seconds from the exception to the end of the process.
_MARGIN = 20
#: What passes: the database is away, or the service that guards the master keys does not answer.
_TRANSIENT = (OperationalError, InterfaceError, Unavailable)


def task[**P](
    name: str,
    *,
    soft: int,
    retries: int = 0,
    pause: int = 5,
    passes: tuple[type[Exception], ...] = (),
) -> Callable[[Callable[P, None]], "Task[P, None]"]:
    """Make a function a task: an address, a time limit and a retry policy.

    Args:
        name: the address, ``room.verb``.
        soft: seconds after which it is interrupted by an exception; a little later it is killed.
        retries: how often it is tried again at what passes; 0: the next beat, or a sweep, does.
        pause: seconds before the first of them at most; they double.
        passes: what passes beside a database or a key service that is away.
    """
    again: dict[str, Any] = {
        "autoretry_for": (*_TRANSIENT, *passes),
        "max_retries": retries,
        "retry_backoff": pause,
    }
    return shared_task(
        name=name,
        soft_time_limit=soft,
        time_limit=soft + _MARGIN,
        **(again if retries else {}),
    )


def enqueue_on_commit(task: "Task[..., None]", *ids: str) -> None:
    """Enqueue a task once the open transaction has committed.

    The arguments are ids as text, never a secret. A broker that does not answer is logged and
    forgotten: the row itself says what is still to do.
    """
    transaction.on_commit(partial(_enqueue, task, ids))


def _enqueue(task: "Task[..., None]", ids: tuple[str, ...]) -> None:
    try:
        task.apply_async(args=ids)
    except Exception as error:  # noqa: BLE001 - each broker raises its own kind; the sweep mends it
        log.warning("enqueue_failed", task=task.name, error=type(error).__name__)
