"""Opening and settling: what is held, what is refused, what is posted, and nothing twice."""

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from django.db import connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.common import scope
from tenants.spend.calls import (
    Estimate,
    LimitMode,
    Outcome,
    RefusalReason,
    SettledState,
    Settlement,
    SubjectKind,
)
from tenants.spend.meter import Meter, MeterUnavailable
from tenants.spend.pricing import Quantities
from tests import factories
from tests.spend import made
from tests.spend.made import events, holds, intent, ledger, limit, recount, settlement

ONE = Decimal(1)


def test_an_opened_call_is_held_for_organization_workspace_model_and_key(
    meter, organization, workspace
):
    call = intent(organization, workspace, "1.25", model_id=uuid4())
    (verdict,) = meter.open_calls([call])
    assert verdict.is_accepted
    assert holds(organization) == [call.call_id]
    assert ledger(organization) == {
        ("organization", organization.id): (0, Decimal("1.25")),
        ("workspace", workspace.id): (0, Decimal("1.25")),
        ("model", call.model_id): (0, Decimal("1.25")),
        ("key", call.key_id): (0, Decimal("1.25")),
    }


def test_a_settled_call_leaves_one_event_with_all_its_facts_and_no_hold(
    meter, organization, workspace
):
    call = intent(
        organization, workspace, model_id=uuid4(), message_id="message 7", request_id="request 9"
    )
    meter.open_calls([call])
    (settled,) = meter.settle_calls(
        [settlement(call, "0.40", duration=timedelta(milliseconds=350), correlation_id="c-1")]
    )
    assert settled.state is SettledState.SETTLED
    assert holds(organization) == []
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 0)
    (event,) = events(organization)
    expected = {
        "id": call.call_id,
        "workspace_id": workspace.id,
        "key_id": call.key_id,
        "model_id": call.model_id,
        "source": "gateway",
        "category": "completion",
        "endpoint": "/v1/chat/completions",
        "requested_model": "mistral-small-latest",
        "answered_model": "mistral-small-2603",
        "prompt_tokens": 100,
        "completion_tokens": 50,
        "cached_tokens": 64,
        "requests": 1,
        "cost": Decimal("0.40"),
        "excess": 0,
        "currency": "EUR",
        "price_ids": [1, 2],
        "estimate": "",
        "outcome": "completed",
        "http_status": 200,
        "duration_ms": 350,
        "message_id": "message 7",
        "request_id": "request 9",
        "correlation_id": "c-1",
        "corrects": None,
        "period": call.period,
    }
    assert {name: event[name] for name in expected} == expected
    assert event["occurred_at"].timestamp() * 1000 == call.call_id.int >> 80


def test_repeating_open_and_settle_doubles_nothing(meter, organization, workspace):
    calls = [intent(organization, workspace) for _ in range(3)]
    for _ in range(3):
        assert all(verdict.is_accepted for verdict in meter.open_calls(calls))
    assert ledger(organization)["organization", organization.id] == (0, 3)
    settlements = [settlement(call) for call in calls]
    states = [[one.state for one in meter.settle_calls(settlements)] for _ in range(3)]
    assert states[0] == [SettledState.SETTLED] * 3
    assert states[1] == states[2] == [SettledState.DUPLICATE] * 3
    assert ledger(organization)["organization", organization.id] == (Decimal("1.20"), 0)
    assert len(events(organization)) == 3


def test_one_batch_that_names_a_call_twice_counts_it_once(meter, organization, workspace):
    call = intent(organization, workspace)
    assert len(meter.open_calls([call, call])) == 2
    assert ledger(organization)["organization", organization.id] == (0, 1)
    assert len(meter.settle_calls([settlement(call), settlement(call)])) == 2
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 0)


def test_repeating_an_open_at_the_limit_is_accepted_again(meter, organization, workspace):
    limit(organization, organization, "1.00")
    call = intent(organization, workspace, "1.00")
    for _ in range(2):
        assert meter.open_calls([call])[0].is_accepted
    other = intent(organization, workspace, "0.01")
    first, second = meter.open_calls([call, other])
    assert first.is_accepted
    assert not second.is_accepted
    assert ledger(organization)["organization", organization.id] == (0, 1)


