"""The Celery application: its settings come from Django's, its tasks from the rooms.

A worker that starts may have another keyring than the one before: it has custody audited at once.
Each worker says that it lives, for the support desk and the doctor.
"""

import os
from typing import Any

from celery import Celery
from celery.signals import task_postrun, worker_ready
from django.conf import settings

from aisuru_mistral import correlation
from tenants.common.queue import enqueue_on_commit

__all__ = ["app", "correlation"]  # the latter listens to Celery as soon as it is imported

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aisuru_mistral.settings")  # noqa: TID251 - before settings exist

app = Celery("aisuru_mistral")
app.conf.update(settings.CELERY)
app.conf.beat_schedule = settings.CELERY_BEAT_SCHEDULE
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
        workers.note(task.request.hostname)
