"""Keys over HTTP: registered, listed, found, changed, replaced, checked, deleted; never shown."""

from urllib.parse import urlencode

import pytest

from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations.models import Announcement
from tests import factories
from tests.api.callers import organization_caller
from tests.api.world import MODEL, made_up_key, registered_model, valid_key


@pytest.fixture
def path(workspace) -> str:
    return f"workspaces/{workspace.pk}/keys"


def test_a_key_is_accepted_pending_and_its_secret_never_comes_back(alice, path, workspace):
    plain = made_up_key()
    answer = alice.post(path, {"name": "Produzione", "key": plain, "expires_on": "2099-12-31"})
    assert answer.status == 202
    key = answer.body
    assert answer.headers["Location"] == f"/api/v1/keys/{key['id']}"
    assert key == {
        "id": key["id"],
        "workspace_id": str(workspace.pk),
        "name": "Produzione",
        "last4": plain[-4:],
        "status": "pending",
        "expires_on": "2099-12-31",
        "created_at": key["created_at"],
        "created_by": "script",
        "last_used_at": None,
        "verdict": None,
        "in_use_by": 0,
        "replacement": None,
        "probe": None,
        "warnings": [],
    }
    for place in (answer.headers["Location"], path, f"keys/{key['id']}/models"):
        assert plain.encode() not in alice.get(place).raw
    assert plain.encode() not in answer.raw


def test_the_same_key_again_is_the_same_key(alice, path):
    plain = made_up_key()
    first, again = (alice.post(path, {"key": plain}) for _ in range(2))
    assert (first.status, again.status) == (202, 200)
    assert first.body["id"] == again.body["id"]


def test_in_another_workspace_it_is_accepted_with_a_warning(alice, path, organization):
    plain = made_up_key()
    alice.post(path, {"key": plain})
    other = factories.workspace(organization)
    answer = alice.post(f"workspaces/{other.pk}/keys", {"key": plain})
    assert (answer.status, [one["code"] for one in answer.body["warnings"]]) == (
        202,
        ["duplicate_elsewhere"],
    )


def test_a_malformed_key_is_refused_at_once_without_being_repeated(alice, path):
    answer = alice.post(path, {"key": "not a mistral key at all"})
    assert (answer.status, answer.code, answer.pointers) == (
        422,
        "key_malformed",
        {"/key": "key_malformed"},
    )
    assert b"not a mistral" not in answer.raw
    assert alice.get(path).body["results"] == []


def test_the_verdict_comes_in_the_readers_language(hers, alice):
    address = f"keys/{hers.key.pk}"
    english = alice.get(address, {"Accept-Language": "en"}).body
    assert english["status"] == "valid"
    assert english["in_use_by"] == 1
    verdict = english["verdict"]
    assert (verdict["code"], verdict["title"], verdict["models"]) == ("ok", "The key works", 1)
    assert verdict["evidence"] == {
        "http_status": 200,
        "mistral_code": None,
        "correlation_id": "c",
    }
    assert verdict["identity"] == {
        "organization": "Rossi",
        "workspace": "Default",
        "key_name": "k",
    }


def test_keys_are_found_by_part_of_the_name_by_last_four_and_by_status(alice, path, workspace):
    first, second = valid_key(workspace, "Produzione"), valid_key(workspace, "100%_prova")
    for query, found in (
        ("search=produ", {first}),
        ("search=%25_", {second}),
        (f"search={second.last4}", {second}),
        ("search=%25%25", set()),
        ("status=valid", {first, second}),
        ("status=invalid", set()),
        ("", {first, second}),
    ):
        results = alice.get(f"{path}?{query}").body["results"]
        assert {one["id"] for one in results} == {str(key.pk) for key in found}, query


def test_a_key_in_use_is_deleted_by_force_only_and_stays_in_history(hers, alice):
    address = f"keys/{hers.key.pk}"
    refusal = alice.delete(address)
    assert (refusal.status, refusal.code, refusal.body["in_use_by"]) == (409, "key_in_use", 1)
    assert alice.get(address).body["status"] == "valid"
    assert alice.delete(f"{address}?force=true").status == 204
    assert alice.get(address).body["status"] == "revoked"
    keys = f"workspaces/{hers.workspace.pk}/keys"
    assert alice.get(keys).body["results"] == []
    assert len(alice.get(f"{keys}?status=revoked").body["results"]) == 1
    with scope.tenant(hers.organization.pk):
        assert MistralKey.objects.get(pk=hers.key.pk).sealed is None
    model = alice.get(f"models/{hers.model.pk}").body
    assert (model["status"], model["blocked_reason"]) == ("blocked", "key_revoked")
    assert model["blocked_detail"]


