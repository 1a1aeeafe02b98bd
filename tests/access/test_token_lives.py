"""The life of a token: rotated with a grace, bound to networks, seen to be used."""

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from tenants.access import addresses, tokens
from tenants.access.models import OrganizationToken, PlatformToken
from tenants.access.services import ALL_SCOPES
from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.tokens import TokenKind
from tenants.organizations.models import AuditEvent
from tests.api.callers import Caller, organization_caller


@pytest.fixture
def path(organization) -> str:
    return f"organizations/{organization.pk}/tokens"


def works(token: str, path: str, **headers: str) -> bool:
    answer = Caller(token).get(path, headers)
    # Of the tokens before, only the last is remembered.
    assert answer.status == 200 or answer.code in {"token_revoked", "token_unknown"}, answer.raw
    return answer.status == 200


def ended(organization, token_id: str) -> None:
    """Let the grace of a rotated token be over."""
    with scope.tenant(organization.pk):
        OrganizationToken.objects.filter(pk=token_id).update(former_ends_at=timezone.now())


def test_a_rotated_token_keeps_its_id_and_the_one_before_works_for_the_grace(
    alice, path, organization
):
    made = alice.post(path, {"name": "nightly", "scopes": ["tokens:read"]}).body
    again = alice.post(f"{path}/{made['id']}/rotate", {"grace_seconds": 60})
    assert again.status == 200, again.raw
    assert again.body["id"] == made["id"]
    assert again.body["scopes"] == ["tokens:read"]
    assert again.body["hint"].endswith(again.body["token"][-4:])
    assert again.body["former_ends_at"] > again.body["created_at"]
    assert works(made["token"], path)
    assert works(again.body["token"], path)
    # Another rotation ends the grace of the one before.
    third = alice.post(f"{path}/{made['id']}/rotate", {"grace_seconds": 60}).body
    assert not works(made["token"], path)
    assert works(again.body["token"], path)
    ended(organization, made["id"])
    assert not works(again.body["token"], path)
    assert works(third["token"], path)
    with scope.tenant(organization.pk):
        assert AuditEvent.objects.filter(verb="token.rotated").count() == 2


def test_the_use_of_the_one_before_is_told_apart(alice, path):
    made = alice.post(path, {"name": "nightly", "scopes": ["tokens:read"]}).body
    one = f"{path}/{made['id']}"
    assert works(made["token"], path)
    used = alice.get(one).body["last_used_at"]
    again = alice.post(f"{one}/rotate", {"grace_seconds": 60}).body
    assert (again["last_used_at"], again["former_last_used_at"]) == (None, used)

    assert works(again["token"], path)
    after = alice.get(one).body
    assert after["last_used_at"] > used
    assert after["former_last_used_at"] == used

    again = alice.post(f"{one}/rotate", {"grace_seconds": 60}).body
    third = alice.post(f"{one}/rotate", {"grace_seconds": 60}).body
    assert (third["last_used_at"], third["former_last_used_at"]) == (None, None)
    assert works(again["token"], path)
    after = alice.get(one).body
    assert (after["last_used_at"], after["former_last_used_at"] is None) == (None, False)


def test_the_grace_and_the_end_of_a_token_go_by_the_clock_of_the_database(alice, path, monkeypatch):
    soon = (timezone.now() + timedelta(minutes=5)).isoformat()
    body = {"name": "nightly", "scopes": ["tokens:read"], "expires_at": soon}
    made = alice.post(path, body).body
    again = alice.post(f"{path}/{made['id']}/rotate", {"grace_seconds": 60}).body
    ahead = timezone.now() + timedelta(hours=1)
    monkeypatch.setattr("tenants.access.tokens.timezone.now", lambda: ahead)
    assert tokens.find(TokenKind.ORGANIZATION, made["token"]).opened_with_former
    assert not tokens.find(TokenKind.ORGANIZATION, again["token"]).opened_with_former


