"""A call is judged by, and moves, the balances of its own tenant, month and subjects: no others.

Subjects have ids that no two tenants share, so it takes calls that name somebody else's to see
which function looks at more than the id.
"""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.common.months import Month
from tenants.spend import limits, recovery
from tenants.spend.calls import LimitMode, SettledState, SubjectKind, instant_of
from tenants.spend.meter import Meter
from tests import factories
from tests.spend import made
from tests.spend.made import events, intent, ledger, limit, settlement

SHADOW = LimitMode.SHADOW


def balances(column, *organizations):
    """What the balances say that say anything: (organization, kind, month) → figure."""
    rows = made.as_owner(
        f"SELECT organization_id, subject_kind, period, {column} FROM spend_balance"
        f" WHERE organization_id = ANY (%s) AND {column} IS DISTINCT FROM 0",
        [organization.id for organization in organizations],
    )
    return {(owner, kind, period): figure for owner, kind, period, figure in rows}


@pytest.fixture
def last_month():
    """An instant of last month in Rome."""
    return Month.of(timezone.now(), "Europe/Rome").starts_at - timedelta(hours=1)


@pytest.fixture
def full(meter, organization, workspace, stranger, last_month):
    """Alice's workspace, with no room left in either month; her limit in shadow is passed."""
    limit(organization, organization, "0.50", SHADOW)
    limit(stranger, stranger, "0.50", SHADOW)
    limit(organization, workspace, "1.00")
    calls = [
        intent(organization, workspace, "1.00", call_id=made.id_at(instant))
        for instant in (last_month, timezone.now())
    ]
    assert all(verdict.is_accepted for verdict in meter.open_calls(calls))
    return calls


def test_a_full_balance_of_another_tenant_or_month_refuses_nothing(
    full, meter, organization, workspace, stranger
):
    foreign = intent(stranger, workspace, "2.00")
    (verdict,) = meter.open_calls([foreign])
    assert verdict.is_accepted
    meter.settle_calls([settlement(full[1], "0.25")])
    later = intent(organization, workspace, "0.70")
    (verdict,) = meter.open_calls([later])
    assert verdict.is_accepted, "only last month is full now"


def test_what_a_limit_in_shadow_would_have_refused_is_counted_where_it_is_and_nowhere_else(
    full, meter, organization, workspace, stranger
):
    then, now = (call.period for call in full)
    both = [organization, stranger]
    mine = {(organization.id, "organization", period): 1 for period in (then, now)}
    assert balances("shadow_calls", *both) == mine
    foreign = intent(stranger, workspace, "2.00")
    assert meter.open_calls([foreign])[0].is_accepted
    theirs = (stranger.id, "organization", now)
    assert balances("shadow_calls", *both) == mine | {theirs: 1}
    assert balances("shadow_spend", *both) == mine | {theirs: 2}
    meter.open_calls([intent(stranger, workspace, "3.00")])
    assert balances("shadow_calls", *both) == mine | {theirs: 2}
    assert balances("shadow_spend", *both) == mine | {theirs: 5}
    made.as_owner(
        "UPDATE spend_balance SET shadow_limit = 0.01 WHERE organization_id = %s", stranger.id
    )
    limit(organization, workspace, "9.00")
    assert meter.open_calls([intent(organization, workspace, "0.10")])[0].is_accepted
    mine[organization.id, "organization", now] = 2
    assert balances("shadow_calls", *both) == mine | {theirs: 2}


def test_a_full_workspace_says_nothing_of_another_of_the_same_tenant(
    full, meter, organization, workspace
):
    other = factories.workspace(organization)
    limit(organization, other, "0.10", SHADOW)
    before = of_workspaces(organization, full[1])
    assert before[workspace.id] == (1, 0, 0, 0, False)
    call = intent(organization, other, "0.30")
    assert meter.open_calls([call])[0].is_accepted
    after = of_workspaces(organization, full[1])
    assert after == before | {other.id: (Decimal("0.30"), 0, 1, Decimal("0.30"), False)}
    third = factories.workspace(organization)
    assert meter.open_calls([intent(organization, third, "0.05")])[0].is_accepted
    after[third.id] = (Decimal("0.05"), 0, 0, 0, False)
    assert of_workspaces(organization, full[1]) == after
    limit(organization, other, "0.30")
    assert not meter.open_calls([intent(organization, other, "0.01")])[0].is_accepted
    after[other.id] = (Decimal("0.30"), 0, 1, Decimal("0.30"), True)
    assert of_workspaces(organization, full[1]) == after
    meter.settle_calls([settlement(call, "0.20")])
    after[other.id] = (0, Decimal("0.20"), 1, Decimal("0.30"), True)
    assert of_workspaces(organization, full[1]) == after


