"""The Celery application: its settings come from Django's, its tasks from the rooms.

A worker that starts may have another keyring than the one before: it has custody audited at once.
Each worker says that it lives, for the support desk, the doctor and its own container's probe, and
says when it goes. Long work hears when its worker is to stop. Tasks that fail are counted. No
message is delivered for ever: what kills its workers, and what nobody can read, is parked.
"""

import os
from typing import Any

from celery import Celery
from celery.signals import (
    task_failure,
    task_postrun,
    task_received,
    task_rejected,
    task_success,
    task_unknown,
    worker_ready,
    worker_shutdown,
    worker_shutting_down,
)
from celery.worker import state
from django.conf import settings
from django.db import connection
from django.dispatch import receiver
from kombu.transport import TRANSPORT_ALIASES

from aisuru_mistral import correlation, pulse
from tenants.common import turns
from tenants.common.queue import enqueue_on_commit

__all__ = ["app", "correlation"]  # the latter listens to Celery as soon as it is imported

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aisuru_mistral.settings")  # noqa: TID251 - before settings exist

TRANSPORT_ALIASES["pgmq"] = "aisuru_mistral.queue:Transport"
TRANSPORT_ALIASES["redis"] = TRANSPORT_ALIASES["rediss"] = "aisuru_mistral.redis_queue:Transport"
app = Celery("aisuru_mistral")
app.conf.update(settings.CELERY)
app.conf.beat_schedule = settings.CELERY_BEAT_SCHEDULE
app.conf.beat_scheduler = "aisuru_mistral.beat:Scheduler"
app.autodiscover_tasks()


@worker_ready.connect
def audit_custody_at_start(**_: Any) -> None:
    """Have every stored secret opened once."""
    enqueue_on_commit(app.tasks["keys.audit_custody"])


@task_postrun.connect
def say_that_it_lives(task: Any = None, **_: Any) -> None:
    """Note the worker that has just done something."""
    from tenants.assistance import workers  # noqa: PLC0415 - models, once the apps are there

    if task is not None and task.request.hostname and not task.request.is_eager:
        pulse.note("worker")
        workers.note(task.request.hostname)


@receiver(turns.stepped)
def say_that_it_is_at_it(**_: Any) -> None:
    """Note the worker that is between two steps of something long."""
    say_that_it_lives(task=app.current_worker_task)


@worker_shutting_down.connect
def end_turns(**_: Any) -> None:
    """Have long work of this worker end at its next step; what is left of it goes to others."""
    turns.tell_to_stop()


@task_failure.connect
def note_that_it_failed(sender: Any = None, **_: Any) -> None:
    """Count a task that failed, by its name."""
    from tenants.assistance import chores  # noqa: PLC0415 - models, once the apps are there

    if sender is not None and not sender.request.is_eager:
        chores.note_failure(sender.name)


@task_success.connect
def note_that_it_was_done(sender: Any = None, **_: Any) -> None:
    """Say that a task does not fail any more, if it did; of turns the last one says so."""
    from tenants.assistance import chores  # noqa: PLC0415 - models, once the apps are there

    if sender is None or sender.request.is_eager:
        return
    if not getattr(sender.request, turns.GOES_ON, False):
        chores.note_success(sender.name)


@worker_shutdown.connect
def say_that_it_goes(sender: Any = None, **_: Any) -> None:
    """Forget a worker that ends as it was told to: whoever is silent after that hangs, or died."""
    from tenants.assistance import workers  # noqa: PLC0415 - models, once the apps are there

    if sender is not None and sender.hostname:
        workers.forget(sender.hostname)
        connection.close()


@task_received.connect
def park_what_is_spent(request: Any = None, **_: Any) -> None:
    """Revoke a message that was delivered too often; each time before, its worker died.

    PostgreSQL counts the deliveries of a message, the other brokers say that there was one.
    """
    from tenants.assistance import parking  # noqa: PLC0415 - models, once the apps are there

    delivery = request.message.delivery_info or {}
    counted = delivery.get("pgmq_message", {}).get("read_ct", 1) > 1
    if not (counted or delivery.get("redelivered")):
        return
    message = f"{request.id}-{request.request_dict.get('retries') or 0}"
    if parking.is_spent(message, request.task_name, str(request.argsrepr)):
        state.revoked.add(request.id)
    connection.close()


@task_unknown.connect
def note_what_is_unknown(name: str = "", id: str = "", **_: Any) -> None:  # noqa: A002 - Celery's
    """Note a message for a task that this code does not have; Celery has taken it out."""
    from tenants.assistance import parking  # noqa: PLC0415 - models, once the apps are there

    parking.park(str(id), str(name), "unknown")
    connection.close()


@task_rejected.connect
def note_what_is_malformed(message: Any = None, **_: Any) -> None:
    """Note a message that is no task, or not whole; Celery has taken it out."""
    from tenants.assistance import parking  # noqa: PLC0415 - models, once the apps are there

    headers = message.headers if isinstance(message.headers, dict) else {}
    found = str(headers.get("id") or message.delivery_tag)
    parking.park(found, str(headers.get("task", "")), "malformed")
    connection.close()
