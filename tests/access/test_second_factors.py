"""Second factors lie sealed, move with the keyring, and are never more than a wrong code away."""

import base64
import os
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.cache import cache
from django.test import Client

from tenants.organizations import rotation
from tenants.people import second_factors
from tenants.vault import platform
from tenants.vault.aead import AeadKey
from tenants.vault.distant import KeyringUnavailableError
from tests import people
from tests.organizations.test_rotation import OWN
from tests.vault.rings import forget, ring_of

pytestmark = pytest.mark.slow

SECRET = "JBSWY3DPEHPK3PXP"
OLD = AeadKey("older", os.urandom(32))
NEW = AeadKey("newer", os.urandom(32))


@pytest.fixture
def keyring(monkeypatch):
    """Put a keyring in place of the process's own."""

    def use(*keys: AeadKey) -> None:
        ring = ring_of(*keys, *OWN)
        for module in ("platform", "envelope", "intake"):
            monkeypatch.setattr(f"tenants.vault.{module}.keyring", lambda: ring)

    yield use
    monkeypatch.undo()
    forget("older", "newer")


@pytest.fixture
def tea():
    return people.person("Tea", password=people.PASSWORD)


def code() -> str:
    cache.clear()  # a code is taken once
    return str(format_hotp_value(hotp_value(SECRET, list(yield_hotp_counters_from_time())[1])))


def stored(person: Any) -> str:
    """What the table has of a person's second factors, in words."""
    return str(list(Authenticator.objects.filter(user=person).values_list("data", flat=True)))


def box_of(person: Any, member: str = "secret") -> bytes:
    row = Authenticator.objects.get(user=person, **{f"data__{member}__isnull": False})
    return base64.b64decode(row.data[member].removeprefix("sealed:"))


def signs_in(person: Any, typed: str) -> int:
    client = Client(headers={"Accept": "text/html"})
    client.post("/sign-in", {"login": person.email, "password": people.PASSWORD})
    answer = client.post("/sign-in/code", {"code": typed})
    return 303 if answer.status_code == 302 and answer["Location"] == "/" else answer.status_code


def test_secrets_and_seeds_are_sealed_and_go_on_working(tea):
    TOTP.activate(tea, SECRET)
    codes = RecoveryCodes.activate(tea).generate_codes()
    assert SECRET not in stored(tea)
    assert stored(tea).count("sealed:") == 2
    assert signs_in(tea, code()) == 303
    assert signs_in(tea, codes[3]) == 303
    assert signs_in(tea, codes[3]) == 200, "a recovery code works once"


def test_what_was_stored_before_sealing_works_and_is_sealed_by_the_audit(tea):
    row = Authenticator.objects.create(user=tea, type="totp", data={"secret": SECRET})
    seed = {"seed": "a5" * 40, "used_mask": 4}
    Authenticator.objects.create(user=tea, type="recovery_codes", data=seed)
    assert signs_in(tea, code()) == 303
    assert second_factors.audit()["opened"] >= 2
    assert SECRET not in stored(tea)
    assert "a5a5" not in stored(tea)
    assert "'used_mask': 4" in stored(tea)
    assert signs_in(tea, code()) == 303
    row.refresh_from_db()
    before = row.data
    assert not second_factors.audit()["lost"]
    row.refresh_from_db()
    assert row.data == before, "what is sealed is left alone"


def test_a_new_master_key_takes_them_over(tea, keyring):
    keyring(OLD)
    TOTP.activate(tea, SECRET)
    RecoveryCodes.activate(tea)
    assert rotation.master_keys_in_use()["older"] == 2
    keyring(NEW, OLD)
    assert signs_in(tea, code()) == 303
    rotation.rotate_what_is_nobodys()
    assert rotation.master_keys_in_use()["older"] == 0
    assert box_of(tea)[2:7] == box_of(tea, "seed")[2:7] == b"newer"
    keyring(NEW)
    assert signs_in(tea, code()) == 303


def test_without_its_master_key_nobody_gets_in_and_everybody_is_told(tea, keyring):
    keyring(OLD)
    TOTP.activate(tea, SECRET)
    keyring(NEW)
    assert "older" in rotation.missing_master_keys()
    assert second_factors.audit()["lost"] == 1
    assert rotation.rotate_what_is_nobodys()[second_factors.UNOPENED] == 1
    assert signs_in(tea, code()) == 409
    program = Client()
    path = "/_allauth/browser/v1/auth/"
    facts = {"email": tea.email, "password": people.PASSWORD}
    program.post(path + "login", facts, content_type="application/json")
    answer = program.post(
        path + "2fa/authenticate", {"code": code()}, content_type="application/json"
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "second_factor_undecryptable")


def test_while_a_key_service_is_away_signing_in_says_when_to_come_back(tea, monkeypatch):
    TOTP.activate(tea, SECRET)

    def away(*_args: Any) -> Any:
        raise KeyringUnavailableError("made up")

    monkeypatch.setattr(platform, "unseal", away)
    assert second_factors.audit()["unanswered"] >= 1
    assert signs_in(tea, code()) == 503


def test_who_tries_too_often_is_told_when_to_come_back():
    cache.clear()
    page = Client(REMOTE_ADDR="203.0.113.77", headers={"Accept": "text/html"})
    facts = {"login": "nobody@people.example", "password": "not the right one"}
    answers = [page.post("/sign-in", facts) for _ in range(6)]
    assert {one.status_code for one in answers[:5]} == {200}
    assert answers[5].status_code == 429  # for this login
    assert 240 < int(answers[5]["Retry-After"]) <= 300
    assert 'name="password"' in answers[5].text  # in the form still
    others = [
        page.post("/sign-in", facts | {"login": f"nobody{one}@people.example"}) for one in range(25)
    ]
    assert {one.status_code for one in others[:4]} == {200}
    assert {one.status_code for one in others[4:]} == {429}  # for this network address: ten failed
    assert 0 < int(others[-1]["Retry-After"]) <= 60
    assert "<h1>" in others[-1].text
    program = Client(REMOTE_ADDR="203.0.113.77")
    path = "/_allauth/browser/v1/auth/login"
    facts = {"email": "nobody@people.example", "password": "not the right one"}
    refused = program.post(path, facts, content_type="application/json")
    assert (refused.status_code, refused["Retry-After"]) == (429, "60")
    cache.clear()
