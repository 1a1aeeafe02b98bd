"""Models over HTTP: created with a token and a CompletionConfig, listed, changed, rotated."""

from datetime import timedelta

from django.utils import timezone

from tenants.common import scope
from tenants.common.tokens import TokenKind, digest, kind_of
from tenants.registry.models import ModelToken, RegisteredModel
from tenants.registry.snapshots import resolve
from tests import factories
from tests.api.callers import organization_caller, platform_caller
from tests.api.rows import new_model
from tests.api.world import registered_model, valid_key, world


def test_a_model_comes_with_its_token_its_limit_and_what_aisuru_takes(hers, platform, settings):
    settings.PUBLIC_URL = "https://gateway.example"
    answer = platform.post("models", new_model(hers) | {"defaults": {"temperature": 0.3}})
    assert answer.status == 201, answer.raw
    made = answer.body
    assert answer.headers["Location"] == f"/api/v1/models/{made['id']}"
    assert kind_of(made["token"]) is TokenKind.MODEL
    assert (made["status"], made["blocked_reason"], made["spend_limit"]) == ("ready", None, "10.00")
    assert (made["model"], made["key_id"]) == ("mistral-small-latest", str(hers.key.pk))
    config = made["completion_config"]
    assert (config["provider"], config["apiKey"]) == ("Mistral", made["token"])
    assert config["endPoint"].startswith("https://gateway.example")
    assert (config["deepThoughtEnabled"], config["questionAnsweringEnabled"]) == (True, False)
    snapshot = resolve(digest(made["token"]))
    assert snapshot is not None
    assert str(snapshot.model.id) == made["id"]
    limits = platform.get(f"models/{made['id']}/limits").body
    assert (limits["monthly_spend"], limits["mode"]) == ("10.00", "enforce")
    shown = platform.get(answer.headers["Location"]).body
    assert shown == {name: made[name] for name in made.keys() - {"token", "completion_config"}}


def test_without_a_key_the_best_one_is_used(hers, platform):
    body = new_model(hers)
    del body["key_id"]
    assert platform.post("models", body).body["key_id"] == str(hers.key.pk)


def test_a_model_that_the_key_does_not_see_is_refused_with_near_matches(hers, platform):
    answer = platform.post("models", new_model(hers) | {"model": "mistral-smal-latest"})
    assert (answer.status, answer.code) == (422, "model_not_available")
    assert answer.body["near_matches"] == ["mistral-small-latest"]
    assert answer.pointers == {"/model": "model_not_available"}


def test_parts_of_another_organization_are_not_found_and_nothing_is_made(hers, platform):
    other = world()
    for wrong in (
        {"workspace_id": str(other.workspace.pk)},
        {"key_id": str(other.key.pk)},
        {"organization_id": str(other.organization.pk)},
    ):
        answer = platform.post("models", new_model(hers) | wrong)
        assert answer.status in {404, 422}
        assert answer.code == "not_found"
        own = organization_caller(hers.organization).post("models", new_model(hers) | wrong)
        assert (own.status, own.code) == (404, "not_found")
    for organization in (hers.organization, other.organization):
        with scope.tenant(organization.pk):
            assert RegisteredModel.objects.count() == 1


def test_models_are_listed_by_what_is_asked(hers, alice, platform):
    elsewhere = factories.workspace(hers.organization, "Altrove")
    other = registered_model(elsewhere, valid_key(elsewhere), "Altro")
    alice.patch(
        f"models/{other.pk}", {"external_id": "x-1", "purposes": ["deep_thought", "import_export"]}
    )
    both, first, second = {str(hers.model.pk), str(other.pk)}, str(hers.model.pk), str(other.pk)
    organization = f"organization_id={hers.organization.pk}"
    for query, found in (
        ("", both),
        (organization, both),
        (f"workspace_id={elsewhere.pk}", {second}),
        (f"{organization}&purpose=question_answering", {first}),
        (f"{organization}&purpose=deep_thought", {second}),
        (f"{organization}&external_id=x-1", {second}),
        (f"{organization}&external_id=x", set()),
    ):
        callers = (alice, platform) if query else (alice,)
        for caller in callers:
            results = caller.get(f"models?{query}").body["results"]
            assert {one["id"] for one in results} == found, query