def test_a_secret_is_replaced_behind_the_same_id_and_only_there(hers, alice):
    address, plain = f"keys/{hers.key.pk}", made_up_key()
    refusal = alice.patch(address, {"key": plain})
    assert (refusal.status, refusal.pointers) == (422, {"/key": "unknown_field"})
    answer = alice.post(f"{address}/versions", {"key": plain})
    assert (answer.status, answer.body["id"]) == (202, str(hers.key.pk))
    assert (answer.body["last4"], answer.body["status"]) == (plain[-4:], "pending")
    assert alice.post(f"{address}/versions", {"key": plain}).status == 200
    assert alice.get(f"models/{hers.model.pk}").body["key_id"] == str(hers.key.pk)


def test_a_secret_with_a_grace_waits_and_is_shown_beside_the_one_that_serves(hers, alice):
    address, plain = f"keys/{hers.key.pk}", made_up_key()
    answer = alice.post(f"{address}/versions", {"key": plain, "grace_seconds": 600})
    assert answer.status == 202
    assert (answer.body["last4"], answer.body["status"]) == (hers.key.last4, "valid")
    waits = answer.body["replacement"]
    assert (waits["last4"], waits["status"], waits["verdict"]) == (plain[-4:], "pending", None)
    assert waits["detail"]
    assert waits["grace_ends_at"] > answer.body["created_at"]
    listed = alice.get(f"workspaces/{hers.workspace.pk}/keys").body["results"]
    assert [one["replacement"]["last4"] for one in listed] == [plain[-4:]]
    assert plain.encode() not in answer.raw


@pytest.mark.parametrize(
    "masked", ["••••{}", "****{}", "*" * 28 + "{}", "." * 28 + "{}", "abcd...{}", "…{}"]
)
def test_the_masked_form_sent_back_is_no_key(hers, alice, masked):
    sent = {"key": masked.format(hers.key.last4)}
    for address in (f"workspaces/{hers.workspace.pk}/keys", f"keys/{hers.key.pk}/versions"):
        answer = alice.post(address, sent)
        assert (answer.status, answer.pointers) == (422, {"/key": "key_malformed"})
    with scope.tenant(hers.organization.pk):
        (key,) = MistralKey.objects.all()
    assert (key.status, key.secret_version) == (KeyStatus.VALID, 1)


def test_name_and_date_change_and_what_is_not_sent_does_not(hers, alice):
    address = f"keys/{hers.key.pk}"
    before = alice.get(address).body
    changed = alice.patch(address, {"name": "Nuovo"}).body
    assert changed == {**before, "name": "Nuovo"}
    assert alice.patch(address, {"expires_on": "2099-01-31"}).body["expires_on"] == "2099-01-31"
    assert alice.patch(address, {"expires_on": None}).body["expires_on"] is None
    assert alice.patch(address, {}).body["name"] == "Nuovo"


def test_a_check_is_asked_for_and_a_deleted_key_is_not_checked(hers, alice):
    address = f"keys/{hers.key.pk}"
    assert alice.post(f"{address}/validate").status == 202
    with scope.tenant(hers.organization.pk):
        assert MistralKey.objects.get().next_check_at is not None
    alice.delete(f"{address}?force=true")
    answer = alice.post(f"{address}/validate")
    assert (answer.status, answer.code) == (409, "key_revoked")


def test_the_models_that_a_key_sees_are_listed(hers, alice):
    (seen,) = alice.get(f"keys/{hers.key.pk}/models").body["results"]
    assert (seen["id"], seen["kind"]) == ("mistral-small-latest", "base")


def test_an_archived_workspace_takes_no_key(hers, alice):
    alice.post(f"workspaces/{hers.workspace.pk}/archive")
    answer = alice.post(f"workspaces/{hers.workspace.pk}/keys", {"key": made_up_key()})
    assert (answer.status, answer.code) == (409, "workspace_archived")


