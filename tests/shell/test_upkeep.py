"""What goes wrong with no caller to see it: failing tasks, backups, partitions, connections."""

from contextlib import ExitStack
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from celery.app.task import Context
from django.db import DatabaseError, connection
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from aisuru_mistral import telemetry, upkeep
from aisuru_mistral.celery import app, note_that_it_failed, note_that_it_was_done
from tenants.assistance import chores
from tenants.assistance.models import Chore
from tenants.common import turns
from tenants.common.models import new_id
from tests.postgres import owner_url


def nothing():
    """Be a task's work."""


@pytest.fixture
def task():
    """One of this code's that does nothing."""
    name = f"room.{new_id().hex}"
    chores._said.clear()
    app.task(name=name, shared=False)(nothing)
    yield SimpleNamespace(name=name, request=SimpleNamespace(is_eager=False))
    app.tasks.pop(name, None)
    with psycopg.connect(owner_url()) as owner:
        owner.execute("DELETE FROM assistance_chore")


def figures():
    upkeep._read.cache_clear()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(telemetry.page().decode())
        for sample in family.samples
    }


def test_a_task_that_fails_is_counted_until_it_is_done(task):
    note_that_it_was_done(sender=task)
    assert not Chore.objects.exists(), "what never failed has no row"
    for _again in range(3):
        note_that_it_failed(sender=task)
    assert figures()["aim_task_failures", task.name] == 3
    note_that_it_was_done(sender=task)
    assert figures()["aim_task_failures", task.name] == 0
    note_that_it_failed(sender=task)
    assert figures()["aim_task_failures", task.name] == 1, "in a row"


def test_a_walk_that_fails_in_a_later_turn_each_day_is_counted_in_a_row(task, monkeypatch):
    monkeypatch.setattr(turns, "enqueue_on_commit", lambda *_given: None)
    for _day in range(2):
        first: Any = SimpleNamespace(name=task.name, request=Context(is_eager=False))
        with turns.turn(first, "") as mine:
            mine.left_at = new_id()
        note_that_it_was_done(sender=first)
        note_that_it_failed(sender=task)
    assert figures()["aim_task_failures", task.name] == 2
    note_that_it_was_done(sender=task)
    assert figures()["aim_task_failures", task.name] == 0, "its last turn"


def test_what_is_not_tried_any_more_is_told_for_two_days_and_what_is_gone_not_at_all(task):
    note_that_it_failed(sender=task)
    note_that_it_failed(sender=SimpleNamespace(name="keys.sweep", request=task.request))
    assert figures()["aim_task_failures", task.name] == 1
    assert figures()["aim_task_failures", "keys.sweep"] == 1, "web processes know the tasks"
    Chore.objects.filter(name=task.name).update(failed_at=timezone.now() - timedelta(hours=47))
    assert figures()["aim_task_failures", task.name] == 1
    Chore.objects.filter(name=task.name).update(failed_at=timezone.now() - timedelta(hours=49))
    assert ("aim_task_failures", task.name) not in figures()
    note_that_it_failed(sender=task)
    del app.tasks[task.name]
    assert ("aim_task_failures", task.name) not in figures(), "its code is gone"


def test_a_success_is_not_written_at_every_task(task, django_assert_num_queries):
    with django_assert_num_queries(1):
        for _again in range(5):
            note_that_it_was_done(sender=task)


def test_what_is_done_in_the_process_itself_is_not_counted(task):
    task.request.is_eager = True
    note_that_it_failed(sender=task)
    assert not Chore.objects.exists()


def test_celery_calls_them_by_the_tasks_name(task, monkeypatch):
    """By Celery's own tracer, as in a worker."""
    from celery.app.trace import build_tracer  # noqa: PLC0415 - it is this test's alone

    outcomes = iter([ValueError("no"), None])

    def work():
        if (outcome := next(outcomes)) is not None:
            raise outcome

    del app.tasks[task.name]
    made = app.task(name=task.name, shared=False)(work)
    trace = build_tracer(task.name, made, app=app, eager=False, propagate=False)
    request = {"is_eager": False, "hostname": "", "delivery_info": {}}
    trace(str(new_id()), [], {}, request)
    assert chores.failures([task.name])[task.name] == 1
    trace(str(new_id()), [], {}, request)
    assert chores.failures([task.name])[task.name] == 0


def test_a_backup_that_was_made_has_an_age_and_one_that_never_was_has_none(task):
    assert ("aim_backup_age_seconds",) not in figures()
    Chore.objects.create(name=chores.BACKUP, done_at=timezone.now() - timedelta(hours=30))
    assert figures()["aim_backup_age_seconds",] == pytest.approx(30 * 3600, abs=60)
    assert ("aim_task_failures", chores.BACKUP) not in figures()


def test_connections_of_everybody_are_counted(task):
    before = figures()
    with connection.cursor() as cursor:
        cursor.execute("SHOW max_connections")
        [(most,)] = cursor.fetchall()
    assert before["aim_postgres_connections_most",] < int(most), "some are for superusers"
    # Those of other tests may just end: more than they were at some time is enough.
    with ExitStack() as wires:
        for _ in range(10):
            wires.enter_context(psycopg.connect(owner_url()))
        assert figures()["aim_postgres_connections",] > before["aim_postgres_connections",]


def test_the_ledgers_coming_months_are_told(task):
    assert figures()["aim_partitions_ahead",] > 0


def test_a_database_that_is_away_costs_these_figures_and_no_others(task, monkeypatch):
    def away():
        raise DatabaseError

    monkeypatch.setattr(upkeep, "connections", away)
    names = {name for name, *_labels in figures()}
    assert "aim_partitions_ahead" not in names
    assert "aim_platform" in names
