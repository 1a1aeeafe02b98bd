"""Long work says that it lives between its steps, and ends there when its time is over."""

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError, connection
from structlog.testing import capture_logs

from tenants.access import expiring
from tenants.accounting import closing
from tenants.accounting import tasks as accounting
from tenants.common import scope, turns
from tenants.common.turns import Turn, WalkFailed, tell_to_stop
from tenants.keys import auditing, noticing
from tenants.keys import tasks as keys
from tenants.notices import forgetting, publishing
from tenants.notices import tasks as notices
from tenants.organizations import walking
from tenants.spend import alerts, extensions, learning, retention, watching
from tenants.spend import tasks as spend
from tests import factories

WALKS = {
    "accounting.close_months": (accounting.close_months, closing, "close_due_of", 0),
    "keys.audit_custody": (keys.audit_custody, auditing, "_audit", []),
    "notices.forget_old": (notices.forget_old, forgetting, "forget_old_of", 0),
    "spend.forget_old_events": (spend.forget_old_events, retention, "_forget_of", 0),
    "spend.learn_outputs": (spend.learn_outputs, learning, "learn_of", 0),
    "spend.watch_models": (spend.watch_models, watching, "watch_models_of", 0),
}
SWEEPS = {
    "spend.tell_of_limits": (alerts.tell_of_limits, alerts, "_tell", "spend_alerts_due"),
    "spend.end_extensions": (extensions.end_due, extensions, "_end_due_of", "spend_extensions_due"),
    "notices.sweep": (publishing.publish_due, publishing, "publish", "notices_unpublished"),
}


@pytest.fixture
def clock(monkeypatch):
    """A monotonic clock that stands still until it is set."""
    now = [1000.0]
    monkeypatch.setattr(turns, "monotonic", lambda: now[0])
    monkeypatch.setattr(turns, "_said_at", 0.0)
    return now


@pytest.fixture
def _told_to_stop():
    tell_to_stop()
    yield
    tell_to_stop(stop=False)


@pytest.fixture
def queued(monkeypatch):
    """What goes back into the queue."""
    found = []
    monkeypatch.setattr(turns, "enqueue_on_commit", lambda task, *ids: found.append((task, *ids)))
    return found


@pytest.fixture
def three():
    """Three organizations, younger than all others; in the order in which they are walked."""
    return sorted(factories.organization().pk for _ in range(3))


def before(organization_id: UUID) -> UUID:
    """Whoever is done when this one is the next."""
    return UUID(int=organization_id.int - 1)


def test_between_steps_a_process_says_every_few_seconds_that_it_lives(clock):
    said = []

    def hear(**_facts) -> None:
        said.append(clock[0])

    turns.stepped.connect(hear)
    for second in (0, 1, 4, 5, 6, 11):
        clock[0] = 1000.0 + second
        turns.step()
    assert said == [1000, 1005, 1011]


def test_a_turn_is_over_when_its_time_is(clock):
    mine = Turn()
    assert not mine.is_over()
    clock[0] += turns.SECONDS
    assert mine.is_over()


def test_a_walk_without_a_turn_goes_to_its_end(three, clock):
    clock[0] += turns.SECONDS
    assert [one for one in walking.organization_ids() if one in three] == three


def test_a_walk_goes_on_as_long_as_its_turn_has_time(three, clock, queued):
    with turns.turn(spend.learn_outputs, str(before(three[0]))) as mine:
        assert list(walking.organization_ids(mine)) == three
    assert queued == [], "nothing is left"


@pytest.mark.usefixtures("_told_to_stop")
@pytest.mark.parametrize("name", WALKS)
def test_a_task_that_is_told_to_stop_ends_behind_a_step_and_the_next_goes_on_there(
    name, three, queued, monkeypatch
):
    task, room, step, result = WALKS[name]
    done: list[UUID] = []

    def do(organization_id, *_others, **_more) -> Any:
        done.append(organization_id)
        return result

    monkeypatch.setattr(room, step, do)
    queued.append((task, str(before(three[0]))))
    for turn, organization_id in enumerate(three, 1):
        [(task, after)] = queued
        queued.clear()
        task(after)
        assert done == three[:turn]
        assert queued == [(task, str(organization_id))]
    task(str(three[-1]))
    assert (done, len(queued)) == (three, 1), "each once, and nothing is left"


@pytest.mark.usefixtures("_told_to_stop")
def test_what_is_told_of_expiring_keys_goes_on_where_it_was_left(three, queued, monkeypatch):
    near = [(organization_id, organization_id) for organization_id in three for _ in range(2)]
    looked_at: list[UUID] = []

    def tenant(organization_id, tenant=scope.tenant) -> Any:
        looked_at.append(organization_id)
        return tenant(organization_id)

    monkeypatch.setattr(noticing, "_near", lambda: near)
    monkeypatch.setattr(scope, "tenant", tenant)
    keys.notice_expiring()
    assert queued.pop() == (keys.notice_expiring, str(three[0]))
    keys.notice_expiring(str(three[0]))
    assert queued.pop() == (keys.notice_expiring, str(three[1]))
    assert looked_at == three[:2]


