"""A form that makes something and shows its secret makes one thing, however often it is sent."""

import re
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from tenants.access.models import OrganizationToken
from tenants.access.sent import LASTS
from tenants.common import scope
from tenants.common.models import least_id
from tenants.notices.models import WebhookEndpoint, WebhookSecret
from tenants.organizations.roles import Role
from tenants.registry.models import ModelToken, RegisteredModel
from tests import people
from tests.api.world import MODEL, WholeWorld, whole_world
from tests.people import session_caller

HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    return whole_world(has_statement=False)


@pytest.fixture
def alice(hers) -> Client:
    client = session_caller(people.member(hers.organization, Role.ADMIN).person).client
    client.cookies["aim_language"] = "en"
    return client


def filled(client: Client, address: str, **said: Any) -> dict[str, Any]:
    """Open a form and fill it in."""
    page = client.get(address, headers=HTML).content.decode()
    (form_id,) = re.findall(r'name="form_id" value="(\w+)"', page)
    return {"form_id": form_id, **said}


def rows(found: WholeWorld, kind: Any) -> int:
    with scope.tenant(found.organization.pk):
        return int(kind.objects.count())


URL = "https://hooks.example.com/once"
_MODEL: dict[str, Any] = {"name": "Once", "model": MODEL, "purposes": ["question_answering"]}
FORMS: dict[str, tuple[str, dict[str, Any], Any, str]] = {
    "webhook": ("organizations/{o}/webhooks/new", {"url": URL}, WebhookEndpoint, "webhooks"),
    "secret": (
        "organizations/{o}/webhooks/{w}/secret",
        {"grace_seconds": "86400"},
        WebhookSecret,
        "{w}",
    ),
    "token": (
        "organizations/{o}/tokens/new",
        {"name": "Once", "scopes": ["keys:read"]},
        OrganizationToken,
        "tokens",
    ),
    "model": ("workspaces/{s}/models/new", _MODEL, RegisteredModel, "models"),
    "model's token": ("models/{m}/token", {"grace_seconds": "86400"}, ModelToken, "{m}"),
}


def place(text: str, found: WholeWorld) -> str:
    ids = {
        "o": found.organization.pk,
        "w": found.webhook.pk,
        "s": found.workspace.pk,
        "m": found.model.pk,
    }
    return text.format(**ids)


@pytest.mark.parametrize("what", FORMS)
def test_sent_again_it_makes_no_other_and_says_where_the_first_is(what, hers, alice):
    route, said, kind, end = FORMS[what]
    address = "/" + place(route, hers)
    form = filled(alice, address, **said)
    before = rows(hers, kind)
    assert alice.post(address, form, headers=HTML).status_code in {200, 201}
    assert rows(hers, kind) == before + 1
    again = alice.post(address, form, headers=HTML)
    assert again.status_code == 303
    assert again["Location"].endswith(place(end, hers))
    page = alice.get(again["Location"], headers=HTML).content.decode()
    assert "This form was sent already" in page
    assert "shown once" in page
    assert rows(hers, kind) == before + 1
    fresh = filled(alice, address, **said | ({"name": "Twice"} if "name" in said else {}))
    assert alice.post(address, fresh, headers=HTML).status_code in {200, 201}
    assert rows(hers, kind) == before + 2


def test_one_that_was_refused_may_be_sent_again(hers, alice):
    address = f"/organizations/{hers.organization.pk}/webhooks/new"
    form = filled(alice, address, url="https://10.0.0.1/")
    assert alice.post(address, form, headers=HTML).status_code == 422
    assert alice.post(address, form | {"url": URL}, headers=HTML).status_code == 201


def test_the_id_of_a_form_is_its_senders_own(hers, alice):
    address = f"/organizations/{hers.organization.pk}/webhooks/new"
    form = filled(alice, address, url=URL)
    other = session_caller(people.member(hers.organization, Role.ADMIN).person).client
    for client in (alice, other):
        assert client.post(address, form, headers=HTML).status_code == 201


@pytest.mark.parametrize("form_id", ["", "x", "old"])
def test_one_that_was_open_for_a_day_makes_nothing_and_says_so(form_id, hers, alice):
    if form_id == "old":
        form_id = least_id(timezone.now(), shift=-2 * LASTS).hex
    before = rows(hers, WebhookEndpoint)
    address = f"/organizations/{hers.organization.pk}/webhooks/new"
    answer = alice.post(address, {"url": URL, "form_id": form_id}, headers=HTML)
    assert answer.status_code == 303
    page = alice.get(answer["Location"], headers=HTML).content.decode()
    assert "open for too long, so nothing was made" in page
    assert rows(hers, WebhookEndpoint) == before
