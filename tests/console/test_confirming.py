"""What concerns safety is confirmed by what one has, and by nothing less; nobody is locked out."""

import re
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.cache import cache
from django.test import Client

from tenants.organizations.models import Organization
from tenants.organizations.roles import Role
from tests import factories, people
from tests.people import session_caller

HTML = {"Accept": "text/html"}
API = "/_allauth/browser/v1/"
SECRET = "JBSWY3DPEHPK3PXP"


@pytest.fixture(scope="module")
def organization() -> Organization:
    return factories.organization(name="Conferme Srl")


@pytest.fixture(autouse=True)
def _fresh_counts():
    cache.clear()


@pytest.fixture
def guarded(organization) -> str:
    """A page that asks who one is."""
    return f"/organizations/{organization.pk}/tokens/new"


def administrator(organization: Organization, password: str | None) -> Any:
    who = people.person("Carla", password=password)
    return people.member(organization, Role.ADMIN, who=who).person


def codes() -> list[str]:
    """What the app shows: a moment ago, now, and in a moment; all are taken."""
    return [format_hotp_value(hotp_value(SECRET, at)) for at in yield_hotp_counters_from_time()]


def led_to(client: Client, address: str) -> str:
    """Where the way goes on, after as many redirects as there are."""
    answer = client.get(address, headers=HTML, follow=True)
    assert answer.status_code == 200
    return str(answer.redirect_chain[-1][0]) if answer.redirect_chain else address


def test_signing_in_lets_nobody_on_and_the_password_once_more_does(organization, guarded):
    carla = administrator(organization, people.PASSWORD)
    client = Client()
    client.post("/sign-in", {"login": carla.email, "password": people.PASSWORD}, headers=HTML)
    confirm = led_to(client, guarded)
    assert confirm.startswith("/confirm?next=")
    page = client.get(confirm, headers=HTML).text
    assert "/confirm/" not in page, "there is no other way: no code comes by mail"
    wrong = client.post("/confirm", {"password": "not the password", "next": guarded})
    assert 'aria-invalid="true"' in wrong.text
    assert led_to(client, guarded).startswith("/confirm?")
    right = client.post("/confirm", {"password": people.PASSWORD, "next": guarded})
    assert right["Location"] == guarded
    assert led_to(client, guarded) == guarded


def test_a_code_that_signed_in_does_not_confirm_as_well(organization, guarded):
    carla = administrator(organization, people.PASSWORD)
    TOTP.activate(carla, SECRET)
    _, now, soon = codes()
    client = Client()
    client.post("/sign-in", {"login": carla.email, "password": people.PASSWORD}, headers=HTML)
    assert client.post("/sign-in/code", {"code": now}, headers=HTML)["Location"] == "/"
    assert "/confirm/code?" in client.get(led_to(client, guarded), headers=HTML).text
    again = client.post("/confirm/code", {"code": now, "next": guarded}, headers=HTML)
    assert 'aria-invalid="true"' in again.text
    another = client.post("/confirm/code", {"code": soon, "next": guarded}, headers=HTML)
    assert another["Location"] == guarded
    assert led_to(client, guarded) == guarded


def test_without_a_password_an_app_is_asked_for_its_code(organization, guarded):
    carla = administrator(organization, None)
    client = session_caller(carla, is_sudo=False).client
    TOTP.activate(carla, SECRET)
    assert led_to(client, guarded).startswith("/confirm/code?next=")
    answer = client.post("/confirm/code", {"code": codes()[1], "next": guarded}, headers=HTML)
    assert answer["Location"] == guarded
    assert led_to(client, guarded) == guarded


def test_without_a_password_a_passkey_is_asked_for(organization, guarded):
    carla = administrator(organization, None)
    client = session_caller(carla, is_sudo=False).client
    Authenticator.objects.create(user=carla, type="webauthn", data={"name": "Telefono"})
    there = client.get(client.get(guarded, headers=HTML)["Location"], headers=HTML)
    assert there["Location"].startswith("/confirm/passkey?next=")


def test_who_has_nothing_to_confirm_with_chooses_a_password(organization, guarded, monkeypatch):
    carla = administrator(organization, None)
    client = session_caller(carla).client
    client.cookies["aim_language"] = "en"
    for address in (guarded, "/security/app", "/security/passkeys/new", "/security/password"):
        assert led_to(client, address).startswith("/reset-password"), address
    page = client.get(led_to(client, guarded), headers=HTML).text
    assert "There is no password yet." in page
    assert "There is no password yet." not in Client().get("/reset-password", headers=HTML).text
    refused = session_caller(carla).get(f"organizations/{organization.pk}/export")
    assert (refused.status, refused.code) == (403, "reauthentication_required")

    link = mailed_link(client, carla.email, monkeypatch)
    form = led_to(client, link)
    client.post(form, {"password1": people.PASSWORD, "password2": people.PASSWORD}, headers=HTML)
    assert led_to(client, guarded).startswith("/sign-in?"), "the session before is over"
    client.post("/sign-in", {"login": carla.email, "password": people.PASSWORD}, headers=HTML)
    client.post("/confirm", {"password": people.PASSWORD, "next": guarded}, headers=HTML)
    assert led_to(client, guarded) == guarded


def mailed_link(client: Client, email: str, monkeypatch: Any) -> str:
    letters: list[str] = []
    monkeypatch.setattr(
        "tenants.people.mail.send", lambda letter, **_facts: letters.append(letter.text)
    )
    client.post("/reset-password", {"email": email}, headers=HTML)
    (link,) = re.findall(r"http://gateway\.test(/reset-password/\S+)", letters[0])
    return str(link)


def test_a_code_by_mail_is_no_proof(organization, guarded):
    carla = administrator(organization, people.PASSWORD)
    caller = session_caller(carla, is_sudo=False)
    for way in ("request", "confirm", "resend"):
        assert caller.client.post(f"{API}auth/reauthenticate/code/{way}").status_code == 404
    session = caller.client.session
    session["account_authentication_methods"] = [
        {"method": "code", "at": time.time(), "reauthenticated": True, "email": carla.email}
    ]
    session["account_authentication_methods_user"] = str(carla.pk)
    session.save()
    assert led_to(caller.client, guarded).startswith("/confirm?")


def test_programs_are_told_how_to_confirm_and_let_on(organization):
    carla = administrator(organization, people.PASSWORD)
    client = session_caller(carla, is_sudo=False).client
    path = f"{API}account/authenticators/webauthn"
    refused = client.get(path)
    assert refused.status_code == 401
    assert [flow["id"] for flow in refused.json()["data"]["flows"]] == ["reauthenticate"]
    export = f"/api/v1/organizations/{organization.pk}/export"
    assert client.get(export).json()["code"] == "reauthentication_required"
    proof = {"password": people.PASSWORD}
    proved = client.post(f"{API}auth/reauthenticate", proof, content_type="application/json")
    assert [client.get(one).status_code for one in (path, export)] == [200, 200]
    assert proved.status_code == 200
