"""Tokens: issued once, found by digest, refused when revoked or over; the command prints one."""

import io
import json
from datetime import timedelta
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tenants.access import services, tokens
from tenants.access.models import (
    OrganizationToken,
    PlatformRequest,
    PlatformToken,
    TokenScope,
)
from tenants.access.services import ALL_SCOPES
from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.problems import Unauthenticated
from tenants.common.tokens import digest
from tenants.organizations.models import AuditEvent
from tests.api.callers import Caller, organization_caller, platform_caller
from tests.factories import ACTOR


def test_the_command_prints_one_json_object_and_its_token_works(capfd):
    written = io.StringIO()
    call_command("create_token", "--platform", "--name", "AIsuru", stdout=written)
    (line,) = written.getvalue().splitlines()
    made = json.loads(line)
    assert list(made) == ["id", "name", "token", "scopes"]
    assert set(made["scopes"]) == ALL_SCOPES
    assert Caller(made["token"]).get("organizations").status == 200
    row = PlatformToken.objects.get(pk=UUID(made["id"]))
    assert (row.name, bytes(row.digest)) == ("AIsuru", digest(made["token"]))
    assert made["token"] not in str(vars(row))
    assert made["token"] not in capfd.readouterr().err


def test_the_command_gives_less_when_asked():
    written = io.StringIO()
    options = ["--platform", "--name", "reports", "--scope", "spend:read"]
    call_command("create_token", *options, stdout=written)
    caller = Caller(json.loads(written.getvalue())["token"])
    assert caller.get("catalog").code == "scope_missing"
    assert caller.get("spend").code == "subject_required"


@pytest.mark.parametrize(
    "options",
    [
        ["--name", "x"],
        ["--platform"],
        ["--platform", "--name", "x", "--scope", "everything"],
        ["--platform", "--name", " "],
        ["--platform", "--name", "x" * 121],
        ["--platform", "--name", "a\nb"],
    ],
)
def test_the_command_refuses_what_it_cannot_do_and_issues_nothing(options, capsys):
    before = PlatformToken.objects.count()
    with pytest.raises((CommandError, SystemExit)):
        call_command("create_token", *options)
    assert PlatformToken.objects.count() == before
    assert "aim_plat_" not in capsys.readouterr().out


@pytest.fixture(params=["platform", "organization"])
def known(request, organization) -> tuple[Caller, type]:
    if request.param == "platform":
        return platform_caller(), PlatformToken
    return organization_caller(organization), OrganizationToken


def update(model, token: str, organization, **values) -> None:
    wanted = digest(token)
    if model is PlatformToken:
        assert PlatformToken.objects.filter(digest=wanted).update(**values)
    else:
        with scope.tenant(organization.pk):
            assert OrganizationToken.objects.filter(digest=wanted).update(**values)


def test_a_token_stops_when_its_time_is_over(known, organization):
    caller, model = known
    assert caller.get("organizations").status == 200
    soon = timezone.now() + timedelta(minutes=1)
    update(model, caller.token, organization, expires_at=soon)
    assert caller.get("organizations").status == 200
    past = timezone.now() - timedelta(seconds=1)
    update(model, caller.token, organization, expires_at=past)
    answer = caller.get("organizations")
    assert (answer.status, answer.code) == (401, "token_expired")


def test_a_token_stops_when_it_is_revoked(known, organization):
    caller, model = known
    update(model, caller.token, organization, revoked_at=timezone.now())
    answer = caller.get("organizations")
    assert (answer.status, answer.code) == (401, "token_revoked")


def test_a_platform_token_is_revoked_once(caplog):
    row, token = services.issue_platform_token(actor=ACTOR, name="x")
    services.revoke_platform_token(actor=ACTOR, token=row)
    row.refresh_from_db()
    first = row.revoked_at
    services.revoke_platform_token(actor=ACTOR, token=row)
    row.refresh_from_db()
    assert row.revoked_at == first is not None
    assert Caller(token.reveal()).get("organizations").code == "token_revoked"


