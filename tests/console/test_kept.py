"""A form that was sent when the sign-in was over comes back as it was typed, and says so."""

import time
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from tenants.access.models import OrganizationToken
from tenants.billing.models import BillingProfile
from tenants.common import scope
from tenants.organizations.roles import Role
from tests import people
from tests.api.world import WholeWorld, made_up_key, whole_world
from tests.console.html import faults
from tests.people import session_caller

HTML = {"Accept": "text/html"}
AGAIN = "What was typed is in the form again"
GONE = "what was typed is not kept. Do it once more."


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    return whole_world(has_statement=False)


@pytest.fixture(autouse=True)
def _uncounted():
    """Forget how many forms this address has sent without a sign-in, in other tests too."""
    cache.clear()


@pytest.fixture
def person(hers):
    who = people.person("Alice", password=people.PASSWORD)
    return people.member(hers.organization, Role.ADMIN, who=who).person


def nobody() -> Client:
    client = Client()
    client.cookies["aim_language"] = "en"
    return client


def sent(client: Client, address: str, said: dict[str, Any], **headers: str) -> str:
    answer = client.post(address, said, headers=HTML | headers)
    assert answer.status_code == 303
    there: str = answer["Location"]
    return there


def signed_in_again(client: Client, person: Any, there: str) -> str:
    said = {"login": person.email, "password": people.PASSWORD, "next": there.partition("next=")[2]}
    said["next"] = said["next"].replace("%2F", "/")
    back = client.post("/sign-in", said, headers=HTML)["Location"]
    if back.endswith("/webhooks/new"):  # it asks who one is once more
        assert client.get(back, headers=HTML)["Location"].startswith("/confirm")
        back = client.post("/confirm", said | {"next": back}, headers=HTML)["Location"]
    return shown(client, back)


def shown(client: Client, address: str) -> str:
    answer = client.get(address, headers=HTML)
    assert answer.status_code == 200
    page: str = answer.content.decode()
    assert faults(page) == []
    return page


BILLING = {"legal_name": "Nuova Ragione Sociale Srl", "country": "IT", "city": "Cremona"}


def test_what_was_typed_is_in_the_form_after_signing_in_and_nothing_was_saved(hers, person):
    client, address = nobody(), f"/organizations/{hers.organization.pk}/billing"
    page = signed_in_again(client, person, sent(client, address, BILLING))
    assert AGAIN in page
    assert 'value="Nuova Ragione Sociale Srl"' in page
    assert 'value="Cremona"' in page
    with scope.tenant(hers.organization.pk):
        assert not BillingProfile.objects.filter(legal_name=BILLING["legal_name"]).exists()
    again = shown(client, address)
    assert AGAIN not in again
    assert "Nuova Ragione" not in again


def test_a_form_that_is_sent_to_another_address_comes_back_on_its_own_page(hers, person):
    client, page_of = nobody(), f"/organizations/{hers.organization.pk}/billing"
    there = sent(client, f"{page_of}/plan", {"plan": "scale", "top_up": "77", "threshold": "7"})
    said = {"login": person.email, "password": people.PASSWORD, "next": f"{page_of}/plan"}
    assert there.startswith("/sign-in?next=")
    assert client.post("/sign-in", said, headers=HTML)["Location"] == f"{page_of}/plan"
    assert client.get(f"{page_of}/plan", headers=HTML)["Location"] == page_of
    page = shown(client, page_of)
    assert AGAIN in page
    assert 'value="77"' in page


def test_an_address_that_takes_forms_only_leads_to_the_page_that_one_came_from(hers):
    address = f"/keys/{hers.key.pk}/check"
    ours = f"http://testserver/keys/{hers.key.pk}"
    there = sent(nobody(), address, {}, Referer=ours)
    assert there == f"/sign-in?next=%2Fkeys%2F{hers.key.pk}"
    for other in ("https://evil.example/x", ""):
        assert sent(nobody(), address, {}, Referer=other) == "/sign-in?next=%2F"