def test_without_a_grace_the_one_before_stops_at_once(alice, path):
    made = alice.post(path, {"name": "nightly", "scopes": ["tokens:read"]}).body
    again = alice.post(f"{path}/{made['id']}/rotate").body
    assert Caller(made["token"]).get(path).code == "token_revoked"
    assert works(again["token"], path)


def test_revoking_ends_both(alice, path):
    made = alice.post(path, {"name": "nightly", "scopes": ["tokens:read"]}).body
    again = alice.post(f"{path}/{made['id']}/rotate", {"grace_seconds": 60}).body
    assert alice.delete(f"{path}/{made['id']}").status == 204
    assert not works(made["token"], path)
    assert not works(again["token"], path)
    refusal = alice.post(f"{path}/{made['id']}/rotate")
    assert (refusal.status, refusal.code) == (409, "token_over")


def test_nobody_gets_a_stronger_token_by_rotating_it(alice, path, organization):
    strong = alice.post(path, {"name": "strong", "scopes": ["keys:write"]}).body
    weak = organization_caller(organization, "tokens:write", "tokens:read")
    refusal = weak.post(f"{path}/{strong['id']}/rotate", {"grace_seconds": 60})
    assert (refusal.status, refusal.code) == (403, "scope_missing")
    assert weak.get(f"{path}/{strong['id']}").body["hint"] == strong["hint"]


def test_a_token_works_from_its_networks_only(alice, path, settings):
    body = {"name": "office", "scopes": ["tokens:read"], "allowed_networks": ["203.0.113.0/24"]}
    made = alice.post(path, body).body
    assert made["allowed_networks"] == ["203.0.113.0/24"]
    script = Caller(made["token"])
    refusal = script.get(path)
    assert (refusal.status, refusal.code) == (403, "address_not_allowed")
    # Nobody is trusted to say where a request comes from, until it is said who is.
    said = {"X-Forwarded-For": "203.0.113.7"}
    assert script.get(path, said).code == "address_not_allowed"
    settings.TRUSTED_PROXY_COUNT = 1
    assert script.get(path, said).status == 200
    assert script.get(path, {"X-Forwarded-For": "203.0.113.7, 198.51.100.1"}).status == 403
    assert script.get(path, {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}).status == 200
    settings.TRUSTED_PROXY_COUNT = 2
    assert script.get(path, said).status == 403, "it came around one of the proxies"
    assert script.get(path, {"X-Forwarded-For": "203.0.113.7, 10.0.0.2"}).status == 200
    assert script.get(path).status == 403


def test_networks_and_name_can_be_changed_and_nothing_else(alice, path):
    made = alice.post(path, {"name": "office", "scopes": ["tokens:read"]}).body
    one = f"{path}/{made['id']}"
    networks = ["127.0.0.1", "::1", "2001:DB8::/32"]
    changed = alice.patch(one, {"name": "home", "allowed_networks": networks}).body
    assert changed["name"] == "home"
    assert set(changed["allowed_networks"]) == {"127.0.0.1/32", "::1/128", "2001:db8::/32"}
    assert works(made["token"], path)
    assert alice.patch(one, {"scopes": ["keys:write"]}).status == 422
    assert alice.patch(one, {"allowed_networks": []}).body["allowed_networks"] == []


def test_use_is_noted_late_and_not_by_every_request(alice, path, django_assert_num_queries):
    made = alice.post(path, {"name": "x", "scopes": ["tokens:read"]}).body
    one = f"{path}/{made['id']}"
    assert alice.get(one).body["last_used_at"] is None
    script = Caller(made["token"])
    script.get(path)
    noted = alice.get(one).body["last_used_at"]
    assert noted is not None
    script.get(path)
    assert alice.get(one).body["last_used_at"] == noted
    later = PlatformToken(id=new_id(), last_used_at=timezone.now() - tokens.USES_NOTED)
    with django_assert_num_queries(1):
        tokens.note_use(later)
    fresh = PlatformToken(id=new_id(), last_used_at=timezone.now() - timedelta(minutes=1))
    with django_assert_num_queries(0):
        tokens.note_use(fresh)