def of_workspaces(organization, call):
    rows = made.as_owner(
        "SELECT subject_id, held, settled, shadow_calls, shadow_spend, refused_at IS NOT NULL"
        " FROM spend_balance WHERE organization_id = %s AND period = %s"
        " AND subject_kind = 'workspace'",
        organization.id,
        call.period,
    )
    return {subject: tuple(figures) for subject, *figures in rows}


def test_a_full_balance_of_a_model_is_no_workspaces_though_their_ids_are_alike(
    meter, organization, workspace
):
    meter.open_calls([intent(organization, workspace, "1.00", model_id=workspace.id)])
    made.as_owner(
        "UPDATE spend_balance SET limit_amount = 1 WHERE subject_kind = 'model'"
        " AND subject_id = %s",
        workspace.id,
    )
    call = intent(organization, workspace, "0.01", model_id=workspace.id)
    (verdict,) = meter.open_calls([call])
    assert verdict.refusal is not None
    assert verdict.refusal.subject_kind is SubjectKind.MODEL
    assert {kind for _owner, kind, _period in refused_at(organization)} == {"model"}


def test_in_a_batch_each_bill_is_compared_with_its_own_hold(meter, organization, workspace):
    calls = [intent(organization, workspace, worst) for worst in ("1.00", "3.00", "0.50")]
    meter.open_calls(calls)
    meter.settle_calls(
        [settlement(call, cost) for call, cost in zip(calls, ("1.50", "3.50", "0.20"), strict=True)]
    )
    assert [(event["cost"], event["excess"]) for event in events(organization)] == [
        (Decimal("1.50"), Decimal("0.50")),
        (Decimal("3.50"), Decimal("0.50")),
        (Decimal("0.20"), 0),
    ]
    where = (organization.id, "organization", calls[0].period)
    assert balances("excess", organization)[where] == 1


def test_a_call_without_a_price_counts_in_shadow_and_adds_no_amount(full, meter, stranger):
    unpriced = intent(stranger, stranger, None)
    assert meter.open_calls([unpriced])[0].is_accepted
    theirs = (stranger.id, "organization", full[1].period)
    assert balances("shadow_calls", stranger) == {theirs: 1}
    assert balances("shadow_spend", stranger) == {}


def refused_at(*organizations):
    return {
        owner: instant
        for owner, instant in balances("extract(epoch FROM refused_at)", *organizations).items()
        if instant is not None
    }


def test_a_refusal_is_noted_at_the_limit_that_refused_and_at_most_once_a_minute(
    full, meter, organization, workspace, stranger
):
    meter.open_calls([intent(stranger, workspace, "2.00")])
    made.as_owner(
        "UPDATE spend_balance SET limit_amount = 2 WHERE organization_id = %s", stranger.id
    )
    assert refused_at(organization, stranger) == {}
    beyond = intent(organization, workspace, "0.01")
    began = timezone.now().timestamp()
    assert not meter.open_calls([beyond])[0].is_accepted
    (where,) = noted = refused_at(organization, stranger)
    assert where == (organization.id, "workspace", full[1].period)
    assert began - 1 <= noted[where] <= timezone.now().timestamp() + 1
    assert not meter.open_calls([beyond])[0].is_accepted
    assert refused_at(organization, stranger) == noted
    made.as_owner(
        "UPDATE spend_balance SET refused_at = refused_at - interval '61 seconds'"
        " WHERE organization_id = %s",
        organization.id,
    )
    assert not meter.open_calls([beyond])[0].is_accepted
    assert refused_at(organization, stranger)[where] >= noted[where]


def test_a_refusal_is_not_noted_at_a_limit_that_has_room(meter, organization, workspace):
    limit(organization, organization, "5.00")
    limit(organization, workspace, "1.00")
    meter.open_calls([intent(organization, workspace, "0.50")])
    assert not meter.open_calls([intent(organization, workspace, "0.51")])[0].is_accepted
    assert {kind for _owner, kind, _period in refused_at(organization)} == {"workspace"}


def test_a_call_without_a_price_is_refused_and_not_noted_as_beyond_a_limit(
    meter, organization, workspace
):
    limit(organization, workspace, "1.00")
    assert not meter.open_calls([intent(organization, workspace, None)])[0].is_accepted
    assert refused_at(organization) == {}


