"""Posting without a hold: into the balances of its own tenant, month and subjects, and as excess.

What callers see of it is in ``test_reporting``.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import ProgrammingError, connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.months import Month
from tenants.spend import posting, services
from tenants.spend.calls import instant_of
from tenants.spend.rows import event_row
from tests import factories
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import events, intent, settlement


def entry(call, cost, **facts):
    """Describe a call that somebody reports."""
    at = instant_of(call.call_id)
    own = {"digest": new_id(), "occurred_at": at, "source": "reported"}
    return event_row(settlement(call, cost)) | own | facts


def post(organization, *entries):
    with scope.tenant(organization.id):
        return posting.post(entries)


def figures(column, *organizations):
    """What the balances say that say anything: (organization, kind, subject, month) → figure."""
    rows = made.as_owner(
        f"SELECT organization_id, subject_kind, subject_id, period, {column} FROM spend_balance"
        f" WHERE organization_id = ANY (%s) AND {column} <> 0",
        [organization.id for organization in organizations],
    )
    return {tuple(subject): figure for *subject, figure in rows}


def of(call, amount):
    """What a call of this amount adds to the balances of whoever pays for it."""
    subjects = {
        "organization": call.organization_id,
        "workspace": call.workspace_id,
        "model": call.model_id,
        "key": call.key_id,
    }
    return {
        (call.organization_id, kind, subject, call.period): Decimal(amount)
        for kind, subject in subjects.items()
    }


def test_nobody_posts_for_another_organization(organization, workspace, stranger):
    mine = entry(intent(organization, workspace), "0.10")
    theirs = entry(intent(stranger, factories.default_workspace(stranger)), "0.10")
    for entries in ([theirs], [mine, theirs]):
        with pytest.raises(ProgrammingError, match="an entry of another organization"):
            post(organization, *entries)
    connection.close()  # the next one has not been anybody's yet
    with pytest.raises(ProgrammingError, match="an entry of another organization"):
        posting.post([mine])
    assert events(organization) == events(stranger) == []


def test_what_is_posted_is_in_the_balances_of_its_own_tenant_month_and_subjects_alone(
    meter, organization, workspace, stranger
):
    other = factories.workspace(organization)
    then = Month.of(timezone.now(), "Europe/Rome").starts_at - timedelta(hours=1)
    before = [
        (intent(stranger, workspace, model_id=new_id()), "0.01"),
        (intent(organization, factories.workspace(organization)), "0.02"),
    ]
    meter.settle_calls([settlement(call, cost) for call, cost in before])
    posted = [
        (intent(organization, workspace, model_id=other.id), "0.10"),
        (intent(organization, other, model_id=workspace.id), "0.20"),
        (intent(organization, workspace, call_id=made.id_at(then)), "0.40"),
    ]
    assert len(post(organization, *(entry(call, cost) for call, cost in posted))) == 3
    expected: dict[tuple[Any, ...], Decimal] = {}
    for call, cost in before + posted:
        for subject, amount in of(call, cost).items():
            expected[subject] = expected.get(subject, Decimal(0)) + amount
    assert figures("settled", organization, stranger) == expected
    assert {row["excess"] for row in events(organization) if row["source"] == "reported"} == {0}


def test_what_has_no_price_adds_nothing_and_what_was_posted_is_not_again(organization, workspace):
    unpriced = entry(intent(organization, workspace), None)
    assert post(organization, unpriced) == {unpriced["digest"]}
    assert post(organization, unpriced) == set()
    assert figures("settled", organization) == figures("excess", organization) == {}


def test_beyond_a_limit_is_what_passes_it_with_all_that_is_held_and_was_there_before(
    meter, organization, workspace
):
    def set_limit(amount):
        services.set_limit(
            actor=ACTOR,
            organization=organization,
            subject=organization,
            monthly_spend=Decimal(amount),
        )

    def excess_after(cost):
        assert post(organization, entry(intent(organization, workspace), cost))
        found = figures("excess", organization)
        assert {kind for _owner, kind, _subject, _month in found} <= {"organization"}
        return sum(found.values())

    set_limit("1.00")
    assert meter.open_calls([intent(organization, workspace, "0.30")])[0].is_accepted
    assert excess_after("0.70") == 0
    assert excess_after("0.25") == Decimal("0.25")
    assert excess_after("0.15") == Decimal("0.40")
    assert excess_after("-0.15") == Decimal("0.25")
    set_limit("0.60")  # what is there already, it carries
    assert excess_after("0.10") == Decimal("0.35")
    assert excess_after("0") == Decimal("0.35")
    assert excess_after("-0.50") == 0
