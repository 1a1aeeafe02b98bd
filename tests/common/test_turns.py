"""Long work says that it lives between its steps, and ends there when its time is over."""

from typing import Any
from uuid import UUID

import pytest

from tenants.accounting import closing
from tenants.accounting import tasks as accounting
from tenants.common import scope, turns
from tenants.common.turns import Turn, tell_to_stop
from tenants.keys import auditing, noticing
from tenants.keys import tasks as keys
from tenants.notices import forgetting
from tenants.notices import tasks as notices
from tenants.organizations import walking
from tenants.spend import learning, retention, watching
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

    def do(organization_id, *_others) -> Any:
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


def test_a_task_that_fails_puts_nothing_back_into_the_queue(three, queued, monkeypatch):
    def fail(_organization_id) -> None:
        raise LookupError

    monkeypatch.setattr(learning, "learn_of", fail)
    with pytest.raises(LookupError):
        spend.learn_outputs(str(before(three[0])))
    assert queued == []