def test_of_several_limits_in_the_way_the_widest_is_named_and_all_are_noted(
    meter, organization, workspace
):
    with scope.tenant(organization.id):
        model = made.registered_model(organization, workspace)
    for part in (model, workspace, organization):
        limit(organization, part, "1.00")
    calls = [intent(organization, workspace, model_id=model.id) for _ in range(2)]
    first, second = meter.open_calls(calls)
    assert first.is_accepted
    assert second.refusal is not None
    assert second.refusal.subject_kind is SubjectKind.ORGANIZATION
    assert {kind for _owner, kind, _period in refused_at(organization)} == {
        *("organization", "workspace", "model")
    }


def test_spend_and_holds_stand_in_the_month_of_their_call_alone(
    full, meter, organization, workspace, stranger
):
    then, now = full
    foreign = intent(stranger, workspace, "2.00")
    meter.open_calls([foreign])
    meter.settle_calls([settlement(now, "1.25"), settlement(foreign, "0.75")])
    kinds = ("organization", "workspace", "model", "key")

    def of(owner, period, figure):
        return {(owner.id, kind, period): Decimal(figure) for kind in kinds}

    both = [organization, stranger]
    assert balances("settled", *both) == of(organization, now.period, "1.25") | of(
        stranger, now.period, "0.75"
    )
    assert balances("held", *both) == of(organization, then.period, "1.00")
    assert balances("excess", *both) == of(organization, now.period, "0.25")


def test_usage_without_a_hold_makes_the_balances_that_it_moves(meter, organization, workspace):
    unheld, other = intent(organization, workspace), intent(organization, workspace)
    meter.settle_calls([settlement(unheld, "0.40")])
    kinds = ("organization", "workspace", "model", "key")
    of_all = {(organization.id, kind, unheld.period): Decimal("0.40") for kind in kinds}
    assert balances("settled", organization) == of_all
    assert balances("excess", organization) == of_all
    meter.settle_calls([settlement(other, "0.60"), settlement(unheld, "0.40")])
    assert balances("settled", organization) == dict.fromkeys(of_all, 1)
    unpriced = settlement(intent(organization, workspace, None), None)
    assert meter.settle_calls([unpriced])[0].state is SettledState.SETTLED
    assert balances("settled", organization) == dict.fromkeys(of_all, 1)


def test_an_unpriced_call_that_is_repeated_after_its_end_is_released_again(
    meter, organization, workspace
):
    call = intent(organization, workspace, None)
    for state in (SettledState.SETTLED, SettledState.DUPLICATE):
        assert meter.open_calls([call])[0].is_accepted
        assert meter.settle_calls([settlement(call, None)])[0].state is state
    assert made.holds(organization) == []
    assert ledger(organization)["organization", organization.id] == (0, 0)


def test_a_late_settlement_mends_the_balances_of_its_own_tenant_and_month(
    full, meter, organization, workspace, stranger
):
    last_month = instant_of(full[0].call_id)
    dead = Meter()
    foreign = intent(stranger, workspace, "0.30", call_id=made.id_at(last_month))
    dead.open_calls([foreign])
    made.die(dead)
    recovery.recover_orphans_of(stranger.id)
    before = balances("settled", organization)
    (state,) = meter.settle_calls([settlement(foreign, "0.90")])
    assert state.state is SettledState.CORRECTED
    assert balances("settled", organization) == before
    of_foreign = {
        (stranger.id, kind, foreign.period): Decimal("0.90")
        for kind in ("organization", "workspace", "model", "key")
    }
    assert balances("settled", stranger) == of_foreign
    assert balances("excess", stranger) == {where: Decimal("0.60") for where in of_foreign}


def test_a_new_balance_begins_with_the_limit_of_its_own_subject_and_mode(
    meter, organization, workspace, stranger
):
    limit(organization, organization, "9.00", SHADOW)
    limit(organization, workspace, "7.00")
    far = Month.of(timezone.now(), "Europe/Rome").ends_at + timedelta(days=1)
    mine = intent(organization, workspace, "1.00", call_id=made.id_at(far))
    foreign = intent(stranger, workspace, "1.00", call_id=made.id_at(far))
    assert all(verdict.is_accepted for verdict in meter.open_calls([mine, foreign]))
    rows = made.as_owner(
        "SELECT organization_id = %s, subject_kind, limit_amount, shadow_limit FROM spend_balance"
        " WHERE organization_id = ANY (%s) AND period = %s ORDER BY 1 DESC, 2",
        organization.id,
        [organization.id, stranger.id],
        mine.period,
    )
    assert rows == [
        (True, "key", None, None),
        (True, "model", None, None),
        (True, "organization", None, 9),
        (True, "workspace", 7, None),
        *[(False, kind, None, None) for kind in ("key", "model", "organization", "workspace")],
    ]
    effective = limits.effective_limits(organization=organization, workspace=workspace)
    assert [one.held for one in effective] == [0, 0], "this month holds nothing"
