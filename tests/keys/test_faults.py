"""Workers are killed, databases go away, clocks are wrong, Mistral flaps: a key is judged once."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from threading import Thread

import pytest
from django.db import InterfaceError, OperationalError, connection
from django.utils import timezone

from tenants.common import scope
from tenants.keys import sweeping, validation
from tenants.keys.models import KeyStatus
from tenants.keys.timing import timing
from tenants.organizations.models import Announcement, AuditEvent
from tests.keys.keyring import checked, fresh, name_of, registered, set_back

LONG_AGO = 10_000_000
#: Where a worker dies, and how often Mistral was asked by then.
STEPS = {
    "in the claim": ("tenants.keys.validation.pacing.take", 0),
    "after the claim": ("tenants.keys.validation._ask", 0),
    "after the answer": ("tenants.keys.validation._commit", 1),
    "in the commit": ("tenants.keys.validation.audit.record", 1),
    "before the acknowledgement": ("tenants.keys.validation.log.info", 1),
}


def die_at(place: str, key, mistral) -> None:
    """Check a key in a process of its own that is killed when it comes to a place."""
    program = (
        "import django, os, sys, uuid; django.setup();"
        "from unittest import mock; from tenants.keys.validation import validate;"
        f"mock.patch({place!r}, lambda *_, **__: os.kill(os.getpid(), 9)).start();"
        "validate(*map(uuid.UUID, sys.argv[1:]))"
    )
    worker = subprocess.run(
        [sys.executable, "-c", program, str(key.organization_id), str(key.id)],
        env={**os.environ, "MISTRAL_API_URL": mistral.url},  # noqa: TID251 - the child needs the database
        timeout=60,
        check=False,
    )
    assert worker.returncode == -signal.SIGKILL


def told(key) -> tuple[list[str], list[str]]:
    """Verbs of the worker's audit rows, and kinds of announcements, of a key."""
    with scope.tenant(key.organization_id):
        events = AuditEvent.objects.filter(target_id=key.pk, actor_kind="worker").order_by("id")
        announced = Announcement.objects.filter(data__key_id=str(key.pk)).order_by("id")
        return [event.verb for event in events], [row.kind for row in announced]


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_any_step_is_followed_by_another_and_all_is_told_once(
    workspace, made_up, mistral, step
):
    place, asked = STEPS[step]
    plain = made_up()
    key = registered(workspace, plain)
    die_at(place, key, mistral)
    assert len(mistral.state.calls(key=name_of(plain), path="/v1/models")) == asked
    left = fresh(key)
    if step == "before the acknowledgement":
        assert (left.status, left.claim) == (KeyStatus.VALID, None)
    else:
        assert (left.status, left.verdict_code) == (KeyStatus.PENDING, "")
        # Killed within the transaction of the claim there is none; later it holds until it lapses.
        assert (left.claim is None) == (step == "in the claim")
        assert told(key) == ([], [])
    set_back(key, held_until=1)
    if left.status == KeyStatus.PENDING:
        set_back(key, next_check_at=LONG_AGO)
        assert (key.organization_id, key.id) in sweeping.take_due()
    key = checked(key)
    assert (key.status, key.claim) == (KeyStatus.VALID, None)
    assert told(key) == (["key.valid"], ["key.validated"])


def test_a_database_that_restarts_during_a_check_loses_nothing(
    workspace, made_up, mistral, settings
):
    settings.KEY_TIMING = {**settings.KEY_TIMING, "read": 9, "answer": 9}
    plain = made_up(directives={"delay": 1})
    key = registered(workspace, plain)
    faults: list[Exception] = []
    backends: list[int] = []

    def work() -> None:
        try:
            connection.ensure_connection()
            backends.append(connection.connection.info.backend_pid)
            validation.validate(key.organization_id, key.id)
        except (OperationalError, InterfaceError) as error:
            faults.append(error)
        finally:
            connection.close()

    worker = Thread(target=work)
    worker.start()
    deadline = time.monotonic() + 30
    while not mistral.state.calls(key=name_of(plain)) and time.monotonic() < deadline:
        time.sleep(0.01)
    with connection.cursor() as cursor:
        # What a restart does to its clients; other tests need theirs.
        cursor.execute("SELECT pg_terminate_backend(%s)", backends)
    worker.join()
    assert len(faults) == 1, "the task's retry policy is for exactly this"
    assert (fresh(key).status, told(key)) == (KeyStatus.PENDING, ([], []))
    set_back(key, held_until=1)
    assert checked(key).status == KeyStatus.VALID
    assert told(key) == (["key.valid"], ["key.validated"])


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_worker_whose_clock_is_wrong_judges_as_any_other(workspace, made_up, monkeypatch, hours):
    today = timezone.localdate()
    key = registered(workspace, made_up(), expires_on=today + timedelta(days=1))
    other = registered(workspace, made_up())
    held = validation._claim(other.organization_id, other.id, timing())
    assert held is not None
    right = timezone.now()
    monkeypatch.setattr("django.utils.timezone.now", lambda: right + timedelta(hours=hours))
    key = checked(key)
    other = checked(other)
    monkeypatch.undo()
    assert key.status == KeyStatus.VALID, "it is not expired by any clock but the worker's"
    assert abs(key.checked_at - right) < timedelta(minutes=5)
    assert key.next_check_at < right + timedelta(days=3)
    assert (other.status, other.claim) == (KeyStatus.PENDING, held.claim), "a claim is not stolen"


def test_a_mistral_that_flaps_never_takes_a_working_key_down(workspace, made_up, mistral):
    plain = made_up()
    key = checked(registered(workspace, plain))
    for answers in (
        ["unauthorized", None, "service_unavailable", None],
        ["service_unavailable", "unauthorized", "rate_limited", None],
        ["billing_inactive", None, "unauthorized", None],
        ["hang", "unauthorized", "garbage", None],
    ):
        mistral.state.change(name_of(plain), behaviour={"sequence": answers, "scope": "models"})
        for _ in answers:
            key = checked(set_back(key, next_check_at=1))
            assert key.status == KeyStatus.VALID
    assert key.doubts == 0
    assert told(key) == (["key.valid"], ["key.validated"]), "and nobody hears of it"


def test_a_refusal_on_both_sides_of_an_outage_is_said_twice(workspace, made_up, mistral):
    plain = made_up()
    key = checked(registered(workspace, plain))
    answers = ["unauthorized", "service_unavailable", "unauthorized"]
    mistral.state.change(name_of(plain), behaviour={"sequence": answers, "scope": "models"})
    for _ in answers:
        key = checked(set_back(key, next_check_at=1))
    assert key.status == KeyStatus.INVALID, "an outage between them says nothing for the key"
    assert told(key)[1] == ["key.validated", "key.invalid"]
    mistral.state.change(name_of(plain), behaviour={})
    assert checked(set_back(key, next_check_at=1)).status == KeyStatus.VALID
    assert told(key)[1][-1] == "key.validated", "it comes back by itself"


def test_a_check_that_finds_something_else_is_remembered_and_one_that_does_not_is_not(
    workspace, made_up, mistral
):
    plain = made_up()
    key = checked(registered(workspace, plain))
    key = checked(set_back(key, next_check_at=1))
    before = (key.status, key.verdict_code)
    mistral.state.change(name_of(plain), behaviour={"error": "billing_inactive"})
    key = checked(set_back(key, next_check_at=1))
    after = (key.status, key.verdict_code)
    assert before != after
    with scope.tenant(key.organization_id):
        history = list(key.verdicts.order_by("id").values_list("status", "verdict_code"))
    assert history == [before, after]
