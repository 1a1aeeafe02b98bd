"""What a sync proposes: prices, workspaces and people; nothing is taken over without a person."""

from decimal import Decimal

import pytest
from django.utils import timezone

from tenants.accounting import services
from tenants.accounting.confirming import confirm_sync
from tenants.accounting.models import Observed
from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.problems import Conflict, Invalid, NotFound
from tenants.keys.models import MistralKey
from tenants.organizations import invitations
from tenants.organizations.models import AuditEvent, Workspace
from tenants.organizations.roles import Role
from tenants.spend import pricebook
from tenants.spend.models import OrganizationPrice
from tenants.spend.pricing import Meter
from tests import people
from tests.accounting.conftest import registered
from tests.api.world import everything
from tests.factories import ACTOR

SMALL = "mistral-small-2603"
INPUT, OUTPUT = (f"price:{SMALL}:{meter}" for meter in ("input", "output"))


@pytest.fixture
def bill(simulator):
    """What Mistral has billed this month, and so which prices it tells."""

    def used():
        key = simulator.state.key("valid")
        for tier in ("standard", "priority"):
            line = simulator.state.ledger.line(
                key="valid",
                organization=key.organization.id,
                workspace=key.workspace.id,
                model=SMALL,
                service_tier=tier,
            )
            line.prompt_tokens += 1000
            line.completion_tokens += 100

    return used


@pytest.fixture
def discounted(admin_key, bill, simulator):
    """An Enterprise contract: a fifth off, on this month's bill."""
    bill()
    simulator.state.admin.price_factor = Decimal("0.8")


def priced(organization, meter=Meter.INPUT, at=None):
    book = pricebook.of_organization(organization.pk)
    return book.prices_for(SMALL, "EUR", at or timezone.now()).meters[meter].amount


def proposed(run):
    return {row["id"]: (row["before"], row["after"]) for row in run.proposals}


def test_prices_that_are_those_of_the_list_are_not_proposed(organization, admin_key, bill, sync):
    bill()
    assert not [row for row in sync().proposals if row["kind"] == "price"]


def test_a_contracts_prices_are_proposed_and_hold_once_a_person_confirms_them(
    organization, discounted, sync
):
    for is_dry in (True, False):
        run = sync(is_dry=is_dry)
        found = proposed(run)
        assert found[INPUT] == ("0.12 / 1000000", "0.096 / 1000000")
        assert found[OUTPUT] == ("0.50 / 1000000", "0.40 / 1000000")
        assert priced(organization) == Decimal("0.12"), "taken over without a person"
    before = timezone.now()
    confirmed = confirm_sync(actor=ACTOR, organization=organization, sync_id=run.pk, only=[INPUT])
    assert (confirmed.taken, confirmed.left, confirmed.confirmed_by) == ([INPUT], {}, ACTOR.name)
    assert priced(organization) == Decimal("0.096")
    assert priced(organization, Meter.OUTPUT) == Decimal("0.5")
    assert priced(organization, at=before) == Decimal("0.12")
    assert set(proposed(sync())) & {INPUT, OUTPUT} == {OUTPUT}
    with scope.tenant(organization.pk):
        row = OrganizationPrice.objects.get()
        verbs = set(AuditEvent.objects.values_list("verb", flat=True))
    assert (row.amount, row.per, row.source) == (
        Decimal("0.096"),
        1_000_000,
        f"Mistral's Admin API, sync {run.pk}",
    )
    assert {"organization.sync_confirmed", "prices.reported"} <= verbs


def test_confirming_twice_changes_nothing_more(organization, discounted, sync):
    run = sync()
    for _ in range(2):
        confirmed = confirm_sync(actor=ACTOR, organization=organization, sync_id=run.pk)
    assert {INPUT, OUTPUT} <= set(confirmed.taken)
    with scope.tenant(organization.pk):
        assert OrganizationPrice.objects.count() == 2


def test_prices_in_another_currency_are_not_proposed(organization, discounted, sync):
    with scope.tenant(organization.pk):
        type(organization).objects.update(currency="USD")
    assert not [row for row in sync().proposals if row["kind"] == "price"]


def test_which_workspace_is_which_is_proposed_and_declared_by_a_person(
    organization, workspace, admin_key, simulator, sync
):
    registered(workspace, "valid")
    main = simulator.state.key("valid").workspace
    run = sync(is_dry=False)
    name = f"workspace:{workspace.pk}"
    assert proposed(run)[name] == (None, main.id)
    with scope.tenant(organization.pk):
        assert Workspace.objects.get(pk=workspace.pk).mistral_workspace_id == ""
    confirm_sync(actor=ACTOR, organization=organization, sync_id=run.pk)
    with scope.tenant(organization.pk):
        declared = Workspace.objects.get(pk=workspace.pk)
        verbs = list(AuditEvent.objects.values_list("verb", flat=True))
    assert (declared.mistral_workspace_id, declared.mistral_workspace_name) == (main.id, main.name)
    assert "workspace.updated" in verbs
    assert name not in proposed(sync())


