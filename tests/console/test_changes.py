"""Two people at one form: nobody undoes unseen what another has changed; nothing typed is lost."""

import html
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from tenants.common import scope
from tenants.keys.models import MistralKey
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel
from tenants.spend.models import Limit
from tests import people
from tests.api.world import World, world
from tests.console.html import form_of


@pytest.fixture
def hers() -> World:
    return world()


@pytest.fixture
def client(hers: World) -> Client:
    return people.visitor(hers.organization)


def changed(client: Client, address: str, mine: dict[str, Any], hers: dict[str, Any]) -> Any:
    """Open a page twice; save one, then the other. Give the answer to the other."""
    first, second = (form_of(client.get(address).text, address) for _ in range(2))
    assert client.post(address, first | hers).status_code == 303
    return client.post(address, second | mine)


def test_settings_that_another_has_changed_are_shown_before_they_are_undone(hers, client):
    address = f"/organizations/{hers.organization.pk}/settings"
    answer = changed(client, address, {"name": "Rossi & Figli"}, {"timezone": "Europe/London"})
    assert answer.status_code == 412
    told = html.unescape(answer.text)
    assert (
        "“Time zone” was changed meanwhile, perhaps in another tab; it is now: Europe/London"
        in told
    )
    kept = form_of(answer.text, address)
    assert kept["name"] == "Rossi & Figli"
    with scope.tenant(hers.organization.pk):
        row = Organization.objects.get()
    assert (row.name, row.timezone) == (hers.organization.name, "Europe/London")
    assert client.post(address, kept).status_code == 303
    with scope.tenant(hers.organization.pk):
        row = Organization.objects.get()
    assert (row.name, row.timezone) == ("Rossi & Figli", "Europe/Rome")


def test_whoever_types_what_is_there_already_is_in_nobodys_way(hers, client):
    address = f"/organizations/{hers.organization.pk}/settings"
    same = {"timezone": "Europe/London"}
    assert changed(client, address, {"name": "Rossi & Figli"} | same, same).status_code == 303


def test_no_form_that_changes_things_takes_back_another_ones_change(hers, client):
    organization, workspace = hers.organization.pk, hers.workspace.pk
    cases = {
        f"/workspaces/{workspace}/edit": ("Description", {"name": "A"}, {"description": "B"}),
        f"/keys/{hers.key.pk}/edit": ("Expires on", {"name": "A"}, {"expires_on": "2031-01-31"}),
        f"/models/{hers.model.pk}/edit": ("Description", {"name": "A"}, {"description": "B"}),
        f"/organizations/{organization}/limits": (
            "Spending limit a month",
            {"alert_thresholds": "70"},
            {"monthly_spend": "12.50"},
        ),
    }
    for address, (label, mine, others) in cases.items():
        answer = changed(client, address, mine, others)
        assert answer.status_code == 412, address
        assert f"“{label}” was changed meanwhile" in html.unescape(answer.text), address
    with scope.tenant(organization):
        assert Workspace.objects.get(pk=workspace).description == "B"
        assert MistralKey.objects.get(pk=hers.key.pk).expires_on == date(2031, 1, 31)
        assert RegisteredModel.objects.get(pk=hers.model.pk).description == "B"
        assert Limit.objects.get().monthly_spend == Decimal("12.50")


def test_billing_details_are_guarded_each_form_for_itself(hers, client):
    address = f"/organizations/{hers.organization.pk}/billing"
    page = client.get(address).text
    profile = form_of(page, address) | {
        "legal_name": "Rossi Srl",
        "line1": "Via Roma 1",
        "postal_code": "20121",
        "city": "Milano",
        "province": "MI",
        "sdi_code": "ABCDEFG",
    }
    plan = form_of(page, f"{address}/plan") | {"plan": "scale"}
    assert client.post(address, profile).status_code == 303
    assert client.post(f"{address}/plan", plan).status_code == 303
    assert client.post(address, profile | {"city": "Roma", "province": "RM"}).status_code == 412
    assert client.post(f"{address}/plan", plan | {"plan": "experiment"}).status_code == 412
    assert client.get(f"{address}/plan")["Location"] == address
