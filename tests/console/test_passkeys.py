"""Made-up answers of devices are wrong answers, on every page that takes one, and nothing else."""

import json

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client

from tests import people
from tests.people import session_caller

HTML = {"Accept": "text/html"}
JUNK = [
    "",
    "null",
    "[]",
    '"x"',
    "7",
    "{}",
    json.dumps({"id": 7, "rawId": None, "response": "x", "type": "public-key"}),
    json.dumps({"rawId": "AA", "response": {"clientDataJSON": "AA", "attestationObject": "AA"}}),
    json.dumps(
        {
            "id": "AA",
            "rawId": "AA",
            "type": "public-key",
            "response": {
                "clientDataJSON": "bnVsbA",
                "attestationObject": "oA",
                "authenticatorData": "AA",
                "signature": "AA",
                "userHandle": "%%%",
            },
        }
    ),
]


@pytest.fixture(scope="module")
def piero():
    return people.person("Piero", password=people.PASSWORD)


@pytest.fixture(autouse=True)
def _fresh_counts():
    cache.clear()


@pytest.mark.parametrize("credential", JUNK)
def test_made_up_answers_of_a_device_are_refused(credential, piero):
    stranger, client = Client(), session_caller(piero).client
    stranger.get("/sign-in/passkey", headers={"Accept": "application/json"})
    answer = stranger.post("/sign-in/passkey", {"credential": credential}, headers=HTML)
    assert (answer.status_code, answer["Location"]) == (302, "/sign-in")
    client.get("/security/passkeys/new", headers=HTML)
    body = {"name": "Telefono", "credential": credential}
    answer = client.post("/security/passkeys/new", body, headers=HTML)
    assert answer.status_code == 200
    assert 'role="alert"' in answer.content.decode()
    assert not Authenticator.objects.filter(user=piero).exists()


@pytest.mark.parametrize("credential", JUNK)
def test_programs_are_refused_in_their_way(credential, piero):
    stranger, client = Client(), session_caller(piero).client
    given = json.loads(credential or '""')
    path = "/_allauth/browser/v1/"
    for caller, address, body in (
        (stranger, "auth/webauthn/login", {"credential": given}),
        (client, "account/authenticators/webauthn", {"name": "x", "credential": given}),
    ):
        caller.get(path + address)
        answer = caller.post(path + address, body, content_type="application/json")
        assert answer.status_code == 400, answer.content


def test_somebody_elses_passkey_is_nowhere(piero):
    other = people.person("Altra", password=people.PASSWORD)
    row = Authenticator.objects.create(user=other, type="webauthn", data={"name": "Suo"})
    client = session_caller(piero).client
    for verb in ("rename", "remove"):
        address = f"/security/passkeys/{row.pk}/{verb}"
        for send in (client.get, client.post):
            assert send(address, {"name": "Mio"}, headers=HTML).status_code == 404
    row.refresh_from_db()
    assert row.data == {"name": "Suo"}