@pytest.mark.parametrize("kind", SubjectKind)
def test_a_call_beyond_a_limit_is_refused_and_the_refusal_names_it(
    kind, meter, organization, workspace
):
    with scope.tenant(organization.id):
        model = made.registered_model(organization, workspace)
    subject = {
        SubjectKind.ORGANIZATION: organization,
        SubjectKind.WORKSPACE: workspace,
        SubjectKind.MODEL: model,
        SubjectKind.KEY: model.key,
    }[kind]
    limit(organization, subject, "1.50")
    facts: Any = {"model_id": model.id, "key_id": model.key_id}
    calls = [intent(organization, workspace, "1.00", **facts) for _ in range(2)]
    assert meter.open_calls([calls[0]])[0].is_accepted
    (verdict,) = meter.open_calls([calls[1]])
    refusal = verdict.refusal
    assert refusal.reason is RefusalReason.LIMIT
    assert (refusal.subject_kind, refusal.subject_id) == (kind, subject.id)
    assert (refusal.limit, refusal.spent, refusal.held) == (Decimal("1.50"), 0, 1)
    assert refusal.currency == "EUR"
    assert holds(organization) == [calls[0].call_id]
    assert ledger(organization)["organization", organization.id] == (0, 1)


def test_a_call_that_fits_to_the_last_nano_unit_is_accepted_and_one_more_is_not(
    meter, organization, workspace
):
    limit(organization, organization, "0.01")
    assert meter.open_calls([intent(organization, workspace, "0.009999999")])[0].is_accepted
    assert not meter.open_calls([intent(organization, workspace, "0.000000002")])[0].is_accepted
    assert meter.open_calls([intent(organization, workspace, "0.000000001")])[0].is_accepted


def test_a_batch_is_judged_in_order_and_a_smaller_call_may_still_fit(
    meter, organization, workspace
):
    limit(organization, organization, "2.00")
    worsts = ("1.50", "1.00", "0.50", "0.01", "0")
    verdicts = meter.open_calls([intent(organization, workspace, worst) for worst in worsts])
    assert [verdict.is_accepted for verdict in verdicts] == [True, False, True, False, True]
    assert ledger(organization)["organization", organization.id] == (0, 2)


def test_one_tenant_at_its_limit_does_not_hold_up_the_rest_of_the_batch(
    meter, organization, workspace, stranger
):
    limit(organization, organization, "0.50")
    theirs = factories.default_workspace(stranger)
    calls = [
        intent(stranger, theirs),
        intent(organization, workspace),
        intent(stranger, theirs),
    ]
    assert [verdict.is_accepted for verdict in meter.open_calls(calls)] == [True, False, True]
    assert ledger(stranger)["organization", stranger.id] == (0, 2)
    assert ledger(organization)["organization", organization.id] == (0, 0)


def test_what_settles_below_its_hold_makes_room_again(meter, organization, workspace):
    limit(organization, organization, "1.00")
    first, second = intent(organization, workspace), intent(organization, workspace, "0.60")
    meter.open_calls([first])
    assert not meter.open_calls([second])[0].is_accepted
    meter.settle_calls([settlement(first, "0.40")])
    assert meter.open_calls([second])[0].is_accepted


def test_an_unknown_price_is_refused_under_a_limit_and_allowed_and_flagged_without(
    meter, organization, workspace
):
    call = intent(organization, workspace, None)
    assert meter.open_calls([call])[0].is_accepted
    meter.settle_calls([settlement(call, None)])
    (event,) = events(organization)
    assert event["cost"] is None
    limit(organization, workspace, "100.00")
    priced, unpriced = intent(organization, workspace), intent(organization, workspace, None)
    verdicts = meter.open_calls([unpriced, priced])
    assert verdicts[0].refusal.reason is RefusalReason.PRICE_UNKNOWN
    assert verdicts[0].refusal.subject_id == workspace.id
    assert verdicts[1].is_accepted
    assert holds(organization) == [priced.call_id]