def test_a_workspace_tells_the_mistral_workspace_that_its_first_valid_key_belongs_to(hers, alice):
    address = f"workspaces/{hers.workspace.pk}"
    assert alice.get(address).body["mistral_workspace"] == {
        "id": None,
        "name": "Default",
        "source": "learned",
    }
    with scope.tenant(hers.organization.pk):
        MistralKey.objects.update(status=KeyStatus.INVALID)
    assert alice.get(address).body["mistral_workspace"] is None


def test_a_workspace_declares_its_mistral_workspace_and_takes_it_back(alice, organization):
    declared = {"id": "3f0c6a3e-3c19-4f0e-9d0e-5f7a3f3f3f3f", "name": "Vendite"}
    path = f"organizations/{organization.pk}/workspaces"
    made = alice.post(path, {"name": "Vendite", "mistral_workspace": declared})
    assert made.status == 201
    assert made.body["mistral_workspace"] == {**declared, "source": "declared"}
    address = f"workspaces/{made.body['id']}"
    by_name = alice.patch(address, {"mistral_workspace": {"name": "Altra"}}).body
    assert by_name["mistral_workspace"] == {"id": None, "name": "Altra", "source": "declared"}
    assert alice.patch(address, {"icon": "x"}).body["mistral_workspace"]["name"] == "Altra"
    assert alice.patch(address, {"mistral_workspace": None}).body["mistral_workspace"] is None
    empty = alice.patch(address, {"mistral_workspace": {}})
    assert (empty.status, empty.pointers) == (422, {"/mistral_workspace/id": "required"})


def test_a_declaration_that_would_stop_a_working_key_is_refused(hers, alice):
    address = f"workspaces/{hers.workspace.pk}"
    answer = alice.patch(address, {"icon": "x", "mistral_workspace": {"name": "Vendite"}})
    assert (answer.status, answer.code) == (409, "keys_of_another_workspace")
    assert answer.body["keys"][0]["id"] == str(hers.key.pk)
    unchanged = alice.get(address).body
    assert (unchanged["icon"], unchanged["mistral_workspace"]["source"]) == ("", "learned")


def test_a_verdict_tells_cause_and_confidence(hers, alice):
    verdict = alice.get(f"keys/{hers.key.pk}").body["verdict"]
    assert (verdict["cause"], verdict["confidence"]) == ("ok", "high")


def test_a_model_whose_key_is_deleted_by_force_is_announced_as_blocked(hers, alice):
    assert alice.delete(f"keys/{hers.key.pk}?force=true").status == 204
    with scope.tenant(hers.organization.pk):
        told = [row.data for row in Announcement.objects.filter(kind="model.blocked")]
    assert told == [
        {
            "model_id": str(hers.model.pk),
            "name": hers.model.name,
            "key_id": str(hers.key.pk),
            "reason": "key_revoked",
        }
    ]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("caffe", ["Caffè al bàr"]),
        ("CAFFÈ", ["Caffè al bàr"]),
        ("bar", ["Caffè al bàr"]),
        ("è nO", ["Perché no"]),
        ("%", ["100 % _vero_"]),
        ("_vero", ["100 % _vero_"]),
        ("\\", []),
        ("nothing like it", []),
    ],
)
def test_keys_are_found_by_part_of_their_name_without_accents(alice, path, words, found):
    for name in ("Caffè al bàr", "100 % _vero_", "Perché no"):
        alice.post(path, {"name": name, "key": made_up_key()})
    answer = alice.get(f"{path}?{urlencode({'search': words})}")
    assert answer.status == 200
    assert [one["name"] for one in answer.body["results"]] == found


def test_keys_are_found_by_part_of_their_last_four_in_whatever_case(alice, path):
    plain = made_up_key()
    key = alice.post(path, {"name": "zzz", "key": plain}).body
    alice.post(path, {"key": made_up_key()})
    for words in (plain[-4:], plain[-4:].swapcase(), plain[-3:]):
        results = alice.get(f"{path}?search={words}").body["results"]
        assert key["id"] in [one["id"] for one in results]
    assert alice.get(f"{path}?search=zzz{plain[-4:]}").body["results"] == []