def test_a_declaration_that_would_stop_keys_is_left_and_said_to_be(
    organization, workspace, admin_key, simulator, sync
):
    key = registered(workspace, "valid")
    run = sync()
    with scope.tenant(organization.pk):
        MistralKey.objects.filter(pk=key.pk).update(mistral_workspace_id=str(new_id()))
    confirmed = confirm_sync(actor=ACTOR, organization=organization, sync_id=run.pk)
    name = f"workspace:{workspace.pk}"
    assert (confirmed.taken, confirmed.left) == ([], {name: "keys_of_another_workspace"})
    with scope.tenant(organization.pk):
        assert Workspace.objects.get(pk=workspace.pk).mistral_workspace_id == ""


def test_a_declared_workspace_is_matched_by_what_was_declared(
    organization, workspace, admin_key, simulator, sync
):
    sync()
    with scope.tenant(organization.pk):
        rows = Observed.objects.filter(kind="workspace")
        support = {row.data["name"]: row.external_id for row in rows}["Customer support"]
    with scope.tenant(organization.pk):
        Workspace.objects.filter(pk=workspace.pk).update(mistral_workspace_id=support)
    run = sync(is_dry=False)
    assert f"workspace:{workspace.pk}" not in proposed(run)
    assert ("workspace_name_differs", workspace.name) in codes(run)


def codes(run):
    return {(row["code"], row["name"]) for row in run.differences}


def test_people_are_compared_both_ways_and_nobody_is_removed(organization, admin_key, sync):
    people.member(organization, Role.MEMBER, who=people.person(email="ada@aurora.example"))
    lone = people.member(organization, Role.MEMBER).person.email
    with scope.tenant(organization.pk):
        invitations.make(
            organization,
            "bruno@aurora.example",
            role=Role.MEMBER,
            workspaces={},
            invited_by="Alice",
        ).save(force_insert=True)
    before = everything(organization.pk)["organizations_member"]
    run = sync(is_dry=False)
    of_people = {(row["code"], row["name"]) for row in run.differences if row["kind"] == "member"}
    assert ("member_only_here", lone) in of_people
    assert ("member_only_at_mistral", "bruno@aurora.example") not in of_people, "invited here"
    assert ("member_role_differs", "ada@aurora.example") in of_people
    assert everything(organization.pk)["organizations_member"] == before


def test_somebody_at_mistral_whom_nobody_knows_here_is_shown(organization, admin_key, sync):
    (row,) = [row for row in sync().differences if row["name"] == "bruno@aurora.example"]
    assert (row["code"], row["ours_id"]) == ("member_only_at_mistral", None)


def test_only_the_newest_sync_that_is_over_can_be_confirmed(organization, admin_key, sync):
    older, newest = sync(), sync()
    with pytest.raises(Conflict) as caught:
        confirm_sync(actor=ACTOR, organization=organization, sync_id=older.pk)
    assert caught.value.code == "sync_outdated"
    with pytest.raises(Invalid):
        confirm_sync(actor=ACTOR, organization=organization, sync_id=newest.pk, only=["price:x:y"])
    with pytest.raises(NotFound):
        confirm_sync(actor=ACTOR, organization=organization, sync_id=new_id())
    services.request_sync(actor=ACTOR, organization=organization)
    with pytest.raises(Conflict):
        confirm_sync(actor=ACTOR, organization=organization, sync_id=newest.pk)


def test_differences_and_proposals_are_shown_and_confirmed_over_http(
    organization, alice, discounted, sync
):
    run = sync()
    address = f"organizations/{organization.pk}/sync"
    shown = alice.get(address).body["run"]
    assert {row["id"] for row in shown["proposals"]} >= {INPUT, OUTPUT}
    assert shown["confirmation"] is None
    assert all(row["detail"] for row in shown["differences"])
    answer = alice.post(f"{address}/confirm", {"sync_id": str(run.pk), "only": [OUTPUT]})
    assert (answer.status, answer.body["confirmation"]["taken"]) == (200, [OUTPUT])
    listed = alice.get(f"organizations/{organization.pk}/prices").body["models"]
    ((model, origins),) = [
        (one["model"], {price["meter"]: price["origin"] for price in one["prices"]})
        for one in listed
    ]
    assert (model, origins["output"], origins["input"]) == (SMALL, "reported", "published")