def test_a_change_changes_what_is_sent(hers, alice):
    address = f"models/{hers.model.pk}"
    before = alice.get(address).body
    changes = {
        "name": "Nuovo",
        "description": "due\nrighe",
        "timeout": 30,
        "purposes": ["deep_thought"],
    }
    assert alice.patch(address, changes).body == before | changes
    assert alice.get(address).body == before | changes


def test_another_key_needs_the_right_to_use_it(hers, alice):
    other = valid_key(hers.workspace, "Altra")
    address = f"models/{hers.model.pk}"
    weak = organization_caller(hers.organization, "models:write", "models:read")
    for change in ({"key_id": str(other.pk)}, {"model": "mistral-small-latest"}):
        refusal = weak.patch(address, change)
        assert (refusal.status, refusal.code) == (403, "scope_missing")
    assert alice.get(address).body["key_id"] == str(hers.key.pk)
    assert alice.patch(address, {"key_id": str(other.pk)}).body["key_id"] == str(other.pk)
    refusal = alice.patch(address, {"key_id": str(world().key.pk)})
    assert (refusal.status, refusal.code) == (404, "not_found")


def test_a_rotated_token_leaves_the_old_one_for_the_grace_only(hers, alice):
    address = f"models/{hers.model.pk}/token"
    first = alice.post(address, {}).body
    second = alice.post(address, {"grace_seconds": 60}).body
    assert second["completion_config"]["apiKey"] == second["token"]
    assert resolve(digest(first["token"])) is not None
    with scope.tenant(hers.organization.pk):
        old = ModelToken.objects.filter(digest=digest(first["token"]))
        assert old.get().expires_at is not None
        old.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert resolve(digest(first["token"])) is None
    alice.post(address)
    assert resolve(digest(second["token"])) is None


def test_a_deleted_model_is_gone_and_so_are_its_tokens(hers, alice):
    address = f"models/{hers.model.pk}"
    token = alice.post(f"{address}/token").body["token"]
    assert alice.delete(address).status == 204
    assert resolve(digest(token)) is None
    for method, path in (("GET", address), ("DELETE", address), ("POST", f"{address}/token")):
        assert alice.call(method, path).status == 404
    assert alice.get("models").body["results"] == []
    assert alice.get(f"spend?model_id={hers.model.pk}").status == 200, "history stays"


def test_the_completion_config_comes_in_both_flavours_without_a_token(hers, alice, settings):
    settings.PUBLIC_URL = "https://gateway.example"
    address = f"models/{hers.model.pk}/completion-config"
    mistral, openai = (
        alice.get(f"{address}?flavour={name}").body for name in ("mistral", "custom_openai")
    )
    assert (mistral["provider"], openai["provider"]) == ("Mistral", "Custom_OpenAI")
    assert openai["endPoint"] == "https://gateway.example/v1"
    assert "apiKey" not in mistral | openai


def test_the_catalogue_tells_prices_in_the_currency_that_is_asked(alice):
    by_id = {one["id"]: one for one in alice.get("catalog").body["results"]}
    small = by_id["mistral-small-2603"]
    assert "mistral-small-latest" in small["aliases"]
    assert {price["currency"] for price in small["prices"]} == {"EUR"}
    assert {price["meter"] for price in small["prices"]} >= {"input", "output"}
    assert all(isinstance(price["amount"], str) for price in small["prices"])
    dollars = platform_caller().get("catalog?currency=USD&include_retired=true").body["results"]
    assert len(dollars) > len(by_id)
    assert {price["currency"] for one in dollars for price in one["prices"]} == {"USD"}
