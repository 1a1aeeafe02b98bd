"""Signing in at the desk: a password is never enough."""

import io
import time
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.test import Client

from tenants.assistance.staff import StaffRole
from tests import people
from tests.support.conftest import second_factor, staff_person

PASSWORD = "correct horse battery staple"


def code(secret: str) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30)))


def sign_in(client: Client, email: str, password: str = PASSWORD):
    return client.post("/admin/login", {"email": email, "password": password})


@pytest.fixture
def person():
    cache.clear()
    return staff_person(StaffRole.AGENT, password=PASSWORD)


def test_a_second_factor_is_enrolled_once_and_asked_for_ever_after(person):
    client = Client()
    assert sign_in(client, person.email.upper()).headers["Location"] == "/admin/login/second-factor"
    assert client.get("/admin/").status_code == 302  # not yet
    client.get("/admin/login/second-factor")
    secret = client.session["mfa.totp.secret"]
    assert client.post("/admin/login/second-factor", {"code": "000000"}).status_code == 200
    assert client.get("/admin/").status_code == 302
    entered = client.post("/admin/login/second-factor", {"code": code(secret)})
    assert entered.headers["Location"] == "/admin/"
    assert client.get("/admin/").status_code == 200
    assert secret not in client.get("/admin/").text
    client.post("/admin/logout")
    assert client.get("/admin/").status_code == 302

    again = Client()
    sign_in(again, person.email)
    asked = again.get("/admin/login/second-factor")
    assert asked.status_code == 200
    assert secret not in asked.text  # nobody is shown it a second time
    assert again.post("/admin/login/second-factor", {"code": "000000"}).status_code == 401
    assert again.get("/admin/").status_code == 302
    cache.clear()  # the code was used a moment ago
    again.post("/admin/login/second-factor", {"code": code(secret)})
    assert again.get("/admin/").status_code == 200


def test_who_is_not_staff_hears_what_a_wrong_password_hears(person):
    alice = people.person("Alice", password=PASSWORD)
    nobody = sign_in(Client(), "nobody@staff.example")
    wrong = sign_in(Client(), person.email, "wrong")
    customer = sign_in(Client(), alice.email)
    assert {nobody.status_code, wrong.status_code, customer.status_code} == {401}
    words = "support desk", "supporto"
    for answer in (nobody, wrong, customer):
        assert any(word in answer.text for word in words)
        assert PASSWORD not in answer.text
    skipping = Client()
    assert skipping.get("/admin/login/second-factor").headers["Location"] == "/admin/login"


def test_passwords_are_not_tried_for_ever(person):
    answers = [sign_in(Client(), person.email, f"wrong {number}") for number in range(6)]
    assert sign_in(Client(), person.email).status_code == 401, answers[-1].text
    cache.clear()


def test_the_desk_is_never_framed_kept_or_fed_from_elsewhere():
    answer = Client().get("/admin/login")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self' 'unsafe-eval';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "no-store" in answer.headers["Cache-Control"]
    assert "<script>" not in answer.text
    style: Any = Client().get("/static/unfold/css/styles.css")
    assert (style.status_code, len(style.content) > 1000) == (200, True)
    assert Client().get("/static/unfold/../../settings.py").status_code == 404


def test_a_login_is_made_without_a_terminal_or_refused_in_one_line(monkeypatch, capsys):
    email = "sara@staff.example"
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(CommandError, match="STAFF_PASSWORD"):
        call_command("create_staff", email=email)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{people.PASSWORD}\n"))
    call_command("create_staff", email=email)
    assert email in capsys.readouterr().out
    assert Client().login(email=email, password=people.PASSWORD)


def test_a_lost_second_factor_is_forgotten_by_a_command(person, capsys):
    Authenticator.objects.create(user=person, type="totp", data={"secret": "s"})
    call_command("staff_role", email=person.email, role="lead", forget_second_factor=True)
    assert "is lead" in capsys.readouterr().out
    assert not Authenticator.objects.filter(user=person).exists()
    for who in ("nobody@staff.example", people.person("Bob").email):
        with pytest.raises(CommandError):
            call_command("staff_role", email=who, role="lead")
    client = Client()
    client.force_login(person, backend=people.BACKEND)
    second_factor(client, person)
    assert client.get("/admin/log").status_code == 200
