"""What is estimated of a call that nobody settled is mended by its own settlement, and no other."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from tenants.spend import recovery
from tenants.spend.calls import SettledState
from tenants.spend.meter import Meter
from tenants.spend.pricing import Quantities
from tests.spend import made
from tests.spend.made import events, intent, ledger, recount, settlement


def test_a_repeated_settlement_mends_no_estimate_of_another_tenants_call_of_the_same_id(
    meter, organization, workspace, stranger
):
    minute_ago = timezone.now() - timedelta(minutes=1)
    dead = Meter()
    mine = intent(organization, workspace, call_id=made.id_at(minute_ago))
    dead.open_calls([mine])
    made.die(dead)
    recovery.recover_orphans_of(organization.id)
    theirs = settlement(intent(stranger, workspace, call_id=mine.call_id), "0.90")
    states = [meter.settle_calls([theirs])[0].state for _ in range(2)]
    assert states == [SettledState.SETTLED, SettledState.DUPLICATE]
    assert len(events(stranger)) == 1
    assert ledger(stranger)["organization", stranger.id] == (Decimal("0.90"), 0)
    assert [event["estimate"] for event in events(organization)] == ["process_died"]


def test_each_late_settlement_is_compared_with_its_own_estimate(meter, organization, workspace):
    at = timezone.now() - timedelta(minutes=1)
    dead = Meter()
    same, moment, earlier = calls = [
        intent(organization, workspace, worst, call_id=made.id_at(instant))
        for worst, instant in (("1", at), ("5", at), ("9", at - timedelta(seconds=1)))
    ]
    dead.open_calls(calls)
    made.die(dead)
    recovery.recover_orphans_of(organization.id)
    meter.settle_calls([settlement(moment, "2.00")])
    assert ledger(organization)["organization", organization.id] == (12, 0)
    meter.settle_calls([settlement(same, "0.25"), settlement(earlier, "9.50")])
    mended = {
        event["corrects"]: event["cost"]
        for event in events(organization)
        if event["source"] == "correction"
    }
    assert mended == {
        same.call_id: Decimal("-0.75"),
        moment.call_id: -3,
        earlier.call_id: Decimal("0.50"),
    }
    assert ledger(organization)["organization", organization.id] == (Decimal("11.75"), 0)


def test_a_call_that_two_processes_died_over_is_one_estimate_and_can_still_be_mended(
    meter, organization, workspace
):
    minute_ago = timezone.now() - timedelta(minutes=1)
    call = intent(organization, workspace, call_id=made.id_at(minute_ago))
    for _ in range(2):
        dying = Meter()
        dying.open_calls([call])
        made.die(dying)
        assert recovery.recover_orphans_of(organization.id) == 1
    assert len(events(organization)) == 1
    assert meter.settle_calls([settlement(call)])[0].state is SettledState.CORRECTED
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 0)


EVERYTHING = {
    "prompt_tokens": 900,
    "completion_tokens": 80,
    "cached_tokens": 70,
    "pages": 6,
    "annotated_pages": 5,
    "audio_seconds": 40,
    "characters": 300,
    "connector_calls": 2,
    "requests": 3,
}


@pytest.mark.parametrize("age", ["of a dead process", "older than any call"])
def test_an_estimate_and_its_correction_add_up_to_what_was_used_in_every_respect(
    age, meter, organization, workspace
):
    minutes = timedelta(minutes=1)
    if age == "older than any call":
        minutes += recovery.LONGEST_CALL
    call = intent(organization, workspace, call_id=made.id_at(timezone.now() - minutes))
    dead = Meter()
    dead.open_calls([call])
    if age == "of a dead process":
        made.die(dead)
    recovery.recover_orphans_of(organization.id)
    late = settlement(call, "0.40", quantities=Quantities(**EVERYTHING))
    unrelated = intent(organization, workspace)
    meter.open_calls([unrelated])
    states = meter.settle_calls([late, settlement(unrelated, "0.10")])
    assert [one.state for one in states] == [SettledState.CORRECTED, SettledState.SETTLED]
    dead.close()
    estimate, correction = [
        event for event in events(organization) if event["id"] != unrelated.call_id
    ]
    assert estimate["estimate"] == ("process_died" if "dead" in age else "never_settled")
    used = {name: (estimate[name] or 0) + (correction[name] or 0) for name in EVERYTHING}
    assert used == EVERYTHING
    assert correction["estimate"] == ""
    assert (correction["answered_model"], correction["http_status"]) == ("mistral-small-2603", 200)
    assert ledger(organization) == recount(organization)
    assert ledger(organization)["organization", organization.id] == (Decimal("0.50"), 0)


def test_the_holds_of_one_tenant_are_recovered_without_those_of_others(
    organization, workspace, stranger
):
    minute_ago = timezone.now() - timedelta(minutes=1)
    dead = Meter()
    mine = intent(organization, workspace, call_id=made.id_at(minute_ago))
    theirs = intent(stranger, workspace, call_id=made.id_at(minute_ago))
    dead.open_calls([mine, theirs])
    made.die(dead)
    assert recovery.recover_orphans_of(organization.id) == 1
    assert [event["id"] for event in events(organization)] == [mine.call_id]
    assert made.holds(stranger) == [theirs.call_id]
    assert recovery.recover_orphans_of(stranger.id) == 1
