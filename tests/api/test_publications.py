"""A model in AIsuru, as its users see it over HTTP; the login token goes in and never comes out."""

import logging
from datetime import timedelta

import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.common.models import new_id
from tenants.registry.models import Publication
from tenants.spend.models import BatchJob
from tests.api.callers import organization_caller
from tests.api.world import everything, with_login, world
from tests.keys.test_secrecy import assert_absent, everything_stored

TOKEN = "canary-login-0123456789abcdef"
ENGLISH = {"Accept-Language": "en"}


@pytest.fixture
def hers(organization):
    """What Alice's organization has, a login at AIsuru included."""
    return with_login(world(organization))


def path(hers, rest=""):
    return f"models/{hers.model.pk}{rest}"


def failed(hers, **facts):
    with scope.tenant(hers.organization.pk):
        Publication.objects.update(**facts)


def test_a_login_goes_in_and_only_what_is_known_of_it_comes_out(hers, alice, caplog):
    caplog.set_level(logging.DEBUG)
    address = f"organizations/{hers.organization.pk}/aisuru-connection"
    body = {"login_token": f" {TOKEN}\n", "tenant": "WWW.Rossi.example"}
    answer = alice.put(address, body)
    assert answer.status == 200
    assert answer.body["is_set"] is answer.body["is_configured"] is True
    assert (answer.body["tenant"], answer.body["status"]) == ("www.rossi.example", "pending")
    answers = (answer.raw + alice.get(address).raw).decode()
    assert_absent(TOKEN, answers, everything_stored(), caplog.text)
    assert alice.delete(address).status == 204
    assert alice.get(address).body["is_set"] is False


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"login_token": "x"}, "/login_token"),
        ({"login_token": 7}, "/login_token"),
        ({"login_token": TOKEN, "tenant": "https://x"}, "/tenant"),
        ({"tenant": "www.rossi.example"}, "/login_token"),
        ({"login_token": TOKEN, TOKEN: 1}, f"/{TOKEN}"),
    ],
)
def test_a_wrong_login_is_refused_and_changes_nothing(hers, alice, body, pointer):
    before = everything(hers.organization.pk)
    answer = alice.put(f"organizations/{hers.organization.pk}/aisuru-connection", body)
    assert (answer.status, list(answer.pointers)) == (422, [pointer])
    assert everything(hers.organization.pk) == before


def test_a_model_says_how_it_stands_in_aisuru(hers, alice):
    assert alice.get(path(hers)).body["publication"]["status"] == "unpublished"
    answer = alice.post(path(hers, "/publish"), {"flavour": "custom_openai"})
    assert (answer.status, answer.body["status"]) == (202, "pending")
    assert answer.headers["Location"].endswith(path(hers, "/publication"))
    shown = alice.get(answer.headers["Location"]).body
    assert shown == answer.body == alice.get(path(hers)).body["publication"]
    listed = alice.get(f"models?organization_id={hers.organization.pk}").body["results"]
    assert [one["publication"] for one in listed] == [shown]
    failed(hers, status="failed", failure="aisuru_refused", result_code=-2411)
    english, italian = (
        alice.get(path(hers, "/publication"), {"Accept-Language": language}).body["failure"]
        for language in ("en", "it")
    )
    assert (english["code"], english["result_code"]) == ("aisuru_refused", -2411)
    assert english["cause"].startswith("AIsuru refused it")
    assert italian["next_step"].startswith("Cerca il codice")


def test_a_deleted_model_goes_on_telling_how_it_leaves_aisuru(hers, alice, charlie):
    alice.post(path(hers, "/publish"), {})
    assert alice.delete(path(hers)).status == 204
    assert alice.get(path(hers)).status == 404
    assert alice.get(path(hers, "/publication")).body["status"] == "pending"
    failed(hers, status="failed", failure="aisuru_login_refused", due_at=None)
    again = alice.delete(path(hers, "/publication"))
    assert (again.status, again.body["status"], again.body["failure"]) == (202, "pending", None)
    assert charlie.get(path(hers, "/publication")).status == 404
    assert alice.post(path(hers, "/publish"), {}).code == "model_retired"


def test_taking_away_what_never_was_there_changes_nothing(hers, alice):
    before = everything(hers.organization.pk)
    answer = alice.delete(path(hers, "/publication"))
    assert (answer.status, answer.body["status"]) == (202, "unpublished")
    assert everything(hers.organization.pk) == before


def test_publishing_needs_the_right_to_use_the_key(hers):
    caller = organization_caller(hers.organization, "models:read", "models:write")
    assert caller.post(path(hers, "/publish"), {}).body["scopes"] == ["keys:use"]


def test_a_publication_does_not_make_what_was_read_of_the_model_stale(hers, alice):
    tag = alice.get(path(hers)).headers["ETag"]
    alice.post(path(hers, "/publish"), {})
    changed = alice.call("PATCH", path(hers), {"description": "x"}, {"If-Match": tag})
    assert changed.status == 200, changed.raw


def test_a_model_is_not_deleted_while_batch_jobs_wait_but_by_force(hers, alice):
    with scope.tenant(hers.organization.pk):
        BatchJob.objects.create(
            organization=hers.organization,
            workspace=hers.workspace,
            key=hers.key,
            model=hers.model,
            call_id=new_id(),
            token_id=new_id(),
            mistral_id="job-1",
            endpoint="/v1/chat/completions",
            requested_model="mistral-small-latest",
            period=timezone.now().date(),
            currency="EUR",
            next_check_at=timezone.now(),
            gives_up_at=timezone.now() + timedelta(days=1),
        )
    before = everything(hers.organization.pk)
    refused = alice.delete(path(hers))
    assert (refused.status, refused.code, refused.body["batch_jobs"]) == (409, "model_in_use", 1)
    assert everything(hers.organization.pk) == before
    assert alice.delete(path(hers, "?force=true")).status == 204