def test_the_proof_of_who_one_is_does_not_cost_what_was_typed(hers, person):
    client = session_caller(person, is_sudo=False).client
    client.cookies["aim_language"] = "en"
    address = f"/organizations/{hers.organization.pk}/tokens/new"
    said = {"name": "Nightly", "scopes": ["keys:read", "spend:read"], "expires_on": "2031-01-31"}
    assert sent(client, address, said).startswith("/confirm?next=")
    proof = {"password": people.PASSWORD, "next": address}
    assert client.post("/confirm", proof, headers=HTML)["Location"] == address
    page = shown(client, address)
    assert AGAIN in page
    assert 'value="Nightly"' in page
    assert 'value="2031-01-31"' in page
    for name in said["scopes"]:
        (box,) = [one for one in page.split("<input") if f'value="{name}"' in one]
        assert "checked" in box
    assert page.count("checked") == 2
    with scope.tenant(hers.organization.pk):
        assert not OrganizationToken.objects.filter(name="Nightly").exists()


def test_what_may_be_a_secret_or_is_long_is_not_kept_and_that_is_said(hers, person):
    where = f"/organizations/{hers.organization.pk}/webhooks/new"
    key = made_up_key()
    kept_from = [
        (where, {"url": f"https://hooks.example.com/{key}"}),
        (where, {"url": "https://hooks.example.com/", "description": "whsec_abc"}),
        (where, {"url": "https://hooks.example.com/", "description": "x" * 20_000}),
        (f"/workspaces/{hers.workspace.pk}/keys/new", {"name": "K", "sealed_key": "{}"}),
        (where, {"url": "https://hooks.example.com/", "password": "hush"}),
    ]
    for address, said in kept_from:
        client = nobody()
        there = sent(client, address, said)
        assert client.session["aim_kept"]["said"] is None
        page = signed_in_again(client, person, there)
        assert GONE in page
        assert AGAIN not in page
        assert key not in page


def test_the_sign_in_says_why_one_is_there(hers):
    address = f"/organizations/{hers.organization.pk}/billing"
    client, over = nobody(), "The session is over, so nothing was saved."
    page = shown(client, sent(client, address, BILLING))
    assert over in page
    assert "what was typed is kept for ten minutes" in page
    assert over not in shown(client, "/sign-in")
    assert over not in shown(client, "/sign-in?next=/profile")
    client = nobody()
    page = shown(client, sent(client, address, {"password": "hush"}))
    assert "what was typed is not kept" in page
    client = nobody()
    assert over not in shown(client, client.get(address, headers=HTML)["Location"])


def test_it_is_given_back_for_ten_minutes_and_to_no_other_page_or_person(hers, person):
    address = f"/organizations/{hers.organization.pk}/billing"
    client = nobody()
    there = sent(client, address, BILLING)
    session = client.session
    session["aim_kept"] = session["aim_kept"] | {"at": int(time.time()) - 601}
    session.save()
    page = signed_in_again(client, person, there)
    assert "Nuova Ragione" not in page
    assert "aim_kept" not in client.session

    client = session_caller(person).client
    session = client.session
    session["aim_kept"] = {
        "at": int(time.time()),
        "page": address,
        "person": "somebody else",
        "said": {name: [value] for name, value in BILLING.items()},
    }
    session.save()
    assert "Nuova Ragione" not in shown(client, "/profile")
    assert "Nuova Ragione" not in shown(client, address)


def test_another_page_leaves_it_waiting(hers, person):
    client, address = nobody(), f"/organizations/{hers.organization.pk}/billing"
    sent(client, address, BILLING)
    assert AGAIN not in signed_in_again(client, person, "/sign-in?next=/profile")
    assert "Nuova Ragione" in shown(client, address)


def test_what_strangers_send_is_counted():
    address = f"/organizations/{'0' * 8}-0000-7000-8000-{'0' * 12}/billing"
    cache.clear()
    kept = []
    for _ in range(21):
        client = nobody()
        sent(client, address, BILLING)
        kept.append("aim_kept" in client.session)
    assert kept == [True] * 20 + [False]
