"""Checks run twice, at once, late, or die half-way; a key is always judged in the end, and once."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from celery import Celery
from celery._state import get_current_app
from django.db import connection

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.keys import services, sweeping, tasks, validation
from tenants.keys.judgement import Finding
from tenants.keys.models import KeyStatus, MistralKey, VerdictCode
from tenants.keys.timing import timing
from tests import factories
from tests.factories import ACTOR
from tests.keys.keyring import checked, fresh, name_of, registered, seconds_until, set_back

LONG_AGO = 10_000_000
pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def queue():
    """Return a function that takes what is in the broker: name and arguments of each task."""
    before = get_current_app()
    app = Celery("tests", broker="memory://")
    app.conf.update(task_default_queue="tests", task_ignore_result=True)
    app.set_current()

    def take() -> list[tuple[str, list[str]]]:
        with app.connection_for_read() as broker, broker.SimpleQueue("tests") as messages:
            taken: list[tuple[str, list[str]]] = []
            while True:
                try:
                    message = messages.get_nowait()
                except messages.Empty:
                    return taken
                message.ack()
                taken.append((message.headers["task"], message.payload[0]))

    take()
    yield take
    before.set_current()


def claim(key):
    """Begin a check as a worker does, and then do nothing."""
    claimed = validation._claim(key.organization_id, key.id, timing())
    assert claimed is not None
    return claimed


def test_two_workers_on_one_key_ask_mistral_once(workspace, made_up, mistral):
    plain = made_up(directives={"delay": 0.2})
    key = registered(workspace, plain)

    def work(_number: int) -> None:
        try:
            validation.validate(key.organization_id, key.id)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(work, range(4)))
    assert fresh(key).status == KeyStatus.VALID
    assert len(mistral.state.calls(key=name_of(plain), path="/v1/models")) == 1


def test_a_worker_killed_during_the_call_is_followed_by_another(workspace, made_up, mistral):
    plain = made_up(behaviour={"error": "hang"})
    key = registered(workspace, plain)
    program = (
        "import django, sys, uuid; django.setup();"
        "from django.conf import settings; settings.KEY_TIMING = {'read': 60, 'answer': 60};"
        "from tenants.keys.validation import validate; validate(*map(uuid.UUID, sys.argv[1:]))"
    )
    worker = subprocess.Popen(
        [sys.executable, "-c", program, str(key.organization_id), str(key.id)],
        env={**os.environ, "MISTRAL_API_URL": mistral.url},  # noqa: TID251 - the child needs the database
    )
    deadline = time.monotonic() + 30
    while not mistral.state.calls(key=name_of(plain)) and time.monotonic() < deadline:
        assert worker.poll() is None
        time.sleep(0.02)
    os.kill(worker.pid, signal.SIGKILL)
    assert worker.wait(10) == -signal.SIGKILL

    left = set_back(key, next_check_at=LONG_AGO)
    assert left.claim is not None
    assert (key.organization_id, key.id) not in sweeping.take_due(), "the claim still holds"
    mistral.state.change(name_of(plain), behaviour={})
    assert checked(key).status == KeyStatus.PENDING, "nobody else may check while it holds"

    set_back(key, held_until=1)
    assert (key.organization_id, key.id) in sweeping.take_due()
    key = checked(key)
    assert (key.status, key.claim) == (KeyStatus.VALID, None)


def test_a_crash_after_the_call_leaves_the_key_to_the_next_worker(workspace, made_up, monkeypatch):
    key = registered(workspace, made_up())
    with monkeypatch.context() as patch:
        patch.setattr("tenants.keys.validation.audit.record", lambda **_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            checked(key)
    assert (fresh(key).status, fresh(key).verdict_code) == (KeyStatus.PENDING, "")
    set_back(key, held_until=1)
    key = checked(key)
    assert (key.status, key.attempts) == (KeyStatus.VALID, 0)


def test_a_worker_that_comes_back_late_overwrites_nothing(workspace, made_up):
    key = registered(workspace, made_up())
    late = claim(key)
    set_back(key, held_until=1)
    assert checked(key).status == KeyStatus.VALID
    validation._commit(late, Finding(VerdictCode.KEY_UNKNOWN, http_status=401), timing())
    key = fresh(key)
    assert (key.status, key.verdict_code) == (KeyStatus.VALID, VerdictCode.OK)


def test_a_verdict_on_the_old_secret_is_not_written_on_the_new_one(workspace, made_up):
    key = registered(workspace, made_up())
    late = claim(key)
    services.replace_secret(actor=ACTOR, key=key, plain=Secret(made_up()))
    validation._commit(late, Finding(VerdictCode.BILLING_INACTIVE, http_status=401), timing())
    assert (fresh(key).status, fresh(key).verdict_code) == (KeyStatus.PENDING, "")
    assert checked(key).status == KeyStatus.VALID


def test_a_key_deleted_during_its_check_stays_deleted(workspace, made_up):
    key = registered(workspace, made_up())
    late = claim(key)
    services.delete_key(actor=ACTOR, key=key)
    validation._commit(late, Finding(VerdictCode.OK, models=()), timing())
    key = fresh(key)
    assert (key.status, key.sealed, key.next_check_at) == (KeyStatus.REVOKED, None, None)


def test_a_check_asked_for_during_a_check_is_made_afterwards(workspace, made_up):
    key = checked(registered(workspace, made_up()))
    set_back(key, next_check_at=1)
    running = claim(key)
    services.request_validation(actor=ACTOR, key=key)
    assert checked(key).claim == running.claim, "the running check is not disturbed"
    validation._commit(running, Finding(VerdictCode.OK, models=()), timing())
    assert seconds_until(fresh(key).next_check_at) <= 0
    first = fresh(key).checked_at
    assert checked(key).checked_at > first


def test_a_registered_key_is_enqueued_by_ids_and_left_alone_by_the_sweep_for_a_while(
    workspace, made_up, queue
):
    key = registered(workspace, made_up())
    assert queue() == [("keys.validate", [str(key.organization_id), str(key.id)])]
    set_back(key, next_check_at=LONG_AGO)
    assert (key.organization_id, key.id) not in sweeping.take_due()
    set_back(key, held_until=1)
    assert (key.organization_id, key.id) in sweeping.take_due()


def test_what_a_dead_broker_lost_the_sweep_enqueues_once(workspace, made_up, queue):
    key = registered(workspace, made_up())
    queue()
    set_back(key, next_check_at=LONG_AGO, held_until=1)
    wanted = ("keys.validate", [str(key.organization_id), str(key.id)])
    tasks.sweep()
    assert queue().count(wanted) == 1
    tasks.sweep()
    assert queue().count(wanted) == 0
    tasks.validate(*wanted[1])
    assert fresh(key).status == KeyStatus.VALID


def test_a_broker_that_is_away_fails_no_request(workspace, made_up, unused_tcp_port):
    before = get_current_app()
    app = Celery("tests", broker=f"amqp://127.0.0.1:{unused_tcp_port}")
    app.conf.update(broker_connection_timeout=1)
    app.set_current()
    try:
        key = registered(workspace, made_up())
    finally:
        before.set_current()
    assert fresh(key).status == KeyStatus.PENDING
    assert checked(key).status == KeyStatus.VALID


def test_the_sweep_takes_the_longest_due_first_and_no_more_than_a_batch(
    workspace, made_up, settings
):
    keys = [registered(workspace, made_up()) for _ in range(3)]
    for age, key in enumerate(keys):
        set_back(key, next_check_at=LONG_AGO * (age + 2), held_until=1)
    settings.KEY_TIMING = {**settings.KEY_TIMING, "batch": 2}
    assert {key_id for _organization, key_id in sweeping.take_due()} == {keys[2].id, keys[1].id}


def test_the_sweep_finds_keys_of_every_organization_and_none_that_is_not_due(
    workspace, stranger, made_up
):
    mine = registered(workspace, made_up())
    theirs = registered(factories.default_workspace(stranger), made_up())
    later = checked(registered(workspace, made_up()))
    gone = services.delete_key(actor=ACTOR, key=registered(workspace, made_up()))
    for key in (mine, theirs):
        set_back(key, next_check_at=LONG_AGO, held_until=1)
    found = {key_id for _organization, key_id in sweeping.take_due()}
    assert {mine.id, theirs.id} <= found
    assert not {later.id, gone.id} & found


def test_a_task_for_a_key_that_is_gone_or_unknown_does_nothing(workspace, made_up, organization):
    key = services.delete_key(actor=ACTOR, key=registered(workspace, made_up()))
    tasks.validate(str(key.organization_id), str(key.id))
    assert fresh(key).status == KeyStatus.REVOKED
    tasks.validate(str(organization.id), "00000000-0000-0000-0000-000000000000")


def test_the_database_itself_refuses_a_pending_key_that_is_never_due(workspace, made_up):
    key = registered(workspace, made_up())
    with pytest.raises(Exception, match="key_pending_is_due"), scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(next_check_at=None)
