import json
import re
import time

import httpx
import pytest

from aisuru_mistral.simulator.errors import ERRORS, FAULTS, REFUSALS
from aisuru_mistral.simulator.keys import REGISTER, WELL_KNOWN
from tests.simulator.conftest import CHAT, HELLO, finished

ERROR_KEYS = [
    key
    for key in REGISTER.keys
    if key.behaviour.error in ERRORS
    and not key.behaviour.sequence
    and key.behaviour.for_seconds is None
]
PATHS = {"models": ("GET", "/v1/models"), "inference": ("POST", CHAT)}


def send(client, kind):
    method, path = PATHS[kind]
    return client.request(method, path, json=HELLO if method == "POST" else None)


def test_every_error_and_fault_has_a_key_of_its_own():
    assert set(REFUSALS) <= set(WELL_KNOWN)
    assert all(REGISTER.keys[at].secret[-4:] == f"{at + 1:04}" for at in range(len(WELL_KNOWN)))
    assert all(len(secret) == 32 and secret.isalnum() for secret in WELL_KNOWN.values())


@pytest.mark.parametrize("key", ERROR_KEYS, ids=lambda key: key.name)
def test_an_error_key_answers_as_the_table_says(simulator, as_key, key):
    error = ERRORS[key.behaviour.error]
    client = as_key(key.name)
    answer = send(client, "inference")
    assert answer.status_code == error.status
    assert answer.headers["content-type"] == error.content_type.decode()
    assert answer.headers["mistral-correlation-id"]
    assert not [name for name in answer.headers if "ratelimit" in name]
    if error.content_type == b"application/json":
        expected = json.loads(error.body)
        assert answer.json().keys() == expected.keys()
        for field in ("type", "code", "detail"):
            assert answer.json().get(field) == expected.get(field)
    assert not re.search(r"\{[a-z_]+\}", answer.text)
    other = send(client, "models").status_code
    assert other == (error.status if key.behaviour.scope == "all" else 200)
    assert simulator.state.ledger.lines() == []


@pytest.mark.parametrize("name", sorted(ERRORS))
def test_a_valid_key_can_ask_for_any_error_by_header(alice, name):
    answer = alice.post(CHAT, json=HELLO, headers={"x-sim-error": name})
    assert answer.status_code == ERRORS[name].status
    assert alice.post(CHAT, json=HELLO).status_code == 200


def test_the_three_refusals_of_a_wrong_key_differ_in_body_only(as_key):
    names = ("unauthorized", "invalid_api_key", "unauthorized_gateway")
    answers = [as_key(name).get("/v1/models") for name in names]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert answers[0].json() == {"detail": "Unauthorized"}
    assert answers[1].json() == {"detail": "Invalid API Key"}
    assert answers[2].json() == {
        "message": "Unauthorized",
        "request_id": answers[2].headers["mistral-correlation-id"],
    }


def test_an_error_names_the_model_of_the_request(as_key):
    for name in ("model_unknown", "model_retired", "model_not_found", "labs_not_enabled"):
        assert "mistral-small-latest" in as_key(name).post(CHAT, json=HELLO).json()["message"]
    strange = {**HELLO, "model": 'quo"te\\'}
    assert as_key("model_unknown").post(CHAT, json=strange).json()["message"].endswith('quo"te\\')


def test_retry_after_comes_with_some_refusals_only(as_key):
    assert "retry-after" not in as_key("rate_limited").get("/v1/models").headers
    for name in ("rate_limited_retry_after", "service_unavailable_retry_after"):
        assert as_key(name).get("/v1/models").headers["retry-after"] == "2"


def test_two_errors_quote_the_key_they_were_sent(as_key):
    name = "unauthorized_quoting_key"
    assert WELL_KNOWN[name] in as_key(name).get("/v1/models").text
    assert WELL_KNOWN["valid"] in (
        as_key("valid", **{"x-sim-error": "bad_arguments_quoting_key"}).post(CHAT, json=HELLO).text
    )


def test_an_unknown_error_or_directive_is_refused_loudly(alice):
    assert "nonsense" in alice.get("/v1/models", headers={"x-sim-error": "nonsense"}).text
    for headers in (
        {"x-sim-eror": "rate_limited"},
        {"x-sim-delay": "soon"},
        {"x-sim-delay": "-1"},
        {"x-sim-usage": "tokens=4"},
        {"x-sim-omit-usage": "perhaps"},
        {"x-sim-service-tier": "golden"},
        {"x-sim-split": "0"},
    ):
        answer = alice.get("/v1/models", headers=headers)
        assert (answer.status_code, list(answer.json())) == (400, ["simulator"])


def test_unknown_paths_and_methods_are_told_apart(alice):
    for path in ("/v1/v1/models", "/v1/rooms", "/", "/v1/models/a/b"):
        answer = alice.get(path)
        assert answer.status_code == 404
        assert answer.json()["message"] == "no Route matched with those values"
    assert alice.get(CHAT).status_code == 405
    assert alice.put("/v1/models").status_code == 405


@pytest.mark.parametrize("name", sorted({"garbage", "cut_json", "empty_body", "html_page"}))
def test_broken_bodies_come_with_status_200_and_are_no_json(as_key, name):
    answer = as_key(name).post(CHAT, json=HELLO)
    assert answer.status_code == 200
    with pytest.raises((json.JSONDecodeError, UnicodeDecodeError)):
        answer.json()


def test_wrong_shape_is_json_of_something_else(as_key):
    assert "data" in as_key("wrong_shape").get("/v1/models").json()
    assert FAULTS["wrong_shape"].status == 200


@pytest.mark.parametrize(
    ("name", "error"),
    [("reset", httpx.ReadError), ("cut_body", httpx.RemoteProtocolError)],
)
def test_connections_break_as_their_key_says(simulator, as_key, name, error):
    client = as_key(name)
    with pytest.raises(error):
        client.get("/v1/models")
    assert finished(simulator.state.requests[-1]).outcome == "broken"
    assert as_key("valid").get("/v1/models").status_code == 200


def test_a_hanging_key_never_answers_and_notices_the_caller_leaving(simulator, as_key):
    with pytest.raises(httpx.ReadTimeout):
        as_key("hang").get("/v1/models", timeout=0.2)
    record = finished(simulator.state.requests[-1])
    assert (record.outcome, record.key_name) == ("disconnected", "hang")


def test_inference_can_hang_while_models_answer(as_key):
    client = as_key("inference_hang")
    assert client.get("/v1/models").status_code == 200
    with pytest.raises(httpx.ReadTimeout):
        client.post(CHAT, json=HELLO, timeout=0.2)


def test_delay_comes_before_the_answer(as_key):
    began = time.monotonic()
    assert as_key("valid", **{"x-sim-delay": "0.3"}).get("/v1/models").status_code == 200
    assert time.monotonic() - began >= 0.3


def test_a_body_larger_than_the_gateway_takes_is_refused(simulator, alice, monkeypatch):
    monkeypatch.setattr("aisuru_mistral.simulator.wire.MAXIMUM_BODY", 1000)
    content = (b"x" * 400 for _ in range(5))
    answer = alice.post(CHAT, content=content)
    assert answer.status_code == 413
