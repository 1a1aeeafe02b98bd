from aisuru_mistral.simulator.keys import WELL_KNOWN
from tests.simulator.schema import check

TUNED = "ft:mistral-small-2603:aurora-claims:20260310:7e773925"


def rows_of(client):
    answer = client.get("/v1/models")
    assert answer.status_code == 200
    return {row["id"]: row for row in answer.json()["data"]}


def test_the_list_has_the_published_shape_and_no_rate_limit_headers(alice):
    answer = alice.get("/v1/models")
    check(answer.json(), "ModelList")
    assert answer.headers["content-type"] == "application/json"
    assert not [name for name in answer.headers if "ratelimit" in name]


def test_every_alias_is_a_row_of_its_own_under_one_name(alice):
    rows = rows_of(alice)
    small, latest = rows["mistral-small-2603"], rows["mistral-small-latest"]
    assert small["name"] == latest["name"] == latest["billing_model_name"] == "mistral-small-2603"
    assert "mistral-small-latest" in small["aliases"]
    assert "mistral-small-2603" in latest["aliases"]
    assert "mistral-small-latest" not in latest["aliases"]


def test_fine_tuned_models_are_listed_for_their_owner_alone(alice, as_key):
    row = rows_of(alice)[TUNED]
    check(row, "FTModelCard")
    assert (row["type"], row["root"], row["archived"]) == (
        "fine-tuned",
        "mistral-small-2603",
        False,
    )
    assert row["owned_by"] == alice.get("/v1/users/me").json()["organization"]["id"]

    stranger = as_key("valid_other_organization")
    assert TUNED not in rows_of(stranger)
    assert stranger.get(f"/v1/models/{TUNED}").status_code == 404
    assert any(row["type"] == "fine-tuned" for row in rows_of(stranger).values())


def test_one_model_is_found_by_each_of_its_names(alice):
    for name in ("mistral-medium-latest", "mistral-medium-3-5", TUNED):
        row = alice.get(f"/v1/models/{name}").json()
        assert row["id"] == name
    assert alice.get("/v1/models/mistral-medium-latest").json()["name"] == "mistral-medium-3-5"


def test_retired_and_unknown_models_are_told_apart(alice):
    retired = alice.get("/v1/models/devstral-latest")
    assert (retired.status_code, retired.json()["message"]) == (
        404,
        "Model devstral-latest is deprecated.",
    )
    unknown = alice.get("/v1/models/gpt-x")
    assert (unknown.status_code, unknown.json()["message"]) == (404, "Model gpt-x was not found.")


def test_a_free_account_sees_less_than_a_paying_one(alice, as_key):
    free = rows_of(as_key("valid_free_plan"))
    assert "mistral-large-latest" in rows_of(alice)
    assert "mistral-large-latest" not in free
    assert "ministral-8b-latest" in free


def test_keys_of_one_organization_see_the_same_models(alice, as_key):
    assert rows_of(alice).keys() == rows_of(as_key("valid_other_workspace")).keys()


def test_a_wrong_or_missing_key_sees_nothing(simulator, alice):
    for headers in (
        {"authorization": "Bearer " + "x" * 32},
        {"authorization": ""},
        {"authorization": f"Basic {WELL_KNOWN['valid']}"},
        {"authorization": "", "x-api-key": WELL_KNOWN["valid"]},
    ):
        answer = alice.get("/v1/models", headers=headers)
        assert (answer.status_code, answer.json()) == (401, {"detail": "Unauthorized"})
    assert [request.auth for request in simulator.state.requests] == [
        "bearer",
        "other",
        "other",
        "x-api-key",
    ]
    assert all(request.key_name is None for request in simulator.state.requests)