def test_a_search_has_pages_like_any_list_and_filters(alice, path, organization):
    made = [
        alice.post(path, {"name": f"Prova {number}", "key": made_up_key()}).body["id"]
        for number in range(5)
    ]
    alice.post(path, {"name": "Altro", "key": made_up_key()})
    alice.delete(f"keys/{made[2]}")
    alice.patch(f"keys/{made[4]}", {"expires_on": "2099-01-01"})
    seen, cursor = [], ""
    for _ in range(3):
        answer = alice.get(f"{path}?search=prova&limit=2{cursor}").body
        seen += [one["id"] for one in answer["results"]]
        cursor = f"&cursor={answer['next']}"
        if answer["next"] is None:
            break
    assert seen == [made[4], made[3], made[1], made[0]]
    revoked = alice.get(f"{path}?search=prova&status=revoked").body["results"]
    assert [one["id"] for one in revoked] == [made[2]]
    for query in ("search=prova&expires_by=2099-01-01", "expires_by=2099-01-01"):
        dated = alice.get(f"{path}?{query}").body["results"]
        assert [one["id"] for one in dated] == [made[4]]


def test_keys_of_all_workspaces_are_listed_together_and_never_a_strangers(
    alice, charlie, path, organization, platform
):
    other = factories.workspace(organization)
    here = alice.post(path, {"name": "Qui", "key": made_up_key()}).body["id"]
    there = alice.post(f"workspaces/{other.pk}/keys", {"name": "Là", "key": made_up_key()}).body[
        "id"
    ]
    assert [one["id"] for one in alice.get("keys").body["results"]] == [there, here]
    only = alice.get(f"keys?workspace_id={other.pk}").body["results"]
    assert [one["id"] for one in only] == [there]
    assert [one["id"] for one in alice.get("keys?search=la").body["results"]] == [there]
    assert charlie.get("keys?search=qui").body["results"] == []
    assert charlie.get(f"keys?workspace_id={other.pk}").status == 404
    assert (platform.get("keys").status, platform.get("keys").code) == (422, "subject_required")
    whole = platform.get(f"keys?organization_id={organization.pk}").body["results"]
    assert [one["id"] for one in whole] == [there, here]


def test_a_paid_trial_is_made_only_when_asked_for_and_shows_its_price_first(hers, alice):
    address = f"keys/{hers.key.pk}"
    for body in (None, {}, {"probe": False}):
        assert alice.post(f"{address}/validate", body).body["probe"] is None
    with scope.tenant(hers.organization.pk):
        hers.key.seen_models.update(capabilities={"completion_chat": True})
    answer = alice.post(f"{address}/validate", {"probe": True})
    assert answer.status == 202
    probe = answer.body["probe"]
    assert (probe["status"], probe["model"], probe["currency"]) == ("pending", MODEL, "EUR")
    assert probe["quote"].startswith("0.0")
    assert (probe["cost"], probe["verdict"], probe["requested_by"]) == (None, None, "script")
    again = alice.post(f"{address}/validate", {"probe": True, "model": MODEL})
    assert again.body["probe"]["id"] == probe["id"], "while one is pending, no other is made"
    assert alice.get(address).body["probe"] == probe


def test_a_trial_of_a_model_that_the_key_does_not_see_is_refused(hers, alice):
    with scope.tenant(hers.organization.pk):
        hers.key.seen_models.update(capabilities={"completion_chat": True})
    answer = alice.post(f"keys/{hers.key.pk}/validate", {"probe": True, "model": "mistral-smal"})
    assert (answer.status, answer.code) == (422, "model_not_available")
    assert answer.body["near_matches"] == [MODEL]
    assert alice.get(f"keys/{hers.key.pk}").body["probe"] is None


def test_a_trial_needs_the_right_to_use_keys(hers):
    clerk = organization_caller(hers.organization, TokenScope.KEYS_WRITE)
    assert clerk.post(f"keys/{hers.key.pk}/validate", {}).status == 202
    answer = clerk.post(f"keys/{hers.key.pk}/validate", {"probe": True})
    assert (answer.status, answer.code) == (403, "scope_missing")


def test_the_number_of_models_counts_each_key_for_itself(hers, alice):
    other = valid_key(hers.workspace, "Altra")
    registered_model(hers.workspace, other, "Due")
    registered_model(hers.workspace, other, "Tre")
    alice.delete(f"models/{registered_model(hers.workspace, other, 'Quattro').pk}")
    results = alice.get(f"workspaces/{hers.workspace.pk}/keys").body["results"]
    assert {one["id"]: one["in_use_by"] for one in results} == {
        str(other.pk): 2,
        str(hers.key.pk): 1,
    }
