"""Signing up and in, abused: nobody learns who is here, takes over a session, or tries for ever."""

from typing import Any

import pytest
from django.core import mail as outbox
from django.test import Client

from tenants.organizations.roles import Role
from tests import people
from tests.api.callers import Answer, Caller

ALLAUTH = "/_allauth/browser/v1/"


def browser(**client: Any) -> Caller:
    """Somebody's browser at an address of its own: attempts are counted by address."""
    return Caller(client=Client(**client))


def ask(caller: Caller, path: str, body: dict[str, Any], method: str = "POST") -> Answer:
    return caller.call(method, ALLAUTH + path, body)


_hosts = iter(f"198.51.100.{number}" for number in range(1, 255))


@pytest.fixture
def visitor() -> Caller:
    return browser(REMOTE_ADDR=next(_hosts))


@pytest.fixture(scope="module")
def nora():
    return people.person("Nora", password=people.PASSWORD)


def test_a_session_from_before_signing_in_is_worth_nothing_after(nora, visitor):
    visitor.client.get("/_allauth/browser/v1/config")
    session = visitor.client.session
    session["planted"] = "by somebody else"
    session.save()
    planted = session.session_key
    visitor.client.cookies["aim_session"] = planted
    answer = ask(visitor, "auth/login", {"email": nora.email, "password": people.PASSWORD})
    assert answer.status == 200, answer.raw
    assert visitor.client.cookies["aim_session"].value != planted
    other = browser()
    other.client.cookies["aim_session"] = planted
    assert other.get("me").status == 401
    assert visitor.get("me").body["email"] == nora.email


def test_signing_out_ends_the_session_on_the_server(nora, visitor):
    ask(visitor, "auth/login", {"email": nora.email, "password": people.PASSWORD})
    kept = visitor.client.cookies["aim_session"].value
    assert visitor.get("me").status == 200
    assert ask(visitor, "auth/session", {}, "DELETE").status == 401
    thief = browser()
    thief.client.cookies["aim_session"] = kept
    assert thief.get("me").status == 401


def said(answer: Answer) -> Any:
    """What an answer says, without what differs by chance."""
    return answer.status, answer.body


def test_signing_up_looks_the_same_for_known_and_new_addresses(nora, visitor):
    facts = {"password": "a long enough secret 4711", "name": "N", "terms": "2026-11"}
    known = ask(visitor, "auth/signup", {"email": nora.email, **facts})
    another = browser(REMOTE_ADDR=next(_hosts))
    fresh = ask(another, "auth/signup", {"email": "f@new.example", **facts})
    assert said(known) == said(fresh)
    assert known.status == 401  # a code was mailed, or a note


def test_a_wrong_password_and_an_unknown_address_are_refused_in_the_same_words(nora, visitor):
    wrong = ask(visitor, "auth/login", {"email": nora.email, "password": "not the right one"})
    unknown = {"email": "no@body.example", "password": "not the right one"}
    nobody = ask(visitor, "auth/login", unknown)
    assert said(wrong) == said(nobody)
    assert wrong.status == 400


def test_asking_for_a_new_password_looks_the_same_for_everybody(nora, visitor):
    known = ask(visitor, "auth/password/request", {"email": nora.email})
    nobody = ask(visitor, "auth/password/request", {"email": "no@body.example"})
    assert said(known) == said(nobody)


def test_an_account_is_not_guessed_for_ever_from_wherever(visitor):
    victim = people.person("Victim", password=people.PASSWORD)
    guesses = [{"email": victim.email, "password": f"guess number {n}"} for n in range(6)]
    tries = [ask(browser(REMOTE_ADDR=next(_hosts)), "auth/login", guess) for guess in guesses]
    assert [one.status for one in tries][:5] == [400] * 5
    # The right one does not get in now, either; and it says no more than the wrong ones.
    right = ask(visitor, "auth/login", {"email": victim.email, "password": people.PASSWORD})
    assert right.status == tries[5].status == 400
    assert right.body == tries[5].body


def test_a_session_needs_the_csrf_token_for_whatever_changes_something(organization):
    admin = people.member(organization, Role.ADMIN).person
    caller = people.session_caller(admin, enforce_csrf_checks=True)
    path = f"organizations/{organization.pk}"
    assert caller.get(path).status == 200
    for method, address, body in (
        ("PATCH", path, {"name": "Theirs"}),
        ("POST", f"{path}/workspaces", {"name": "Theirs"}),
        ("DELETE", f"{path}/admin-key", None),
        ("PUT", "me/organization", {"organization_id": str(organization.pk)}),
    ):
        refusal = caller.call(method, address, body)
        assert (refusal.status, refusal.code) == (403, "csrf_failed"), address
        forged = caller.call(method, address, body, {"X-CSRFToken": "a" * 32})
        assert forged.code == "csrf_failed"
    token = "b" * 32
    caller.client.cookies["aim_csrf"] = token
    assert caller.call("PATCH", path, {"name": "Ours"}, {"X-CSRFToken": token}).status == 200
    other_site = {"X-CSRFToken": token, "Origin": "https://evil.example"}
    assert caller.call("PATCH", path, {"name": "Theirs"}, other_site).code == "csrf_failed"
    login = {"email": admin.email, "password": "x"}
    stranger = browser(enforce_csrf_checks=True)
    assert ask(stranger, "auth/login", login).status == 403


def test_no_answer_leads_to_another_site(nora, visitor):
    evil = ("/?next=//evil.example", "//evil.example/", "/%2f%2fevil.example", "/\\evil.example")
    for address in evil:
        answer = visitor.get(address)
        assert "evil" not in answer.headers.get("Location", ""), address
    body = {"email": nora.email, "password": people.PASSWORD, "next": "https://evil.example"}
    answer = ask(visitor, "auth/login?next=https://evil.example", body)
    assert b"evil" not in answer.raw


def test_a_host_that_is_made_up_gets_into_no_mail(nora, visitor):
    before = len(outbox.outbox)
    visitor.call(
        "POST",
        ALLAUTH + "auth/password/request",
        {"email": nora.email},
        {"X-Forwarded-Host": "evil.example"},
    )
    (letter,) = outbox.outbox[before:]
    assert "evil" not in str(letter.message())
