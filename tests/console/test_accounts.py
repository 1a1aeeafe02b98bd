"""Signing in on our pages: a forgotten password, a second factor, and no word to strangers."""

import re
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.test import Client

from tenants.people import mail
from tests import people

HTML = {"Accept": "text/html"}
NEW = "un'altra frase, più lunga"


@pytest.fixture
def letters(monkeypatch) -> list[str]:
    """What was mailed."""
    sent: list[str] = []

    def keep(letter: Any, **_facts: Any) -> bool:
        sent.append(letter.text)
        return True

    monkeypatch.setattr(mail, "send", keep)
    return sent


def signs_in(email: str, password: str) -> tuple[Client, Any]:
    client = Client()
    return client, client.post("/sign-in", {"login": email, "password": password}, headers=HTML)


def test_who_was_invited_is_told_so_and_is_asked_for_no_organization():
    client = Client()
    client.cookies["aim_language"] = "en"
    for page in ("/sign-in", "/sign-up"):
        asked = client.get(page, {"next": "/invitations/aim_inv_x"}, headers=HTML).text
        assert "You were invited." in asked
        assert 'name="next" value="/invitations/aim_inv_x"' in asked
        assert 'name="organization"' not in asked
        assert "You were invited." not in client.get(page, headers=HTML).text
    assert 'name="organization"' in client.get("/sign-up", headers=HTML).text


def test_a_forgotten_password_is_chosen_anew_by_the_link_that_was_mailed(letters):
    person = people.person("Piero", password=people.PASSWORD)
    client = Client()
    client.post("/reset-password", {"email": person.email}, headers=HTML)
    (link,) = re.findall(r"http://gateway\.test(/reset-password/\S+)", letters[0])
    form = client.get(link, headers=HTML, follow=True)
    address = form.redirect_chain[-1][0]
    assert "no-store" in form["Cache-Control"]
    assert link.rpartition("-")[2] not in address
    answer = client.post(address, {"password1": NEW, "password2": NEW}, headers=HTML)
    assert answer["Location"] == "/reset-password/done"
    assert signs_in(person.email, people.PASSWORD)[1].status_code == 200
    assert signs_in(person.email, NEW)[1].status_code == 302


def test_strangers_get_the_same_page_whether_an_address_is_known_or_not(letters):
    known = people.person("Nota", password=people.PASSWORD).email
    answers = []
    for email in (known, "nobody@nowhere.example"):
        answer = Client().post("/reset-password", {"email": email}, headers=HTML)
        wrong = signs_in(email, "not the password")[1].content.decode()
        tokens = r'name="csrfmiddlewaretoken" value="[^"]+"'
        answers.append((answer["Location"], re.sub(tokens, "", wrong).replace(email, "")))
    assert answers[0] == answers[1]


def test_an_authenticator_app_is_asked_for_its_code():
    person = people.person("Tea", password=people.PASSWORD)
    secret = "JBSWY3DPEHPK3PXP"
    TOTP.activate(person, secret)
    assert Authenticator.objects.filter(user=person).exists()
    client, answer = signs_in(person.email, people.PASSWORD)
    assert answer["Location"].startswith("/sign-in/code")
    assert client.get("/", headers=HTML)["Location"] == "/sign-in"
    wrong = client.post("/sign-in/code", {"code": "000000"}, headers=HTML)
    assert 'aria-invalid="true"' in wrong.content.decode()
    counter = list(yield_hotp_counters_from_time())[1]
    code = format_hotp_value(hotp_value(secret, counter))
    assert client.post("/sign-in/code", {"code": code}, headers=HTML)["Location"] == "/"
    assert client.get("/security", headers=HTML).status_code == 200
