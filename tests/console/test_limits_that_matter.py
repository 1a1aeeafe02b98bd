"""Limits on the overview: nearly used up, used up, refusing; and what a part's members are told."""

import re
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tenants.common import scope
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.registry.models import RegisteredModel
from tenants.spend.calls import LimitMode
from tenants.spend.meter import Meter
from tenants.spend.services import set_limit
from tests import factories, people
from tests.api.world import World, valid_key, world
from tests.factories import ACTOR
from tests.spend import made


@pytest.fixture
def hers() -> World:
    return world()


def limit(hers: World, subject: Any, amount: str, mode: LimitMode = LimitMode.ENFORCE) -> None:
    set_limit(
        actor=ACTOR,
        organization=hers.organization,
        subject=subject,
        monthly_spend=Decimal(amount),
        mode=mode,
    )


def call(hers: World, cost: str, worst: str) -> bool:
    meter = Meter()
    one = made.intent(
        hers.organization, hers.workspace, worst, model_id=hers.model.pk, key_id=hers.key.pk
    )
    [verdict] = meter.open_calls([one])
    if verdict.is_accepted:
        meter.settle_calls([made.settlement(one, cost)])
    meter.close()
    return verdict.is_accepted


def attention(client: Client, address: str) -> str:
    page = client.get(address).text
    return (
        page.split("Needs attention")[1].split("</section>")[0] if "Needs attention" in page else ""
    )


def test_a_limit_is_told_of_before_and_when_it_stops_calls(hers):
    client, place = people.visitor(hers.organization), f"/organizations/{hers.organization.pk}"
    limit(hers, hers.organization, "1.00")
    assert call(hers, "0.79", "0.79")
    assert "Limit of" not in attention(client, place)
    assert call(hers, "0.06", "0.06")
    near = attention(client, place)
    assert "85 percent of it are spent" in near
    assert "notice-warn" in near
    assert f'href="{place}/limits"' in near
    assert not call(hers, "0.50", "0.50")
    refusing = attention(client, place)
    assert "has refused calls lately: €0.15 are left until" in refusing
    assert "notice-bad" in refusing
    assert call(hers, "0.15", "0.15")
    used_up = attention(client, place)
    assert re.search(r"is used up: calls are refused until 1 \w+ \d{4}, or until", used_up)
    assert "bar-fill-bad" in client.get(place).text


@pytest.mark.parametrize(
    ("language", "refused", "sent"),
    [
        ("en", "has refused calls lately", "None that was sent to Mistral went wrong"),
        ("it", "di recente ha rifiutato", "Nessuna di quelle inviate a Mistral è andata male"),
    ],
)
def test_what_a_limit_refused_is_not_denied_beside_it(hers, language, refused, sent):
    client = people.visitor(hers.organization, language=language)
    limit(hers, hers.organization, "1.00")
    assert call(hers, "0.10", "0.10")
    assert not call(hers, "1.00", "1.00")
    shown = client.get(f"/organizations/{hers.organization.pk}").text
    assert refused in shown
    assert sent in shown


def test_limits_of_parts_are_told_of_where_they_belong(hers):
    client = people.visitor(hers.organization)
    place, inside = f"/organizations/{hers.organization.pk}", f"/workspaces/{hers.workspace.pk}"
    elsewhere = factories.workspace(hers.organization, "Altrove")
    limit(hers, hers.model, "0.10")
    limit(hers, hers.workspace, "0.10", LimitMode.SHADOW)
    assert call(hers, "0.10", "0.10")
    for address in (place, inside):
        told = attention(client, address)
        assert f"Limit of {hers.model.name}" in told
        assert f'href="/models/{hers.model.pk}/limits"' in told
        assert told.count("Limit of") == 1  # what only counts stops nothing
    assert "Limit of" not in attention(client, f"/workspaces/{elsewhere.pk}")


