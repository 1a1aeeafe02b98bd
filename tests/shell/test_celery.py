"""Celery: every process of the service sends its tasks to the service's own queue."""

import subprocess
import sys
from datetime import timedelta
from types import SimpleNamespace

from django.utils import timezone

from aisuru_mistral.celery import say_that_it_lives
from tenants.assistance import workers
from tenants.assistance.models import WorkerSeen
from tenants.common.models import new_id
from tests.postgres import service_environment

PROBE = """
import django; django.setup()
from tenants.keys.tasks import validate
print(validate.app.main, validate.app.conf.broker_url, validate.app.conf.task_default_queue)
"""


def test_a_process_that_only_sets_django_up_uses_our_queue():
    result = subprocess.run(
        [sys.executable, "-c", PROBE],
        env=service_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.split() == ["aisuru_mistral", "pgmq://", "aisuru"]


def test_a_worker_says_that_it_lives_after_a_task_and_not_at_every_one():
    name = f"worker@{new_id().hex}"
    task = SimpleNamespace(request=SimpleNamespace(hostname=name, is_eager=False))
    say_that_it_lives(task=task)
    [seen] = [one for one in workers.workers() if one.name == name]
    assert not workers.is_silent(seen)
    WorkerSeen.objects.filter(name=name).update(seen_at=timezone.now() - timedelta(minutes=4))
    say_that_it_lives(task=task)
    [again] = [one for one in workers.workers() if one.name == name]
    assert workers.is_silent(again), "it said so half a minute ago, and writes no more"
    workers._noted.clear()
    WorkerSeen.objects.filter(name=name).update(seen_at=timezone.now() - timedelta(days=2))
    workers.note(f"other-{name}")
    assert not WorkerSeen.objects.filter(name=name).exists()


def test_what_is_done_in_the_process_itself_is_no_workers():
    task = SimpleNamespace(request=SimpleNamespace(hostname="nobody@here", is_eager=True))
    say_that_it_lives(task=task)
    assert not WorkerSeen.objects.filter(name="nobody@here").exists()
