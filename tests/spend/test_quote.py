"""Quotes: the same usage at another model's prices, today's and those of then."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.spend import pricebook
from tenants.spend.calls import instant_of, period_of
from tenants.spend.models import Price
from tenants.spend.pricing import Modifier, Quantities, cost
from tenants.spend.quote import quote
from tests import factories
from tests.spend import made
from tests.spend.made import intent, settlement

SMALL, MEDIUM, EMBED = "mistral-small-2603", "mistral-medium-3-5", "mistral-embed-2312"
NOW = datetime(2026, 11, 20, 9, tzinfo=UTC)
USED = Quantities(prompt_tokens=1_000_000, completion_tokens=100_000, cached_tokens=640_000)


@pytest.fixture
def model(organization, workspace):
    with scope.tenant(organization.id):
        return made.registered_model(organization, workspace)


@pytest.fixture
def spend(meter, organization, workspace, model):
    def spend(days_ago=1, quantities=USED, modifiers=(), answered=SMALL, **facts):
        call_id = made.id_at(NOW - timedelta(days=days_ago))
        opened = replace(
            intent(organization, workspace, "100", call_id=call_id, model_id=model.id),
            period=period_of(call_id, organization.timezone),
        )
        meter.open_calls([opened])
        known = pricebook.prices_for(answered, "EUR", instant_of(call_id))
        settled = settlement(opened, "0", quantities=quantities, answered_model=answered)
        meter.settle_calls(
            [replace(settled, cost=facts.get("cost", cost(quantities, known, modifiers)))]
        )

    return spend


def asked(organization, model, other, now=NOW):
    return quote(organization=organization, model=model, mistral_model=other, now=now)


def listed(model, quantities=USED):
    return cost(quantities, pricebook.prices_for(model, "EUR", NOW)).amount


def test_on_the_same_model_it_would_have_cost_the_same(organization, model, spend):
    spend(1)
    spend(30)
    found = asked(organization, model, "mistral-small-latest")
    assert (found.mistral_model, found.requests) == (SMALL, 2)
    assert found.todays.amount == found.then.amount == found.actual == 2 * listed(SMALL)


def test_another_model_is_priced_meter_by_meter(organization, model, spend):
    spend()
    found = asked(organization, model, MEDIUM)
    assert found.todays.amount == listed(MEDIUM)
    assert sum(found.todays.meters.values()) == found.todays.amount
    assert found.quantities == {"input": 360_000, "cached_input": 640_000, "output": 100_000}


def test_days_that_are_not_full_or_too_old_are_not_in_it(organization, model, spend):
    spend(0)
    spend(31)
    found = asked(organization, model, MEDIUM)
    assert (found.actual, found.requests) == (Decimal(0), 0)
    assert (found.until - found.since).days == 29


def test_batches_stay_batches(organization, model, spend):
    spend(modifiers=[Modifier.BATCH])
    found = asked(organization, model, MEDIUM)
    assert abs(found.todays.amount - listed(MEDIUM) / 2) < Decimal("0.000001")


def test_what_the_other_model_has_no_price_for_is_named_and_not_free(organization, model, spend):
    spend()
    found = asked(organization, model, EMBED)
    assert found.todays.missing == {"output": 100_000}
    assert set(found.todays.meters) == {"input", "cached_input"}


def test_calls_without_a_price_of_their_own_are_left_out_and_counted(organization, model, spend):
    spend(cost=made.cost_of(None))
    spend(2)
    found = asked(organization, model, MEDIUM)
    assert (found.left_out, found.todays.amount) == (1, listed(MEDIUM))


def test_a_price_that_changed_meanwhile_makes_the_two_answers_differ(organization, model, spend):
    spend(10)
    spend(2)
    other = f"ft:{SMALL}:quote:{organization.id}"
    for days_ago, amount in ((60, "2"), (5, "1")):
        for meter in ("input", "output"):
            Price.objects.create(
                mistral_model=other,
                meter=meter,
                currency="EUR",
                amount=Decimal(amount),
                per=1_000_000,
                effective_from=NOW - timedelta(days=days_ago),
                source="test",
                checksum="",
            )
    pricebook.forget()
    found = asked(organization, model, other)
    assert (found.todays.amount, found.then.amount) == (Decimal("2.2"), Decimal("3.3"))


def test_a_model_that_nobody_knows_is_refused_with_near_ones(organization, model):
    with pytest.raises(Invalid) as caught:
        asked(organization, model, "mistral-smal-latest")
    assert "mistral-small-latest" in caught.value.members["near_matches"]


def test_a_stranger_gets_nothing_of_it(model, spend):
    spend()
    other = factories.organization()
    assert asked(other, model, MEDIUM).actual == 0
