"""An organization's own prices and a workspace's policy: what goes before what, and from when."""

from datetime import timedelta
from decimal import Decimal
from io import StringIO

import pytest
from django.core.management import call_command
from django.db import ProgrammingError, connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.organizations.models import AuditEvent
from tenants.spend import learning, own_prices, policies, pricebook, services
from tenants.spend.calls import RefusalReason, UnpricedPolicy
from tenants.spend.models import OrganizationPrice, Price
from tenants.spend.own_prices import OwnPrice
from tenants.spend.policies import Policy
from tenants.spend.pricing import Bound, Meter, Quantities, cost, worst_case
from tests.factories import ACTOR
from tests.spend import made
from tests.spend.made import events, intent, ledger, settlement
from tests.spend.test_prices import entry, listing

SMALL = "mistral-small-2603"


def report(organization, amount, at, *, model="mistral-small-latest", meter=Meter.INPUT):
    return own_prices.report_prices(
        actor=ACTOR,
        organization=organization,
        prices=[OwnPrice(model, meter, "EUR", Decimal(amount), 1_000_000)],
        at=at,
        source="admin api 2026-11",
        checksum="c",
    )


def input_price(organization, at, model=SMALL):
    book = pricebook.of_organization(organization.id)
    return book.prices_for(model, "EUR", at).meters[Meter.INPUT].amount


def test_reported_prices_go_before_published_ones_meter_by_meter_from_their_instant_on(
    organization, stranger
):
    now = timezone.now()
    assert report(organization, "0.10", now) == 1
    assert input_price(organization, now) == Decimal("0.10")
    assert input_price(organization, now - timedelta(seconds=1)) == Decimal("0.12")
    assert input_price(stranger, now) == Decimal("0.12")
    book = pricebook.of_organization(organization.id)
    prices = book.prices_for("mistral-small-latest", "EUR", now)
    assert prices.meters[Meter.OUTPUT].amount == Decimal("0.5")
    priced = cost(Quantities(1_000_000, 1_000_000), prices)
    assert priced.amount == Decimal("0.60")
    assert len(set(priced.price_ids)) == 2
    with scope.tenant(organization.id):
        own = OrganizationPrice.objects.get()
    assert own.id in priced.price_ids
    assert not Price.objects.filter(pk=own.id).exists()


def test_the_same_prices_again_add_nothing_and_new_ones_hold_from_now_on(organization):
    now = timezone.now()
    assert [report(organization, "0.10", now + timedelta(days=day)) for day in range(3)] == [
        1,
        0,
        0,
    ]
    assert report(organization, "0.20", now + timedelta(days=4)) == 1
    assert input_price(organization, now + timedelta(days=3)) == Decimal("0.10")
    assert input_price(organization, now + timedelta(days=4)) == Decimal("0.20")


def test_a_model_that_nobody_else_knows_can_have_a_price_of_its_own(organization):
    tuned = "ft:mistral-small-2603:acme:20260101:abcd"
    now = timezone.now()
    report(organization, "0.30", now, model=tuned)
    assert input_price(organization, now, tuned) == Decimal("0.30")
    assert pricebook.prices_for(tuned, "EUR", now).meters == {}


TUNED = "ft:mistral-small-2603:acme:20260101:abcd"


def by_base(organization, *, model=TUNED, **how):
    own_prices.price_by_base(actor=ACTOR, organization=organization, mistral_model=model, **how)


def listed(organization):
    with scope.tenant(organization.id):
        return {one.model: one for one in own_prices.listed(organization)}


def test_a_fine_tuned_model_costs_what_its_base_does_only_if_somebody_says_so_and_from_then_on(
    organization, stranger
):
    def price(at):
        book = pricebook.of_organization(organization.id)
        return book.prices_for(TUNED, "EUR", at)

    before = timezone.now()
    assert price(before).meters == {}
    by_base(organization)
    by_base(organization)  # nothing new
    begun = timezone.now()
    small = pricebook.prices_for(SMALL, "EUR", begun)
    assert (price(begun).meters, price(begun).by_base) == (small.meters, SMALL)
    assert price(before).meters == {}
    used = Quantities(1000, 200, 640)
    assert cost(used, price(begun)).price_ids == cost(used, small).price_ids
    assert pricebook.of_organization(stranger.id).prices_for(TUNED, "EUR", begun).meters == {}
    (shown,) = listed(organization).values()
    assert (shown.model, shown.base) == (TUNED, SMALL)
    assert {(one.origin.value, one.source[:26]) for one in shown.prices} == {
        ("by_base", f"by base {SMALL}")
    }
    by_base(organization, is_on=False)
    assert price(begun).by_base == SMALL
    assert price(timezone.now()).meters == {}
    assert listed(organization)[TUNED].prices == ()
    with scope.tenant(organization.id):
        verbs = list(AuditEvent.objects.order_by("id").values_list("verb", flat=True))
    assert [verb for verb in verbs if verb.startswith("prices")] == [
        "prices.by_base_set",
        "prices.by_base_ended",
    ]


def test_a_price_reported_for_a_fine_tuned_model_goes_before_its_bases_meter_by_meter(organization):
    by_base(organization)
    report(organization, "0.30", timezone.now(), model=TUNED)
    report(organization, "0.11", timezone.now(), model=SMALL)  # of the base: it does not count
    prices = pricebook.of_organization(organization.id).prices_for(TUNED, "EUR", timezone.now())
    assert prices.meters[Meter.INPUT].amount == Decimal("0.30")
    assert prices.meters[Meter.OUTPUT].amount == Decimal("0.5")
    origins = {one.meter: one.origin.value for one in listed(organization)[TUNED].prices}
    assert origins == {
        Meter.INPUT: "reported",
        Meter.CACHED_INPUT: "by_base",
        Meter.OUTPUT: "by_base",
    }