def test_a_walk_that_fails_itself_puts_nothing_back_into_the_queue(queued, monkeypatch):
    def fail() -> None:
        raise LookupError

    monkeypatch.setattr(scope, "platform", fail)
    with pytest.raises(LookupError):
        spend.learn_outputs()
    assert queued == []


class Failing:
    """Steps that fail for one organization; ``done`` has those for which they did not."""

    def __init__(self, whom: UUID) -> None:
        self.whom = whom
        self.done: list[UUID] = []

    def step(self, result: Any = 0) -> Any:
        def do(organization_id: UUID, *_others: Any, **_more: Any) -> Any:
            if organization_id == self.whom:
                raise LookupError
            self.done.append(organization_id)
            return result

        return do


@pytest.fixture
def failing(three):
    """Steps that fail for the second of the three."""
    return Failing(three[1])


@pytest.mark.parametrize("name", WALKS)
def test_one_that_fails_keeps_nobody_behind_it_from_its_step_and_fails_the_task(
    name, three, failing, queued, monkeypatch
):
    task, room, step, result = WALKS[name]
    monkeypatch.setattr(room, step, failing.step(result))
    with capture_logs() as lines, pytest.raises(WalkFailed):
        task(str(before(three[0])))
    assert (failing.done, queued) == ([three[0], three[2]], [])
    told = [line for line in lines if line["event"] == "organization_failed"]
    assert [line["organization_id"] for line in told] == [str(three[1])]
    assert told[0]["log_level"] == "error"
    assert told[0]["exc_info"], "with a traceback"


@pytest.mark.usefixtures("_told_to_stop")
def test_only_the_last_turn_of_a_walk_fails_and_the_next_walk_tries_again(
    three, failing, queued, monkeypatch
):
    monkeypatch.setattr(learning, "learn_of", failing.step())
    for after, left in (
        (str(before(three[0])), str(three[0])),
        (str(three[0]), f"{three[1]}!"),
        (f"{three[1]}!", f"{three[2]}!"),
    ):
        spend.learn_outputs(after)
        assert queued.pop() == (spend.learn_outputs, left)
    with pytest.raises(WalkFailed):
        spend.learn_outputs(f"{three[2]}!")
    assert (failing.done, queued) == ([three[0], three[2]], [])
    failing.whom = three[0]
    spend.learn_outputs(str(three[0]))
    assert failing.done[2:] == [three[1]]


@pytest.mark.parametrize("times", [1, 2])
def test_what_the_database_interrupts_is_done_once_more(three, times):
    tried: list[UUID] = []

    def work(organization_id: UUID) -> UUID:
        tried.append(organization_id)
        if tried.count(three[1]) <= times and organization_id == three[1]:
            raise OperationalError("deadlock detected")
        return organization_id

    mine = Turn()
    failed = three[1:2] if times == 2 else []
    assert list(turns.each(three, work, mine)) == [one for one in three if one not in failed]
    assert tried == sorted([*three, three[1]])
    assert mine.has_failed == bool(failed)


def test_while_the_database_is_away_a_walk_ends(three, monkeypatch):
    tried: list[UUID] = []

    def away(*organization_id: UUID) -> None:
        tried.extend(organization_id)
        raise OperationalError

    monkeypatch.setattr(connection, "ensure_connection", away)
    with pytest.raises(OperationalError):
        list(turns.each(three, away, Turn()))
    assert tried == three[:1]


def test_without_a_turn_whoever_asked_is_told_when_all_others_are_done(three, failing):
    with pytest.raises(WalkFailed):
        list(turns.each(three, failing.step()))
    assert failing.done == [three[0], three[2]]


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_does_not_end_at_one_that_fails(name, three, failing, monkeypatch):
    sweep, room, step, function = SWEEPS[name]
    rows = [(organization_id,) for organization_id in three]
    cursor = SimpleNamespace(execute=lambda query, _=(): function in query, fetchall=lambda: rows)
    monkeypatch.setattr(room, "connection", SimpleNamespace(cursor=lambda: nullcontext(cursor)))
    monkeypatch.setattr(room, step, failing.step())
    with pytest.raises(WalkFailed):
        sweep()
    assert failing.done == [three[0], three[2]]


@pytest.mark.parametrize("room", [noticing, expiring], ids=["keys", "tokens"])
def test_who_is_told_of_an_end_does_not_depend_on_who_was_to_be_told_before(
    room, three, failing, monkeypatch
):
    def tenant(organization_id, tenant=scope.tenant) -> Any:
        failing.step()(organization_id)
        return tenant(organization_id)

    monkeypatch.setattr(room, "_near", lambda: [(one, one) for one in three])
    monkeypatch.setattr(scope, "tenant", tenant)
    with pytest.raises(WalkFailed):
        room.notice_expiring()
    assert failing.done == [three[0], three[2]]