def test_a_free_call_passes_when_the_budget_is_gone(meter, organization, workspace):
    limit(organization, organization, "0.00")
    assert not meter.open_calls([intent(organization, workspace, "0.000000001")])[0].is_accepted
    free = intent(organization, workspace, "0")
    assert meter.open_calls([free])[0].is_accepted
    meter.settle_calls([settlement(free, "0")])
    assert events(organization)[0]["cost"] == 0


def test_what_mistral_bills_beyond_the_hold_is_posted_and_shown_as_excess(
    meter, organization, workspace
):
    limit(organization, organization, "1.00")
    call = intent(organization, workspace, "1.00")
    meter.open_calls([call])
    meter.settle_calls([settlement(call, "1.75")])
    assert events(organization)[0]["excess"] == Decimal("0.75")
    assert ledger(organization)["organization", organization.id] == (Decimal("1.75"), 0)
    rows = made.as_owner(
        "SELECT excess FROM spend_balance WHERE organization_id = %s", organization.id
    )
    assert rows == [(Decimal("0.75"),)] * 4
    assert not meter.open_calls([intent(organization, workspace, "0.01")])[0].is_accepted


def test_a_limit_in_shadow_refuses_nothing_and_counts_what_it_would_have(
    meter, organization, workspace
):
    limit(organization, organization, "1.00", mode=LimitMode.SHADOW)
    calls = [intent(organization, workspace, worst) for worst in ("0.90", "0.30", "0.20", None)]
    assert all(verdict.is_accepted for verdict in meter.open_calls(calls))
    rows = made.as_owner(
        "SELECT held, shadow_calls, shadow_spend FROM spend_balance WHERE subject_id = %s",
        organization.id,
    )
    assert rows == [(Decimal("1.40"), 3, Decimal("0.50"))]


def test_a_call_in_another_currency_than_the_months_is_refused(meter, organization, workspace):
    assert meter.open_calls([intent(organization, workspace)])[0].is_accepted
    (verdict,) = meter.open_calls([intent(organization, workspace, currency="USD")])
    assert verdict.refusal.reason is RefusalReason.CURRENCY
    assert ledger(organization)["organization", organization.id] == (0, 1)


def test_a_call_that_was_never_sent_costs_nothing_and_can_be_listed(meter, organization, workspace):
    call = intent(organization, workspace)
    meter.open_calls([call])
    meter.settle_calls([Settlement.nothing(call)])
    (event,) = events(organization)
    assert (event["cost"], event["requests"], event["outcome"]) == (0, 0, "not_sent")
    assert ledger(organization)["organization", organization.id] == (0, 0)


def test_a_refusal_of_mistrals_costs_nothing_but_was_a_request(meter, organization, workspace):
    call = intent(organization, workspace)
    meter.open_calls([call])
    meter.settle_calls([Settlement.nothing(call, Outcome.REFUSED, 422)])
    (event,) = events(organization)
    assert (event["cost"], event["requests"], event["http_status"]) == (0, 1, 422)


def test_usage_without_a_hold_is_posted_all_the_same(meter, organization, workspace):
    limit(organization, organization, "0.10")
    call = intent(organization, workspace)
    assert meter.settle_calls([settlement(call)])[0].state is SettledState.SETTLED
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 0)
    assert events(organization)[0]["excess"] == Decimal("0.40")


def test_odd_text_from_outside_is_made_storable_and_spoils_no_other_call(
    meter, organization, workspace
):
    odd = intent(
        organization, workspace, message_id="nul \x00 lone \ud800 " + "x" * 500, request_id="r" * 99
    )
    calls = [odd, intent(organization, workspace)]
    assert all(verdict.is_accepted for verdict in meter.open_calls(calls))
    meter.settle_calls([settlement(call, correlation_id="c\x00" * 99) for call in calls])
    assert len(events(organization)) == 2
    assert {len(event["message_id"]) for event in events(organization)} == {0, 200}


def test_a_call_that_cannot_be_stored_is_refused_alone(meter, organization, workspace):
    good = intent(organization, workspace)
    bad = intent(organization, workspace, Decimal(10) ** 15)
    verdicts = meter.open_calls([good, bad])
    assert verdicts[0].is_accepted
    assert verdicts[1].refusal.reason is RefusalReason.MALFORMED
    assert holds(organization) == [good.call_id]
    settled = meter.settle_calls([settlement(good), settlement(bad, Decimal(10) ** 15)])
    assert [one.state for one in settled] == [SettledState.SETTLED, SettledState.MALFORMED]


