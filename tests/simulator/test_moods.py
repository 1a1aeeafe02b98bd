from decimal import Decimal

import pytest

from aisuru_mistral.simulator.directives import Directives
from aisuru_mistral.simulator.keys import BadKey
from tests.simulator.conftest import CHAT, HELLO


def statuses(client, count, path=CHAT):
    if path == CHAT:
        return [client.post(CHAT, json=HELLO).status_code for _ in range(count)]
    return [client.get(path).status_code for _ in range(count)]


@pytest.fixture
def clock(simulator):
    class Clock:
        seconds = 1000.0

    simulator.state.clock = lambda: Clock.seconds
    return Clock


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flapping", [503, 200, 503, 200, 503]),
        ("recovering", [503, 503, 429, 200, 200]),
        ("fresh", [401, 401, 200, 200, 200]),
        ("revoked_after_five_calls", [200, 200, 200, 200, 200, 401, 401]),
    ],
)
def test_some_keys_change_their_mood_from_call_to_call(as_key, name, expected):
    assert statuses(as_key(name), len(expected)) == expected
    assert statuses(as_key("valid"), 2) == [200, 200]


def test_models_and_inference_count_as_calls_alike(as_key):
    client = as_key("fresh")
    assert statuses(client, 1, "/v1/models") + statuses(client, 1) == [401, 401]
    assert statuses(client, 1, "/v1/users/me") == [200]


def test_a_fresh_key_becomes_valid_with_time(as_key, clock):
    client = as_key("fresh_for_three_seconds")
    assert statuses(client, 3, "/v1/models") == [401, 401, 401]
    clock.seconds += 2.9
    assert statuses(client, 1, "/v1/models") == [401]
    clock.seconds += 0.1
    assert statuses(client, 2, "/v1/models") == [200, 200]


def test_a_limit_of_requests_holds_for_a_minute_and_is_told(simulator, as_key, clock):
    client = as_key("three_requests_a_minute")
    left = []
    for _ in range(3):
        answer = client.post(CHAT, json=HELLO)
        left.append(answer.headers["x-ratelimit-remaining-req-minute"])
    assert left == ["2", "1", "0"]
    refused = client.post(CHAT, json=HELLO)
    assert (refused.status_code, refused.json()["code"]) == (429, "1300")
    assert refused.headers["x-ratelimit-limit-req-minute"] == "3"
    assert simulator.state.ledger.total().calls == 3
    assert statuses(client, 1, "/v1/models") == [200]
    clock.seconds += 60
    assert statuses(client, 1) == [200]


def test_a_hidden_limit_is_not_told(as_key):
    client = as_key("hidden_three_requests_a_minute")
    answers = [client.post(CHAT, json=HELLO) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert int(answers[2].headers["x-ratelimit-remaining-req-minute"]) > 1000


def test_a_limit_of_tokens_stops_after_it_was_reached(as_key, clock):
    client = as_key("thousand_tokens_a_minute", **{"x-sim-usage": "prompt=400,completion=200"})
    assert statuses(client, 3) == [200, 200, 429]
    clock.seconds += 61
    assert statuses(client, 1) == [200]


def test_a_spend_limit_stops_the_workspace(simulator, as_key):
    client = as_key("tiny_spend_limit", **{"x-sim-usage": "prompt=0,completion=100"})
    assert statuses(client, 3) == [200, 200, 402]
    assert simulator.state.spent(simulator.state.key("tiny_spend_limit")) == Decimal("0.00012")
    refused = client.post(CHAT, json=HELLO)
    assert refused.json()["type"].startswith("billing_")


def test_behaviour_changes_while_running(simulator, alice):
    state = simulator.state
    state.change("valid", behaviour={"error": "invalid_api_key"})
    assert statuses(alice, 1) == [401]
    state.change("valid", behaviour={"sequence": ["internal_error"]})
    assert statuses(alice, 2) == [500, 200]
    state.change("valid", limits={"requests_per_minute": 1})
    assert statuses(alice, 2) == [429, 429]
    state.change("valid", behaviour={}, limits={})
    assert statuses(alice, 1) == [200]
    state.directives = Directives(error="service_unavailable")
    assert statuses(alice, 1) == [503]
    assert statuses(alice, 1, "/v1/models") == [503]
    alice.headers["x-sim-error"] = "none"
    assert statuses(alice, 1) == [200]
    del alice.headers["x-sim-error"]
    state.reset()
    assert statuses(alice, 1) == [200]
    state.forget("valid")
    assert statuses(alice, 1) == [401]


def test_a_key_can_be_registered_with_a_place_of_its_own(simulator, alice):
    secret = "RegisteredAtRunTime0000000000001"
    key = simulator.state.register(
        key=secret, name="mine", organization={"name": "Mine"}, limits={"spend_usd": "1.5"}
    )
    assert key.organization.id != simulator.state.key("valid").organization.id
    assert key.limits.spend_usd == Decimal("1.5")
    answer = alice.get("/v1/users/me", headers={"authorization": f"Bearer {secret}"})
    assert answer.json()["organization"] == {"id": key.organization.id, "name": "Mine"}
    simulator.state.reset()
    assert simulator.state.find(secret) is None


@pytest.mark.parametrize(
    "row",
    [
        {"key": "short"},
        {"key": "x" * 33},
        {"key": "x" * 31 + "-"},
        {"key": "x" * 32, "behaviour": {"error": "nonsense"}},
        {"key": "x" * 32, "behaviour": {"mood": "bad"}},
        {"key": "x" * 32, "behaviour": {"error": "capacity", "scope": "moon"}},
        {"key": "x" * 32, "limits": {"spend_usd": "much"}},
        {"key": "x" * 32, "directives": {"speed": 3}},
        {"key": "x" * 32, "organization": "nobody"},
        {"key": "x" * 32, "organization": "aurora", "workspace": "nowhere"},
        {"key": "x" * 32, "identity_auth": "telepathy"},
        {"key": "x" * 32, "name": "valid"},
        {"key": "x" * 32, "colour": "red"},
    ],
)
def test_a_key_that_makes_no_sense_is_refused(simulator, row):
    known = len(simulator.state.known_keys())
    with pytest.raises(BadKey):
        simulator.state.register(**row)
    assert len(simulator.state.known_keys()) == known
