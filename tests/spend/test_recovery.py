"""Orphans: what a dead process left open becomes an estimate, once, and a late truth mends it."""

import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.models import new_id
from tenants.spend import recovery, tasks
from tenants.spend.calls import SettledState
from tenants.spend.meter import Meter
from tenants.spend.models import BatchJob
from tenants.spend.pricing import Quantities, WorstCase
from tests.postgres import owner_url
from tests.spend import made
from tests.spend.made import events, holds, intent, ledger, recount, settlement

NOW = timedelta()
MINUTE_AGO = timedelta(minutes=1)


def of_all(organization, **waits):
    recovery.recover_orphans(**waits)


def of_one(organization, **waits):
    recovery.recover_orphans_of(organization.id, **waits)


@pytest.fixture(params=[of_all, of_one])
def recover(request):
    """Recover the orphans of everybody, or of one organization: these are two functions."""
    return request.param


@pytest.fixture
def orphan(organization, workspace):
    """A call that a process opened a minute ago, before it died."""
    dead = Meter()
    call = intent(organization, workspace, call_id=made.id_at(timezone.now() - MINUTE_AGO))
    dead.open_calls([call])
    made.die(dead)
    return call


def test_a_dead_writers_hold_becomes_an_estimate_of_its_worst_case(recover, orphan, organization):
    recover(organization)
    assert holds(organization) == []
    (event,) = events(organization)
    assert (event["id"], event["estimate"]) == (orphan.call_id, "process_died")
    assert (event["cost"], event["prompt_tokens"], event["completion_tokens"]) == (1, 1000, 500)
    assert (event["outcome"], event["source"], event["requests"]) == ("unknown", "gateway", 1)
    assert ledger(organization) == recount(organization)
    assert ledger(organization)["organization", organization.id] == (1, 0)


def test_a_living_writers_hold_is_left_alone(recover, meter, organization, workspace):
    call = intent(organization, workspace, call_id=made.id_at(timezone.now() - MINUTE_AGO))
    meter.open_calls([call])
    recover(organization, grace=NOW)
    assert holds(organization) == [call.call_id]
    assert events(organization) == []


def test_a_fresh_hold_has_a_moments_grace_until_its_writer_is_back(
    recover, organization, workspace
):
    lost = Meter()
    call = intent(organization, workspace)
    lost.open_calls([call])
    made.die(lost)
    recover(organization)
    assert holds(organization) == [call.call_id]
    recover(organization, grace=NOW)
    assert holds(organization) == []


def test_a_hold_older_than_any_call_may_last_is_recovered_from_a_living_writer(
    recover, meter, organization, workspace
):
    old = made.id_at(timezone.now() - recovery.LONGEST_CALL - MINUTE_AGO)
    meter.open_calls([intent(organization, workspace, call_id=old)])
    recover(organization)
    assert [event["estimate"] for event in events(organization)] == ["never_settled"]


def test_what_a_call_may_have_cost_is_unknown_if_it_was_let_through_without_a_price(
    recover, organization, workspace
):
    priced, unknown = (1, 2), ()
    cases = [
        ("0.50", priced, Quantities(prompt_tokens=1), Decimal("0.50")),
        ("0.50", unknown, Quantities(prompt_tokens=1), Decimal("0.50")),
        ("0", priced, Quantities(prompt_tokens=1), Decimal(0)),
        (None, unknown, Quantities(), Decimal(0)),
        (None, unknown, Quantities(prompt_tokens=1, cached_tokens=1), None),
        (None, unknown, Quantities(completion_tokens=1), None),
        (None, unknown, Quantities(pages=1), None),
        (None, unknown, Quantities(annotated_pages=1), None),
        (None, unknown, Quantities(audio_seconds=1), None),
        (None, unknown, Quantities(characters=1), None),
    ]
    expected, dead = {}, Meter()
    for worst, price_ids, quantities, cost in cases:
        call_id = made.id_at(timezone.now() - MINUTE_AGO)
        call = intent(organization, workspace, worst, call_id=call_id, allows_unpriced=True)
        amount = replace(call.worst_case.cost, price_ids=price_ids)
        dead.open_calls([replace(call, worst_case=WorstCase(quantities, amount))])
        expected[call_id] = cost
    made.die(dead)
    recover(organization)
    assert {event["id"]: event["cost"] for event in events(organization)} == expected


def test_the_hold_of_a_batch_job_is_no_orphan_until_the_job_is_metered(
    recover, organization, workspace
):
    dead = Meter()
    plain, waiting, metered = calls = [
        intent(organization, workspace, call_id=made.id_at(timezone.now() - MINUTE_AGO))
        for _ in range(3)
    ]
    dead.open_calls(calls)
    made.die(dead)
    with scope.tenant(organization.id):
        model = made.registered_model(organization, workspace)
        for call, metered_at in ((waiting, None), (metered, timezone.now())):
            BatchJob.objects.create(
                organization=organization,
                workspace=workspace,
                key=model.key,
                model=model,
                call_id=call.call_id,
                token_id=new_id(),
                period=call.period,
                gives_up_at=timezone.now(),
                metered_at=metered_at,
            )
    recover(organization)
    assert holds(organization) == [waiting.call_id]
    assert {event["id"] for event in events(organization)} == {plain.call_id, metered.call_id}


def test_a_hold_that_somebody_is_at_is_left_alone_and_not_waited_for(recover, orphan, organization):
    with psycopg.connect(owner_url()) as other, connection.cursor() as cursor:
        other.execute("SELECT FROM spend_hold WHERE id = %s FOR UPDATE", [orphan.call_id])
        cursor.execute("SET lock_timeout = '1s'")
        try:
            recover(organization)
        finally:
            cursor.execute("RESET lock_timeout")
    assert holds(organization) == [orphan.call_id]
    recover(organization)
    assert holds(organization) == []


def test_who_finds_no_orphan_says_so(organization):
    ten_years = timedelta(days=3650)
    assert recovery.recover_orphans(grace=ten_years, longest_call=ten_years) == 0
    assert recovery.recover_orphans_of(organization.id) == 0


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
