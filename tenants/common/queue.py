"""Hand work to Celery after the commit; a dead broker loses nothing, a sweep finds it later."""

from functools import partial

import structlog
from celery import Task
from django.db import transaction

log = structlog.get_logger(__name__)


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
