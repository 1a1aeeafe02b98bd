"""Orphans: what a dead process left open becomes an estimate, once, and a late truth mends it."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection
from django.utils import timezone

from tenants.spend import recovery, tasks
from tenants.spend.calls import SettledState
from tenants.spend.meter import Meter
from tenants.spend.pricing import Quantities
from tests.spend import made
from tests.spend.made import events, holds, intent, ledger, recount, settlement

NOW = timedelta()
MINUTE_AGO = timedelta(minutes=1)


@pytest.fixture
def orphan(organization, workspace):
    """A call that a process opened a minute ago, before it died."""
    dead = Meter()
    call = intent(organization, workspace, call_id=made.id_at(timezone.now() - MINUTE_AGO))
    dead.open_calls([call])
    made.die(dead)
    return call


def test_a_dead_writers_hold_becomes_an_estimate_of_its_worst_case(orphan, organization):
    recovery.recover_orphans()
    assert holds(organization) == []
    (event,) = events(organization)
    assert (event["id"], event["estimate"]) == (orphan.call_id, "process_died")
    assert (event["cost"], event["prompt_tokens"], event["completion_tokens"]) == (1, 1000, 500)
    assert (event["outcome"], event["source"], event["requests"]) == ("unknown", "gateway", 1)
    assert ledger(organization) == recount(organization)
    assert ledger(organization)["organization", organization.id] == (1, 0)


def test_a_living_writers_hold_is_left_alone(meter, organization, workspace):
    call = intent(organization, workspace, call_id=made.id_at(timezone.now() - MINUTE_AGO))
    meter.open_calls([call])
    recovery.recover_orphans(grace=NOW)
    assert holds(organization) == [call.call_id]
    assert events(organization) == []


def test_a_fresh_hold_has_a_moments_grace_until_its_writer_is_back(organization, workspace):
    lost = Meter()
    call = intent(organization, workspace)
    lost.open_calls([call])
    made.die(lost)
    recovery.recover_orphans()
    assert holds(organization) == [call.call_id]
    recovery.recover_orphans(grace=NOW)
    assert holds(organization) == []


def test_a_hold_older_than_any_call_may_last_is_recovered_from_a_living_writer(
    meter, organization, workspace
):
    old = made.id_at(timezone.now() - recovery.LONGEST_CALL - MINUTE_AGO)
    meter.open_calls([intent(organization, workspace, call_id=old)])
    recovery.recover_orphans()
    assert [event["estimate"] for event in events(organization)] == ["never_settled"]


def test_recoveries_at_once_post_every_orphan_exactly_once(organization, workspace):
    calls = []
    for _ in range(4):
        dead = Meter()
        for _ in range(3):
            batch = [
                intent(organization, workspace, call_id=made.id_at(timezone.now() - MINUTE_AGO))
                for _ in range(10)
            ]
            dead.open_calls(batch)
            calls += batch
        made.die(dead)

    def recover(_number):
        try:
            return recovery.recover_orphans()
        finally:
            connection.close()

    with ThreadPoolExecutor(6) as pool:
        recovered = list(pool.map(recover, range(6)))
    assert sum(recovered) >= 120  # another test's orphans may be among them
    assert sorted(event["id"] for event in events(organization)) == sorted(
        call.call_id for call in calls
    )
    assert ledger(organization)["organization", organization.id] == (120, 0)


def test_a_late_settlement_posts_the_difference_once(orphan, meter, organization):
    recovery.recover_orphans()
    late = settlement(orphan, "0.40")
    assert [meter.settle_calls([late])[0].state for _ in range(3)] == [
        SettledState.CORRECTED,
        SettledState.DUPLICATE,
        SettledState.DUPLICATE,
    ]
    estimate, correction = events(organization)
    assert (correction["source"], correction["corrects"]) == ("correction", estimate["id"])
    assert correction["cost"] == Decimal("-0.60")
    assert estimate["prompt_tokens"] + correction["prompt_tokens"] == 100
    assert estimate["completion_tokens"] + correction["completion_tokens"] == 50
    assert estimate["requests"] + correction["requests"] == 1
    assert correction["occurred_at"] == estimate["occurred_at"]
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 0)
    assert ledger(organization) == recount(organization)


def test_a_late_settlement_beyond_the_estimate_is_excess(orphan, meter, organization):
    recovery.recover_orphans()
    meter.settle_calls([settlement(orphan, "1.10")])
    assert [event["excess"] for event in events(organization)] == [0, Decimal("0.10")]
    assert ledger(organization) == recount(organization)


def test_a_late_settlement_without_a_price_leaves_the_estimate_standing(
    orphan, meter, organization
):
    recovery.recover_orphans()
    meter.settle_calls([settlement(orphan, None)])
    assert [event["cost"] for event in events(organization)] == [1, None]
    assert ledger(organization)["organization", organization.id] == (1, 0)


def test_settlement_and_recovery_at_once_end_with_the_true_cost(organization, workspace):
    for _ in range(10):
        dead, late = Meter(), Meter()
        call = intent(organization, workspace, call_id=made.id_at(timezone.now() - MINUTE_AGO))
        dead.open_calls([call])
        made.die(dead)

        def recover():
            try:
                recovery.recover_orphans()
            finally:
                connection.close()

        with ThreadPoolExecutor(2) as pool:
            done = [
                pool.submit(recover),
                pool.submit(late.settle_calls, [settlement(call, "0.25")]),
            ]
            for future in done:
                future.result()
        late.close()
    assert holds(organization) == []
    assert ledger(organization)["organization", organization.id] == (Decimal("2.50"), 0)
    assert ledger(organization) == recount(organization)


def test_a_call_opened_again_after_its_recovery_still_costs_what_it_used(
    orphan, meter, organization
):
    recovery.recover_orphans()
    assert meter.open_calls([orphan])[0].is_accepted
    meter.settle_calls([settlement(orphan, "0.40", quantities=Quantities(prompt_tokens=1))])
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 0)
    assert ledger(organization) == recount(organization)


def test_a_settled_call_that_is_opened_again_by_a_dying_process_is_released_and_counted_once(
    organization, workspace
):
    dying = Meter()
    call = intent(organization, workspace, call_id=made.id_at(timezone.now() - MINUTE_AGO))
    dying.open_calls([call])
    dying.settle_calls([settlement(call, "0.40")])
    dying.open_calls([call])
    made.die(dying)
    recovery.recover_orphans()
    assert len(events(organization)) == 1
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 0)


def test_after_a_kill_nine_every_opened_call_is_recorded_once(organization, workspace):
    seen: dict[str, set[UUID]] = {"open": set(), "settle": set()}
    arguments = [str(organization.id), str(workspace.id)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.spend.gateway_process", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        for line in process.stdout or ():
            verb, _, call_id = line.strip().partition(" ")
            if len(call_id) == len(str(organization.id)):  # the last line may be cut off
                seen[verb].add(UUID(call_id))
            if len(seen["open"]) == 200:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL

    for _ in range(100):  # PostgreSQL takes a moment to notice the death
        recovery.recover_orphans(grace=NOW)
        if not holds(organization):
            break
        time.sleep(0.1)

    assert holds(organization) == []
    posted = events(organization)
    exact = {event["id"] for event in posted if not event["estimate"]}
    estimated = {event["id"] for event in posted if event["estimate"] == "process_died"}
    assert len(posted) == len(exact) + len(estimated)
    assert seen["open"] <= exact | estimated
    assert seen["settle"] <= exact
    assert len(estimated) >= len(seen["open"]) // 2
    assert ledger(organization) == recount(organization)


def test_the_tasks_do_the_work_they_name(orphan, organization):
    tasks.recover_orphans()
    assert holds(organization) == []
    tasks.prepare_partitions()
    assert recovery.prepare_partitions() == 0