def test_a_token_is_shown_once_and_listed_by_its_hint(alice, organization):
    path = f"organizations/{organization.pk}/tokens"
    made = alice.post(path, {"name": "notturno", "scopes": ["spend:read"]}).body
    assert made["token"].startswith("aim_org_")
    assert made["hint"] == f"aim_org_…{made['token'][-4:]}"
    listed = alice.get(path)
    assert made["token"].encode() not in listed.raw
    shown = alice.get(f"{path}/{made['id']}").body
    assert shown == {name: made[name] for name in made.keys() - {"token"}}
    assert shown in listed.body["results"]
    script = Caller(made["token"])
    assert script.get("spend").status == 200
    assert script.get("models").code == "scope_missing"


def test_nobody_gives_away_more_than_they_have(organization):
    path = f"organizations/{organization.pk}/tokens"
    weak = organization_caller(organization, "tokens:write", "tokens:read", "spend:read")
    refusal = weak.post(path, {"name": "x", "scopes": ["spend:read", "keys:write"]})
    assert (refusal.status, refusal.code) == (403, "scope_missing")
    assert len(weak.get(path).body["results"]) == 1
    made = weak.post(path, {"name": "x"}).body
    assert made["scopes"] == ["spend:read", "tokens:read", "tokens:write"]


def test_a_revoked_token_stays_revoked_with_one_audit_row(alice, organization):
    path = f"organizations/{organization.pk}/tokens"
    made = alice.post(path, {"name": "x", "expires_at": "2099-01-01T00:00:00+02:00"}).body
    assert made["expires_at"] == "2098-12-31T22:00:00Z"
    script = Caller(made["token"])
    assert script.get("organizations").status == 200
    assert [alice.delete(f"{path}/{made['id']}").status for _ in range(2)] == [204, 204]
    assert script.get("organizations").code == "token_revoked"
    assert alice.get(f"{path}/{made['id']}").body["revoked_at"] is not None
    with scope.tenant(organization.pk):
        assert AuditEvent.objects.filter(verb="token.revoked").count() == 1


@given(st.text(max_size=60))
def test_no_header_but_a_whole_token_is_read(header):
    with pytest.raises(Unauthenticated) as refusal:
        tokens.read(header)
    assert refusal.value.code in {"token_missing", "token_malformed"}


@pytest.mark.parametrize(
    "form",
    ["{}", "Basic {}", "Bearer  {}", "Bearer {} ", " Bearer {}", "Bearer {},{}", "Bearer\t{}"],
)
def test_the_header_has_one_form(form):
    caller = platform_caller()
    answer = Caller().get(
        "organizations", {"Authorization": form.format(caller.token, caller.token)}
    )
    assert (answer.status, answer.code) == (401, "token_malformed")
    assert Caller().get("organizations", {"Authorization": f"bearer {caller.token}"}).status == 200


def test_a_single_changed_character_is_noticed_before_the_database_is_asked(
    django_assert_num_queries,
):
    token = platform_caller().token or ""
    for position in (0, 12, len(token) - 1):
        other = "0" if token[position] != "0" else "1"
        broken = token[:position] + other + token[position + 1 :]
        with django_assert_num_queries(0):
            assert Caller(broken).get("organizations").code == "token_malformed"


def test_platform_requests_are_seen_in_platform_scope_only(organization):
    caller = platform_caller()
    body = {"name": "X", "owner_email": "x@x.example"}
    key = str(new_id())
    caller.post("organizations", body, {"Idempotency-Key": key})
    assert not PlatformRequest.objects.exists()
    with scope.tenant(organization.pk):
        assert not PlatformRequest.objects.exists()
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM access_default_workspaces(%s)", [[organization.pk]])
            assert cursor.fetchall() == []
    with scope.platform():
        assert PlatformRequest.objects.filter(key=key).count() == 1
    with pytest.raises(ProgrammingError, match="row-level security"):
        PlatformRequest.objects.create(
            token_id=new_id(),
            key="k",
            fingerprint=b"",
            request_id="",
            claim=new_id(),
            claimed_until=timezone.now(),
        )


def test_a_scope_fits_its_column():
    assert max(map(len, TokenScope.values)) <= 32
