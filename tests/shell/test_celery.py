"""Celery: every process of the service sends its tasks to the service's own queue."""

import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery.schedules import schedule
from celery.signals import worker_shutting_down
from celery.worker import state
from django.utils import timezone

from aisuru_mistral import pulse
from aisuru_mistral.beat import Scheduler
from aisuru_mistral.celery import (
    app,
    note_what_is_unknown,
    park_what_is_spent,
    say_that_it_goes,
    say_that_it_lives,
)
from tenants.assistance import parking, workers
from tenants.assistance.models import RepeatedTask, WorkerSeen
from tenants.common import turns
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


def test_a_worker_that_ends_in_order_is_forgotten_and_not_told_as_silent():
    name = f"worker@{new_id().hex}"
    say_that_it_lives(task=SimpleNamespace(request=SimpleNamespace(hostname=name, is_eager=False)))
    say_that_it_goes(sender=SimpleNamespace(hostname=f"another-{name}"))
    assert WorkerSeen.objects.filter(name=name).exists()
    say_that_it_goes(sender=SimpleNamespace(hostname=name))
    assert not WorkerSeen.objects.filter(name=name).exists()


def alive(role, folder):
    """What the probe of a container finds."""
    script = Path(__file__).resolve().parents[2] / "docker" / "entrypoint.sh"
    facts = {"PATH": "/usr/bin:/bin", "DATA_DIR": str(folder)}
    return subprocess.run([script, "alive", role], env=facts, check=False).returncode == 0


def test_the_probe_fails_once_nothing_has_been_done_for_long(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    assert not alive("worker", tmp_path)
    task = SimpleNamespace(request=SimpleNamespace(hostname="w@h", is_eager=False))
    beat = Scheduler(app, lazy=True)
    monkeypatch.setattr(beat, "_store", {"entries": {}}, raising=False)
    for role, work in (("worker", lambda: say_that_it_lives(task=task)), ("beat", beat.tick)):
        for _again in range(2):
            work()
            assert alive(role, tmp_path)
            long_ago = time.time() - 11 * 60
            os.utime(tmp_path / f"{role}-alive", (long_ago, long_ago))
            assert not alive(role, tmp_path)
    say_that_it_goes(sender=SimpleNamespace(hostname="w@h"))


def test_long_work_says_between_its_steps_that_its_worker_lives(settings, tmp_path, monkeypatch):
    settings.DATA_DIR = tmp_path
    name = f"worker@{new_id().hex}"
    monkeypatch.setattr(turns, "_said_at", 0.0)
    task = SimpleNamespace(request=SimpleNamespace(hostname=name, is_eager=False))
    monkeypatch.setattr(type(app), "current_worker_task", task)
    assert not turns.step()
    assert alive("worker", tmp_path)
    assert name in {one.name for one in workers.workers()}
    say_that_it_goes(sender=SimpleNamespace(hostname=name))


def test_long_work_hears_that_its_worker_is_to_stop():
    assert not turns.step()
    try:
        worker_shutting_down.send(sender="w@h", sig="SIGTERM", how="Warm", exitcode=0)
        assert turns.step()
    finally:
        turns.tell_to_stop(stop=False)


def test_no_room_for_a_sign_of_life_is_not_in_the_way(settings, tmp_path):
    settings.DATA_DIR = tmp_path / "gone"
    pulse.note("worker")


def test_what_is_done_in_the_process_itself_is_no_workers():
    task = SimpleNamespace(request=SimpleNamespace(hostname="nobody@here", is_eager=True))
    say_that_it_lives(task=task)
    assert not WorkerSeen.objects.filter(name="nobody@here").exists()


def received(**delivery):
    """A message as a worker receives it."""
    return SimpleNamespace(
        id=str(new_id()),
        request_dict={"retries": 1},
        task_name="keys.validate",
        argsrepr="['an id']",
        message=SimpleNamespace(delivery_info=delivery),
    )


@pytest.mark.parametrize("delivery", [{"redelivered": True}, {"pgmq_message": {"read_ct": 2}}])
def test_a_message_that_is_delivered_again_and_again_is_parked(delivery):
    request = received(**delivery)
    for _ in range(parking.MOST_REPEATS - 1):
        park_what_is_spent(request=request)
        assert request.id not in state.revoked
    park_what_is_spent(request=request)
    assert request.id in state.revoked
    [parked] = [one for one in parking.parked() if one.message.startswith(request.id)]
    assert (parked.task, parked.arguments) == ("keys.validate", "['an id']")
    assert (parked.reason, parked.deliveries) == ("repeated", parking.MOST_REPEATS)
    parked.delete()


def test_a_message_that_is_delivered_once_is_not_counted():
    request = received(pgmq_message={"read_ct": 1})
    park_what_is_spent(request=request)
    assert not RepeatedTask.objects.filter(message__startswith=request.id).exists()


def test_what_nobody_knows_is_noted_by_its_name_alone():
    identity = str(new_id())
    note_what_is_unknown(name="no.such\x00task", id=identity)  # noted nowhere, and not in the way
    note_what_is_unknown(name="no.such.task", id=identity)
    [parked] = [one for one in parking.parked() if one.message == identity]
    assert (parked.task, parked.arguments, parked.reason) == ("no.such.task", "", "unknown")
    parked.delete()


@pytest.mark.parametrize(("seen", "sent"), [(5 * 3600, ["x"]), (0, [])])
def test_beat_begins_anew_when_the_clock_was_set_back(monkeypatch, seen, sent):
    told = []
    beat = Scheduler(app, lazy=True)
    monkeypatch.setattr(beat, "_store", {"entries": {}}, raising=False)
    later = timezone.now() + timedelta(hours=5)  # what it was before
    beat.schedule["x"] = beat.Entry(
        name="x", task="x", schedule=schedule(5), last_run_at=later, app=app
    )
    beat.__dict__["producer"] = None
    monkeypatch.setattr(beat, "apply_entry", lambda entry, **_: told.append(entry.name))
    beat._seen = time.time() + seen
    beat.tick()
    assert told == sent


def sent_by_a_beat(monkeypatch, folder):
    """What a beat sends as it starts, with the file of the time before if there is one."""
    told = []
    beat = Scheduler(app, schedule_filename=str(folder / "schedule"))
    beat.__dict__["producer"] = None
    monkeypatch.setattr(beat, "apply_entry", lambda entry, **_: told.append(entry.name))
    while not beat.tick():
        pass
    beat.close()
    return told


def test_a_beat_that_remembers_nothing_sends_everything_at_once_and_then_does_not(
    monkeypatch, tmp_path
):
    """A container that is replaced every day would otherwise never do what is daily."""
    first = sent_by_a_beat(monkeypatch, tmp_path)
    assert set(first) >= set(app.conf.beat_schedule)
    again = sent_by_a_beat(monkeypatch, tmp_path)
    daily = {name for name, one in app.conf.beat_schedule.items() if one["schedule"] >= 3600}
    assert len(daily) >= 8
    assert not daily & set(again)