def printed(*arguments: str) -> list[dict[str, Any]]:
    written = io.StringIO()
    call_command(*arguments, stdout=written)
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_platform_tokens_are_listed_rotated_and_revoked_by_a_command(settings):
    create = ["create_token", "--platform", "--name", "AIsuru", "--scope", "organizations:read"]
    (made,) = printed(*create, "--days", "30", "--network", "192.0.2.0/24")
    token_id = made["id"]
    assert Caller(made["token"]).get("organizations").code == "address_not_allowed"
    settings.TRUSTED_PROXY_COUNT = 1
    there = {"X-Forwarded-For": "192.0.2.9:4711"}
    assert works(made["token"], "organizations", **there)
    (listed,) = [one for one in printed("platform_token", "list") if one["id"] == token_id]
    assert listed["last_used_at"] is not None
    assert listed["expires_at"] is not None
    assert "token" not in listed
    with pytest.raises(CommandError, match="2592000"):
        printed("platform_token", "rotate", "--id", token_id, "--grace-seconds", "2592001")
    (again,) = printed("platform_token", "rotate", "--id", token_id, "--grace-seconds", "60")
    assert works(made["token"], "organizations", **there)
    assert works(again["token"], "organizations", **there)
    (gone,) = printed("platform_token", "revoke", "--id", token_id)
    assert gone["revoked_at"] is not None
    assert not works(again["token"], "organizations", **there)
    with pytest.raises(CommandError):
        printed("platform_token", "rotate", "--id", token_id)
    with pytest.raises(CommandError):
        printed("platform_token", "revoke", "--id", str(new_id()))


def test_a_token_from_before_a_scope_gets_it_by_a_command_only():
    create = ["create_token", "--platform", "--name", "old", "--scope", "organizations:read"]
    (made,) = printed(*create)
    caller = Caller(made["token"])
    assert caller.post("organizations", {"name": "N"}).code == "scope_missing"
    (listed,) = [one for one in printed("platform_token", "list") if one["id"] == made["id"]]
    assert set(listed["lacks"]) == set(ALL_SCOPES) - {"organizations:read"}
    (scoped,) = printed("platform_token", "scope", "--id", made["id"], "--all")
    assert scoped["lacks"] == []
    assert caller.post("organizations", {"name": "N"}).status == 422
    (scoped,) = printed("platform_token", "scope", "--id", made["id"], "--scope", "keys:read")
    assert scoped["scopes"] == ["keys:read"]
    assert caller.get("organizations").code == "scope_missing"
    printed("platform_token", "revoke", "--id", made["id"])
    for arguments in (["--all"], []):
        with pytest.raises(CommandError):
            printed("platform_token", "scope", "--id", made["id"], *arguments)


def test_an_address_is_read_in_every_usual_spelling():
    read = addresses.read_address
    assert str(read("192.0.2.1")) == str(read("192.0.2.1:80")) == str(read("::ffff:192.0.2.1"))
    assert str(read("[2001:db8::1]:443")) == str(read("2001:DB8:0::1")) == "2001:db8::1"
    for text in ("", "unknown", "192.0.2", "192.0.2.1.5", "[192.0.2.1", "for=192.0.2.1", "::1 "):
        assert read(text) is None, text
    assert addresses.is_within(read("::ffff:10.1.2.3"), ["10.0.0.0/8"])
    assert not addresses.is_within(None, ["0.0.0.0/0", "::/0"])


@given(st.text(max_size=50))
def test_whatever_is_said_of_an_address_or_a_network_is_read_or_refused(text):
    addresses.read_address(text)
    network = addresses.read_network(text)
    assert network is None or (addresses.read_network(network) == network and len(network) <= 43)
