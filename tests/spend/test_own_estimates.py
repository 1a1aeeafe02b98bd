"""What is estimated of a call that nobody settled is mended by its own settlement, and no other."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from django.utils import timezone

from tenants.spend import recovery
from tenants.spend.calls import SettledState
from tenants.spend.meter import Meter
from tenants.spend.pricing import Quantities, WorstCase
from tests import factories
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
    meter.settle_calls([settlement(same, "1.25"), settlement(earlier, "9.50")])
    mended = {
        event["corrects"]: event["cost"]
        for event in events(organization)
        if event["source"] == "correction"
    }
    assert mended == {
        same.call_id: Decimal("0.25"),
        moment.call_id: -3,
        earlier.call_id: Decimal("0.50"),
    }
    assert ledger(organization)["organization", organization.id] == (Decimal("12.75"), 0)
    excess = "SELECT excess FROM spend_balance WHERE organization_id = %s"
    assert made.as_owner(excess, organization.id) == [(Decimal("0.75"),)] * 4


def test_subjects_of_two_kinds_that_have_one_id_are_two_subjects(meter, organization, workspace):
    other, bystander = (factories.workspace(organization) for _ in range(2))
    meter.settle_calls([settlement(intent(organization, bystander), "0.50")])
    minute_ago = timezone.now() - timedelta(minutes=1)
    crossed = [
        intent(organization, one, worst, model_id=two.id, call_id=made.id_at(minute_ago))
        for one, two, worst in ((workspace, other, "1.00"), (other, workspace, "2.00"))
    ]
    dead = Meter()
    for call in crossed:
        dead.open_calls([call])
    made.die(dead)
    more = [replace(call, call_id=made.id_at(minute_ago)) for call in crossed]
    assert all(verdict.is_accepted for verdict in meter.open_calls(more))
    assert ledger(organization) == recount(organization)
    recovery.recover_orphans_of(organization.id)
    assert ledger(organization) == recount(organization)
    late = [settlement(call, cost) for call, cost in zip(crossed, ("0.10", "0.20"), strict=True)]
    states = meter.settle_calls(late)
    assert [one.state for one in states] == [SettledState.CORRECTED] * 2
    assert ledger(organization) == recount(organization)


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


WORST = {
    "prompt_tokens": 9000,
    "completion_tokens": 800,
    "cached_tokens": 700,
    "pages": 60,
    "annotated_pages": 50,
    "audio_seconds": 400,
    "characters": 3000,
}
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
    call = replace(
        intent(organization, workspace, call_id=made.id_at(timezone.now() - minutes)),
        worst_case=WorstCase(Quantities(**WORST), made.cost_of("1.00")),
    )
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
    assert {name: estimate[name] for name in WORST} == WORST
    assert correction["id"] == id_of_correction(call.call_id)
    assert correction["estimate"] == ""
    assert (correction["answered_model"], correction["http_status"]) == ("mistral-small-2603", 200)
    assert ledger(organization) == recount(organization)
    assert ledger(organization)["organization", organization.id] == (Decimal("0.50"), 0)


def id_of_correction(call_id):
    """What every release must make of a call, lest one posts what another has posted already."""
    text = f"correction of {call_id}"
    named = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
    return UUID(f"{str(call_id)[:15]}{named[15:18]}-8{named[19:22]}-{named[-12:]}")


def test_an_estimate_that_has_no_price_is_mended_by_all_that_the_call_cost(
    meter, organization, workspace
):
    minute_ago = timezone.now() - timedelta(minutes=1)
    unpriced = intent(organization, workspace, None, call_id=made.id_at(minute_ago))
    dead = Meter()
    dead.open_calls([unpriced])
    made.die(dead)
    recovery.recover_orphans_of(organization.id)
    priced = replace(unpriced, worst_case=WorstCase(Quantities(), made.cost_of("1.00")))
    meter.settle_calls([settlement(priced, "0.40")])
    assert [(event["cost"], event["excess"]) for event in events(organization)] == [
        (None, 0),
        (Decimal("0.40"), Decimal("0.40")),
    ]
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 0)


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
