from tests.simulator.conftest import CHAT, HELLO
from tests.simulator.schema import check

TUNED = "ft:mistral-small-2603:aurora-claims:20260310:7e773925"
ONE = f"/v1/fine_tuning/models/{TUNED}"


def chat(client):
    return client.post(CHAT, json={**HELLO, "model": TUNED})


def test_a_fine_tuned_model_is_renamed(alice):
    changed = alice.patch(ONE, json={"name": "Claims", "description": "For claims."}).json()
    check(changed, "CompletionFineTunedModel")
    assert (changed["name"], changed["description"]) == ("Claims", "For claims.")
    row = alice.get(f"/v1/models/{TUNED}").json()
    check(row, "FTModelCard")
    assert (row["name"], row["description"]) == ("Claims", "For claims.")
    assert alice.patch(ONE, json={"surprise": 1}).status_code == 422


def test_an_archived_model_is_listed_but_not_called(alice):
    archived = alice.post(f"{ONE}/archive").json()
    check(archived, "ArchiveModelResponse")
    assert archived["archived"]
    assert alice.get(f"/v1/models/{TUNED}").json()["archived"]
    assert chat(alice).json()["code"] == "1500"
    back = alice.delete(f"{ONE}/archive").json()
    check(back, "UnarchiveModelResponse")
    assert not back["archived"]
    assert chat(alice).status_code == 200


def test_a_deleted_model_is_gone_until_the_reset(simulator, alice):
    gone = alice.delete(f"/v1/models/{TUNED}").json()
    check(gone, "DeleteModelResponse")
    assert gone["deleted"]
    assert alice.get(f"/v1/models/{TUNED}").status_code == 404
    assert TUNED not in {row["id"] for row in alice.get("/v1/models").json()["data"]}
    assert chat(alice).json()["code"] == "1500"
    assert alice.delete(f"/v1/models/{TUNED}").status_code == 404
    simulator.state.reset()
    assert chat(alice).status_code == 200


def test_base_models_and_those_of_others_are_not_there(alice, as_key):
    stranger = as_key("valid_other_organization")
    base = "mistral-small-2603"
    for client, model in ((stranger, TUNED), (alice, base), (alice, "ft:nobody")):
        path = f"/v1/fine_tuning/models/{model}"
        assert client.patch(path, json={"name": "x"}).status_code == 404
        assert client.post(f"{path}/archive").status_code == 404
        assert client.delete(f"{path}/archive").status_code == 404
        assert client.delete(f"/v1/models/{model}").status_code == 404
    assert chat(alice).status_code == 200
    assert alice.get("/v1/fine_tuning/jobs").status_code == 404