def test_a_keys_limit_is_shown_on_its_page_and_raised_from_there(hers):
    client, place = people.visitor(hers.organization), f"/keys/{hers.key.pk}"
    address = f"{place}/limits"
    assert "none of its own" in client.get(place).text
    said = {"monthly_spend": "1.00", "mode": "enforce", "alert_thresholds": "80"}
    answer = client.post(address, said, follow=True)
    assert answer.redirect_chain == [(address, 303)]
    assert f"Limit of {hers.key.name} …{hers.key.last4}" in answer.text
    assert call(hers, "0.40", "0.40")
    assert not call(hers, "0.70", "0.70")
    for overview in (f"/organizations/{hers.organization.pk}", f"/workspaces/{hers.workspace.pk}"):
        assert f'href="{address}"' in attention(client, overview)
    facts = client.get(place).text.split("<h2>Facts</h2>")[1].split("</section>")[0]
    assert re.findall(r"€\d\.\d\d", facts) == ["€1.00", "€0.40", "€0.60"]
    assert f'<a href="{address}">Change</a>' in facts
    assert hers.organization.name not in client.get(address).text.split("Where this month")[1]
    client.post(address, said | {"monthly_spend": "2.00"})
    assert call(hers, "0.70", "0.70")
    client.post(address, said | {"monthly_spend": ""})
    assert "none of its own" in client.get(place).text


def test_a_key_without_a_name_has_one_among_limits(hers):
    client = people.visitor(hers.organization)
    with scope.tenant(hers.organization.pk):
        MistralKey.objects.filter(pk=hers.key.pk).update(name="")
    limit(hers, hers.key, "1.00")
    own = client.get(f"/keys/{hers.key.pk}/limits").text
    assert own.count(f"Without a name …{hers.key.last4}") == 4
    assert "<strong>a key</strong>" in client.get(f"/models/{hers.model.pk}/limits").text


def test_who_may_read_limits_only_sees_the_keys(hers):
    limit(hers, hers.key, "1.00")
    roles = {hers.workspace: WorkspaceRole.MEMBER}
    client = people.visitor(hers.organization, Role.MEMBER, workspaces=roles)
    shown = client.get(f"/keys/{hers.key.pk}").text
    assert f'<a href="/keys/{hers.key.pk}/limits">Limits</a>' in shown
    assert "Set the limit" not in client.get(f"/keys/{hers.key.pk}/limits").text


def test_a_limit_of_nothing_is_a_limit(hers):
    client, place = people.visitor(hers.organization), f"/organizations/{hers.organization.pk}"
    assert "No limit is set" in client.get(place).text
    limit(hers, hers.organization, "0")
    shown = client.get(place).text
    assert "No limit is set" not in shown
    assert "100 percent of the limit of €0.00" in shown
    assert 'aria-label="100 %"' in client.get(f"{place}/limits").text
    assert not call(hers, "0.01", "0.01")
    assert "is used up" in attention(client, place)


def test_members_of_a_workspace_are_not_told_that_nothing_limits_them(hers):
    roles = {hers.workspace: WorkspaceRole.MEMBER}
    client = people.visitor(hers.organization, Role.MEMBER, workspaces=roles)
    limit(hers, hers.organization, "25.00")
    page = f"/workspaces/{hers.workspace.pk}/limits"
    told = client.get(page).text
    assert "nothing but Mistral itself stops spending" not in told
    assert "No limit of its own is set." in told
    assert "Limits of the whole organization hold here too" in told
    assert "25.00" not in told
    assert (
        "Limits of the whole organization hold here too"
        not in people.visitor(hers.organization).get(page).text
    )


def test_what_is_cut_is_not_counted_as_all(hers):
    client, place = people.visitor(hers.organization), f"/organizations/{hers.organization.pk}"
    for _ in range(6):
        valid_key(hers.workspace)
    with scope.tenant(hers.organization.pk):
        MistralKey.objects.exclude(pk=hers.key.pk).update(status=KeyStatus.INVALID)
    assert "6 things need your attention" in client.get(place).text
    with scope.tenant(hers.organization.pk):
        MistralKey.objects.update(status=KeyStatus.INVALID)
        RegisteredModel.objects.update(retired_at=timezone.now())
    shown = client.get(place).text
    assert "More than 6 things need your attention" in shown
    assert "There are more" in shown
    assert f'href="/workspaces/{hers.workspace.pk}/models"' in attention(
        client, f"/workspaces/{hers.workspace.pk}"
    )