def test_a_base_follows_the_prices_that_this_organization_pays_for_it(organization):
    by_base(organization)
    report(organization, "0.11", timezone.now(), model=SMALL)
    assert input_price(organization, timezone.now(), TUNED) == Decimal("0.11")


@pytest.mark.parametrize(
    ("model", "base", "code"),
    [
        ("mistral-small-2603", "", "model_not_fine_tuned"),
        ("ft:no-such-model:acme:20260101:abcd", "", "base_unpriced"),
        (TUNED, "no-such-model", "base_unpriced"),
        ("ft:", "", "model_not_fine_tuned"),
    ],
)
def test_only_a_fine_tuned_model_whose_base_has_a_price_is_priced_by_it(
    organization, model, base, code
):
    with pytest.raises(Invalid) as caught:
        by_base(organization, model=model, base=base)
    assert [error.code for error in caught.value.errors] == [code]
    assert listed(organization) == {}


def test_a_reported_price_can_be_neither_changed_nor_removed(organization):
    report(organization, "0.10", timezone.now())
    for statement in (
        "UPDATE spend_organizationprice SET amount = 0",
        "DELETE FROM spend_organizationprice",
    ):
        with (
            pytest.raises(ProgrammingError, match="permission denied"),
            scope.tenant(organization.id),
            connection.cursor() as on,
        ):
            on.execute(statement)


def set_policy(workspace, unpriced=UnpricedPolicy.REFUSE, tokens=None):
    services.set_policy(actor=ACTOR, workspace=workspace, policy=Policy(unpriced, tokens))


def is_open(workspace):
    chosen = policies.read(workspace.organization_id, workspace.id)
    return chosen.unpriced is UnpricedPolicy.ALLOW


def test_a_workspace_may_let_unknown_prices_through_flagged_and_counted_as_nothing(
    meter, organization, workspace
):
    services.set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal(1)
    )
    assert not is_open(workspace)
    (verdict,) = meter.open_calls([intent(organization, workspace, None)])
    assert verdict.refusal is not None
    assert verdict.refusal.reason is RefusalReason.PRICE_UNKNOWN
    set_policy(workspace, UnpricedPolicy.ALLOW)
    assert is_open(workspace)
    call = intent(organization, workspace, None, allows_unpriced=True)
    lost = intent(organization, workspace, None, allows_unpriced=True)
    assert all(verdict.is_accepted for verdict in meter.open_calls([call, lost]))
    meter.settle_calls([settlement(call, None)])
    made.as_owner("UPDATE spend_hold SET price_ids = '{}' WHERE id = %s", lost.call_id)
    made.as_owner("SELECT spend_recover('0', '0', 1000)")
    assert [row["cost"] for row in events(organization)] == [None, None]
    assert ledger(organization)["organization", organization.id] == (0, 0)
    set_policy(workspace, UnpricedPolicy.REFUSE)
    assert not is_open(workspace)


def test_how_long_answers_usually_are_is_learned_and_a_workspace_may_choose_otherwise(
    meter, organization, workspace, monkeypatch
):
    monkeypatch.setattr(learning, "FEWEST_CALLS", 20)
    entries = [
        settlement(intent(organization, workspace), "0.01", quantities=Quantities(10, tokens))
        for tokens in [100] * 98 + [700, 9000]
    ]
    meter.settle_calls(entries)
    assert learning.learn_of(organization.id) == 1
    (found,) = learning.learned(organization.id)
    assert (found.mistral_model, found.tokens, found.calls) == (SMALL, 700, 100)

    def usual(model=SMALL):
        with scope.tenant(organization.id):
            chosen = policies.find(organization.id, workspace.id)
            return policies.usual_tokens(organization.id, chosen, model)

    assert (usual(), usual("codestral-2508")) == (700, None)
    set_policy(workspace, tokens=1500)
    assert (usual(), usual("codestral-2508")) == (1500, 1500)
    prices = pricebook.prices_for(SMALL, "EUR", timezone.now())
    held = [
        worst_case(Bound(100, context_length=8192, usual_tokens=usual, max_tokens=most), prices)
        for usual, most in ((700, None), (700, 50), (None, None))
    ]
    assert [one.quantities.completion_tokens for one in held] == [700, 50, 4096]


@pytest.mark.parametrize(("answer", "loaded"), [("y", True), ("n", False), ("", False)])
def test_a_list_is_imported_after_its_changes_were_shown_and_confirmed(
    tmp_path, monkeypatch, answer, loaded
):
    name, path = listing(tmp_path, entry("input", "per_1M_tokens", 0.5, 0.44))
    monkeypatch.setattr("builtins.input", lambda _question: answer)
    told = StringIO()
    call_command("import_prices", path, stdout=told)
    assert f"{name} " in told.getvalue()
    assert "2 new, 0 changed, 0 as before" in told.getvalue()
    assert Price.objects.filter(mistral_model=name).exists() is loaded
    call_command("import_prices", path, yes=True, stdout=StringIO())
    again = StringIO()
    call_command("import_prices", path, stdout=again)
    assert "0 new, 0 changed, 2 as before" in again.getvalue()
