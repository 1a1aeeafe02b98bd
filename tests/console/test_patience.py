"""Whoever tries too often is told how long to wait, and loses nothing that was typed."""

import re
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client

from tenants.people import mail
from tenants.people.services import TERMS_VERSION
from tests import people
from tests.console.html import faults

HTML = {"Accept": "text/html"}


@pytest.fixture(autouse=True)
def letters(monkeypatch) -> list[str]:
    """What was mailed, in a house where nobody has tried anything yet."""
    cache.clear()
    sent: list[str] = []

    def keep(letter: Any, **_facts: Any) -> bool:
        sent.append(letter.text)
        return True

    monkeypatch.setattr(mail, "send", keep)
    return sent


def english() -> Client:
    client = Client()
    client.cookies["aim_language"] = "en"
    return client


def signs_up(client: Client, email: str) -> Any:
    said = {
        "name": "Eva Verdi",
        "email": email,
        "organization": "Verdi Srl",
        "password1": people.PASSWORD,
        "terms": TERMS_VERSION,
        "locale": "en",
    }
    return client.post("/sign-up", said, headers=HTML)


def test_signing_up_again_at_once_keeps_what_was_typed_and_says_when():
    assert signs_up(english(), "eva@patience.example").status_code == 302
    again = signs_up(english(), "eva@patience.example")
    page = again.content.decode()
    assert again.status_code == 429
    assert 1 <= int(again["Retry-After"]) <= 10
    assert f"Try again in {again['Retry-After']} second" in page
    for typed in ("eva@patience.example", "Verdi Srl", "Eva Verdi"):
        assert f'value="{typed}"' in page
    assert people.PASSWORD not in page
    assert again["Cache-Control"] == "no-store"
    assert faults(page) == []


def test_after_five_wrong_passwords_the_form_says_how_many_minutes():
    person = people.person("Pina", password=people.PASSWORD)
    said = {"login": person.email.upper(), "password": "wrong"}
    for _ in range(5):
        assert english().post("/sign-in", said, headers=HTML).status_code == 200
    refused = english().post("/sign-in", said | {"password": people.PASSWORD}, headers=HTML)
    page = refused.content.decode()
    assert refused.status_code == 429
    assert 240 < int(refused["Retry-After"]) <= 300
    assert "Try again in 5 minutes." in page
    assert f'value="{person.email.upper()}"' in page
    assert people.PASSWORD not in page
    assert faults(page) == []


def test_it_is_the_same_for_an_address_that_nobody_has():
    said = {"login": "nobody@patience.example", "password": "wrong"}
    answers = [english().post("/sign-in", said, headers=HTML) for _ in range(6)]
    assert [one.status_code for one in answers] == [200] * 5 + [429]
    assert "Try again in 5 minutes." in answers[-1].content.decode()


@pytest.mark.parametrize("is_known", [True, False])
def test_a_code_that_is_typed_wrong_three_times_is_spent_and_the_page_says_so(is_known, letters):
    email = people.person("Nota").email if is_known else "new@patience.example"
    client = english()
    signs_up(client, email)
    for _ in range(2):
        assert client.post("/verify-email", {"code": "AAAA-AAAA"}, headers=HTML).status_code == 200
    third = client.post("/verify-email", {"code": "AAAA-AAAA"}, headers=HTML)
    assert third["Location"] == "/sign-in"
    page = client.get("/sign-in", headers=HTML).content.decode()
    assert "The code is spent: it was typed wrong too often." in page
    assert "another code is mailed then" in page
    assert faults(page) == []
    assert "is spent" not in client.get("/sign-in", headers=HTML).content.decode()
    if not is_known:  # what the sentence promises
        cache.clear()
        sent = len(letters)
        said = {"login": email, "password": people.PASSWORD}
        assert client.post("/sign-in", said, headers=HTML)["Location"].startswith("/verify-email")
        assert re.search(r"[A-Z0-9]{4}-[A-Z0-9]{4}", letters[sent])


def test_a_code_whose_time_is_over_says_so():
    client = english()
    signs_up(client, "late@patience.example")
    session = client.session
    session["account_email_verification_code"]["at"] -= 3600
    session.save()
    assert client.get("/verify-email", headers=HTML)["Location"] == "/sign-in"
    assert "time is over" in client.get("/sign-in", headers=HTML).content.decode()


def test_who_confirms_in_time_is_told_nothing_of_that(letters):
    client = english()
    signs_up(client, "intime@patience.example")
    (code,) = set(re.findall(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b", letters[-1]))
    answer = client.post("/verify-email", {"code": code}, headers=HTML, follow=True)
    assert "is spent" not in answer.content.decode()
