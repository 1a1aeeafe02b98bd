from aisuru_mistral.simulator.ledger import METERS
from tests.simulator.conftest import CHAT, HELLO

NEW = "RegisteredOverHttp00000000000001"


def test_the_bill_can_be_read_over_http(simulator, alice):
    usage = alice.post(CHAT, json=HELLO).json()["usage"]
    bill = alice.get("/sim/ledger").json()
    (line,) = bill["lines"]
    assert (line["key"], line["model"], line["calls"]) == ("valid", "mistral-small-2603", 1)
    assert line["workspace"] == simulator.state.key("valid").workspace.id
    assert bill["total"]["completion_tokens"] == usage["completion_tokens"]
    assert bill["total"]["usd"] == line["usd"] == str(simulator.state.ledger.total().usd)
    assert set(METERS) < set(line)
    assert set(METERS) < set(bill["total"])


def test_requests_are_recorded_without_key_and_body(simulator, alice):
    alice.post(CHAT, json=HELLO)
    alice.get("/v1/users/me", headers={"authorization": "", "x-api-key": "nobody"})
    answer = alice.get("/sim/requests")
    first, second = answer.json()["requests"]
    assert (first["method"], first["path"], first["auth"]) == ("POST", CHAT, "bearer")
    assert (first["key_name"], first["model"]) == ("valid", "mistral-small-latest")
    assert (first["status"], first["outcome"]) == (200, "answered")
    assert (second["auth"], second["key_name"], second["status"]) == ("x-api-key", None, 401)
    assert simulator.state.key("valid").secret not in answer.text
    assert "Hello there" not in answer.text
    assert simulator.state.calls(key="valid", path=CHAT)[0].correlation_id


def test_keys_are_listed_and_registered_over_http(simulator, alice):
    names = {row["name"]: row["key"] for row in alice.get("/sim/keys").json()["keys"]}
    assert names["valid"] == simulator.state.key("valid").secret
    row = {"key": NEW, "organization": "aurora", "workspace": "main", "user": "ada"}
    created = alice.post("/sim/keys", json={**row, "behaviour": {"sequence": ["capacity"]}})
    assert created.status_code == 201
    headers = {"authorization": f"Bearer {NEW}"}
    assert [alice.get("/v1/models", headers=headers).status_code for _ in range(2)] == [429, 200]
    assert alice.post("/sim/keys", json={"key": "short"}).status_code == 422
    assert alice.post("/sim/keys", content=b"{").status_code == 422
    assert alice.post("/sim/keys", json=[]).status_code == 422


def test_behaviour_and_directives_change_over_http(alice):
    changed = alice.post(
        "/sim/behaviour", json={"name": "valid", "behaviour": {"error": "no_route"}}
    )
    assert changed.status_code == 200
    assert alice.get("/v1/models").status_code == 404
    assert alice.post("/sim/behaviour", json={"name": "nobody"}).status_code == 404
    assert alice.post("/sim/behaviour", json={"name": "valid", "mood": 1}).status_code == 422
    alice.post("/sim/behaviour", json={"name": "valid", "behaviour": {}})

    assert alice.post("/sim/directives", json={"error": "capacity"}).json() == {"error": "capacity"}
    assert alice.get("/v1/models").status_code == 429
    assert alice.post("/sim/directives", json={"error": "nonsense"}).status_code == 422
    assert alice.post("/sim/directives", json={}).json() == {}
    assert alice.get("/v1/models").status_code == 200


def test_reset_forgets_everything(simulator, alice):
    alice.post(CHAT, json=HELLO)
    alice.post("/sim/keys", json={"key": NEW})
    assert alice.post("/sim/reset").status_code == 204
    assert alice.get("/sim/ledger").json()["lines"] == []
    assert alice.get("/sim/requests").json()["requests"] == []
    assert simulator.state.find(NEW) is None
