"""What the public contract promises in passing: far dates, flavours, pages, methods, old rows."""

from datetime import date
from uuid import UUID

import pytest

from tenants.api.fields import LAST_YEAR
from tenants.keys import expiry
from tests.api.callers import Caller
from tests.api.rows import new_model
from tests.api.world import everything, made_up_key

PLAIN = ["/health/live", "/health/ready", "/metrics", "/"]


@pytest.mark.parametrize("day", ["9999-12-31", f"{LAST_YEAR + 1}-01-01"])
@pytest.mark.parametrize("how", ["create", "change", "replace"])
def test_a_date_that_no_key_can_have_is_refused_and_nothing_changes(how, day, hers, alice):
    before = everything(hers.organization.pk)
    key = f"keys/{hers.key.pk}"
    if how == "create":
        body = {"key": made_up_key(), "expires_on": day}
        answer = alice.post(f"workspaces/{hers.workspace.pk}/keys", body)
    elif how == "change":
        answer = alice.patch(key, {"expires_on": day})
    else:
        answer = alice.post(f"{key}/versions", {"key": made_up_key(), "expires_on": day})
    assert (answer.status, answer.pointers) == (422, {"/expires_on": "max_value"})
    assert everything(hers.organization.pk) == before


def test_the_last_date_that_is_taken_is_kept(hers, alice):
    last = f"{LAST_YEAR}-12-31"
    answer = alice.patch(f"keys/{hers.key.pk}", {"expires_on": last})
    assert (answer.status, answer.body["expires_on"]) == (200, last)


@pytest.mark.parametrize("zone", ["Europe/Rome", "America/Adak", "Pacific/Kiritimati"])
def test_even_the_last_day_there_is_ends_at_some_instant(zone):
    assert expiry.ends_at(date.max, zone) > expiry.ends_at(date(LAST_YEAR, 12, 31), zone)


def test_a_model_is_made_and_its_token_rotated_in_the_flavour_asked_for(hers, alice, settings):
    settings.PUBLIC_URL = "https://gateway.example"
    made = alice.post("models?flavour=custom_openai", new_model(hers)).body
    rotated = alice.post(f"models/{made['id']}/token?flavour=custom_openai", {}).body
    for answer in (made, rotated):
        config = answer["completion_config"]
        assert (config["provider"], config["apiKey"]) == ("Custom_OpenAI", answer["token"])
        assert config["endPoint"] == "https://gateway.example/v1"


def test_a_wrong_flavour_makes_no_model(hers, alice):
    before = everything(hers.organization.pk)
    answer = alice.post("models?flavour=azure", new_model(hers))
    assert (answer.status, answer.pointers) == (422, {"/flavour": "invalid_choice"})
    assert everything(hers.organization.pk) == before


def test_another_flavour_is_another_request_for_the_same_idempotency_key(hers, alice):
    path, key = f"models/{hers.model.pk}/token", {"Idempotency-Key": "flavours"}
    assert alice.post(path, {}, key).status == 200
    again = alice.post(f"{path}?flavour=custom_openai", {}, key)
    assert (again.status, again.code) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("retired", ["false", "true"])
def test_pages_of_the_catalogue_give_every_model_once(retired, alice):
    path = f"catalog?include_retired={retired}"
    whole = alice.get(f"{path}&limit=200").body
    seen, cursor = [], ""
    for _ in range(len(whole["results"])):
        body = alice.get(f"{path}&limit=7{cursor}").body
        assert 0 < len(body["results"]) <= 7
        seen += body["results"]
        if body["next"] is None:
            break
        cursor = f"&cursor={body['next']}"
    assert (seen, whole["next"]) == (whole["results"], None)
    assert len(seen) > 7


def test_a_cursor_of_another_list_is_none_of_the_catalogue(hers, alice):
    other = alice.get(f"organizations/{hers.organization.pk}/workspaces?limit=1").body["next"]
    answer = alice.get(f"catalog?cursor={other}")
    assert (answer.status, answer.code) == (422, "cursor_invalid")


def test_a_deleted_key_is_not_said_to_work_and_keeps_its_evidence(hers, alice):
    path = f"keys/{hers.key.pk}"
    english = {"Accept-Language": "en"}
    before = alice.get(path, english).body["verdict"]
    alice.delete(f"{path}?force=true")
    after = alice.get(path, english).body["verdict"]
    assert (before["title"], after["title"]) == ("The key works", "The key was deleted")
    for name in ("code", "checked_at", "evidence"):
        assert after[name] == before[name]


@pytest.mark.parametrize("path", PLAIN)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_a_plain_address_takes_reading_only_and_says_so_as_a_problem(method, path):
    answer = Caller().send(method, path)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD"
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", [*PLAIN, "schema", "docs", "problems/not_found", "organizations"])
def test_whatever_can_be_got_can_be_asked_for_its_head(path, platform):
    head, whole = platform.send("HEAD", path), platform.get(path)
    assert (head.status, head.raw) == (whole.status, b"")
    assert head.headers["Content-Type"] == whole.headers["Content-Type"]


def test_scopes_said_twice_are_given_once(hers, alice):
    path = f"organizations/{hers.organization.pk}/tokens"
    made = alice.post(path, {"name": "t", "scopes": ["spend:read", "keys:read", "spend:read"]})
    assert made.body["scopes"] == ["keys:read", "spend:read"]


def test_an_id_is_the_same_in_capitals_and_no_other_spelling(hers, alice):
    found: UUID = hers.workspace.pk
    shouted = alice.get(f"workspaces/{str(found).upper()}")
    assert (shouted.status, shouted.body["id"]) == (200, str(found))
    assert alice.get(f"workspaces/{found.hex}").status == 404


def test_an_archived_workspace_takes_no_new_name_and_no_limit(hers, alice):
    path = f"workspaces/{hers.workspace.pk}"
    alice.post(f"{path}/archive")
    before = everything(hers.organization.pk)
    renamed = alice.patch(path, {"name": "Altro"})
    limited = alice.put(f"{path}/limits", {"monthly_spend": "5.00"})
    for answer in (renamed, limited):
        assert (answer.status, answer.code) == (409, "workspace_archived")
    assert everything(hers.organization.pk) == before


def test_a_member_out_of_bounds_and_one_that_is_not_there_are_refused_each_as_that(hers, alice):
    path = f"organizations/{hers.organization.pk}"
    before = everything(hers.organization.pk)
    limit = alice.put(f"{path}/limits", {"monthly_spend": "5", "requests_per_second": 0, "rps": 1})
    assert limit.pointers == {"/requests_per_second": "min_value", "/rps": "unknown_field"}
    assert everything(hers.organization.pk) == before