@pytest.mark.parametrize(
    "fault",
    [
        psycopg.errors.CardinalityViolation,
        psycopg.errors.ProgramLimitExceeded,
        psycopg.errors.RaiseException,
        psycopg.errors.StatementTooComplex,
    ],
)
def test_a_call_at_which_the_database_stumbles_blocks_no_other(
    meter, organization, workspace, monkeypatch, fault
):
    good, bad = intent(organization, workspace), intent(organization, workspace)
    connected = meter._connected

    class Stumbling:
        def execute(self, query, values, **how):
            if str(bad.call_id) in values[-1]:
                raise fault("no")
            return connected().execute(query, values, **how)

    monkeypatch.setattr(meter, "_connected", Stumbling)
    verdicts = meter.open_calls([good, bad])
    assert verdicts[0].is_accepted
    assert verdicts[1].refusal.reason is RefusalReason.MALFORMED
    settled = meter.settle_calls([settlement(good), settlement(bad)])
    assert [one.state for one in settled] == [SettledState.SETTLED, SettledState.MALFORMED]


def test_a_broken_connection_is_mended_and_nothing_is_doubled(meter, organization, workspace):
    calls = [intent(organization, workspace) for _ in range(2)]
    meter.open_calls(calls)
    pid = meter._connection.info.backend_pid
    with connections["default"].cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
    assert all(verdict.is_accepted for verdict in meter.open_calls(calls))
    assert meter._connection.info.backend_pid != pid
    assert ledger(organization)["organization", organization.id] == (0, 2)


def test_a_database_that_does_not_answer_is_told_as_such(organization, workspace, monkeypatch):
    settings_dict = connections["default"].settings_dict
    monkeypatch.setitem(settings_dict, "HOST", "/nowhere")
    lost = Meter()
    with pytest.raises(MeterUnavailable):
        lost.open_calls([intent(organization, workspace)])
    with pytest.raises(MeterUnavailable):
        lost.settle_calls([settlement(intent(organization, workspace))])
    assert holds(organization) == []


def test_nothing_to_do_asks_nothing(monkeypatch):
    monkeypatch.setattr(psycopg, "connect", None)
    assert Meter().open_calls([]) == []
    assert Meter().settle_calls([]) == []


AMOUNTS = st.decimals(0, 2, places=9, allow_nan=False)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["open", "settle", "repeat", "late"]),
        st.integers(0, 2),
        st.none() | AMOUNTS,
        st.none() | AMOUNTS,
    ),
    max_size=25,
)


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=STEPS, ceiling=st.none() | st.decimals(0, 8, places=2, allow_nan=False))
def test_balances_are_the_sum_of_events_and_holds_whatever_happens(steps, ceiling, meter):
    organization = factories.organization()
    workspace = factories.default_workspace(organization)
    if ceiling is not None:
        limit(organization, organization, ceiling)
    models = [uuid4() for _ in range(3)]
    opened, settled = [], []
    for verb, which, worst, amount in steps:
        if verb == "open":
            calls = [
                intent(organization, workspace, worst, model_id=models[which]) for _ in range(2)
            ]
            verdicts = zip(calls, meter.open_calls(calls), strict=True)
            opened += [call for call, verdict in verdicts if verdict.is_accepted]
        elif verb == "late":
            settled.append(settlement(intent(organization, workspace, worst), amount))
            meter.settle_calls([settled[-1]])
        elif verb == "settle" and opened:
            facts = {"estimate": Estimate.DISCONNECTED, "quantities": Quantities()}
            settled.append(settlement(opened.pop(), amount, **facts))
            meter.settle_calls([settled[-1]])
        elif settled:
            meter.settle_calls(settled[-2:])
    found = {key: value for key, value in ledger(organization).items() if value != (0, 0)}
    assert found == {key: value for key, value in recount(organization).items() if value != (0, 0)}
    assert len(events(organization)) == len(settled)
