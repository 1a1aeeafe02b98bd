"""Who may call: a live token of ours, for its own model; revocation holds within a second."""

import time
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from tenants.common import scope, tokens
from tenants.common.secrets import Secret
from tenants.common.tokens import TokenKind
from tenants.keys import services as keys
from tenants.keys.models import MistralKey
from tenants.registry import services as registry
from tenants.registry.models import ModelToken
from tests.factories import ACTOR
from tests.gateway import tenancy
from tests.gateway.tenancy import ask, question


def call(gateway, authorization: str | bytes | None) -> httpx.Response:
    headers: Any = {} if authorization is None else {"authorization": authorization}
    return httpx.post(
        f"{gateway.url}/v1/chat/completions", json=question(), headers=headers, trust_env=False
    )


def noise(token: str) -> str:
    return token[:-1] + ("A" if token[-1] != "A" else "B")


def test_without_a_live_token_of_ours_there_is_nothing_but_401(gateway, tenant, mistral):
    before = len(mistral.state.requests)
    stranger = tokens.mint(TokenKind.MODEL).reveal()
    platform = tokens.mint(TokenKind.PLATFORM).reveal()
    for authorization in (
        *(None, "", "Bearer", f"Basic {tenant.token}", tenant.token),
        *(f"Bearer {noise(tenant.token)}", f"Bearer {stranger}", f"Bearer {platform}"),
        *(f"Bearer {tenant.plain}", f"Bearer {tenant.token}x", "Bearer " + "a" * 5000),
        f"Bearer {tenant.token[:-1]}\xe9".encode("latin-1"),
    ):
        refused = call(gateway, authorization)
        assert refused.status_code == 401, authorization
        error = refused.json()
        assert (error["object"], error["code"], error["source"]) == (
            *("error", "invalid_token"),
            "gateway",
        )
        assert refused.headers["www-authenticate"] == "Bearer"
    assert len(mistral.state.requests) == before
    assert call(gateway, f"bearer {tenant.token}").is_success


def test_two_authorization_headers_are_refused(gateway, tenant):
    value = f"Bearer {tenant.token}"
    refused = httpx.post(
        f"{gateway.url}/v1/chat/completions",
        json=question(),
        headers=[("authorization", value), ("authorization", value)],
        trust_env=False,
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "ambiguous_header")


def test_a_token_calls_its_own_model_only_and_another_is_refused_before_anything_is_held(
    gateway, tenant, mistral
):
    before = len(mistral.state.requests)
    refused = ask(gateway.url, tenant, model="mistral-large-latest")
    assert (refused.status_code, refused.json()["code"]) == (403, "model_not_allowed")
    assert len(mistral.state.requests) == before
    assert tenant.events() == []
    for named in ({"model": tenancy.SMALL}, {"model": tenant.model.name}, {}):
        assert ask(gateway.url, tenant, **named).is_success


def test_a_rotated_token_stops_within_a_second_and_the_new_one_works_at_once(gateway, tenant):
    assert ask(gateway.url, tenant).is_success
    fresh = registry.rotate_token(actor=ACTOR, model=tenant.model)
    revoked_at = time.monotonic()
    assert call(gateway, f"Bearer {fresh.reveal()}").is_success
    while ask(gateway.url, tenant).is_success:
        assert time.monotonic() - revoked_at < 1.0
    assert time.monotonic() - revoked_at < 1.3  # a slow answer may end later than it began
    assert ask(gateway.url, tenant).status_code == 401


def test_a_deleted_key_stops_its_models_within_a_second(gateway, tenant):
    assert ask(gateway.url, tenant).is_success
    keys.delete_key(actor=ACTOR, key=tenant.key, force=True)
    deleted_at = time.monotonic()
    while ask(gateway.url, tenant).is_success:
        assert time.monotonic() - deleted_at < 1.0
    refused = ask(gateway.url, tenant)
    assert (refused.status_code, refused.json()["reason"]) == (409, "key_revoked")


def test_a_busy_token_is_refused_within_a_second_too(gateway, tenant):
    registry.rotate_token(actor=ACTOR, model=tenant.model, grace_seconds=1)
    ends_at = time.monotonic() + 1
    while time.monotonic() < ends_at + 1.0:
        began = time.monotonic()
        if ask(gateway.url, tenant).status_code == 401:
            return
        assert began < ends_at + 1.0
    raise AssertionError("it still works")


def test_an_expired_token_is_refused(gateway, tenant):
    with scope.tenant(tenant.organization.id):
        ModelToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert ask(gateway.url, tenant).status_code == 401


@pytest.mark.parametrize(
    ("status", "reason"), [("invalid", "key_invalid"), ("suspended", "key_suspended")]
)
def test_a_model_whose_key_is_no_good_is_blocked_with_the_reason_and_nothing_is_held(
    gateway, tenant, mistral, status, reason
):
    with scope.tenant(tenant.organization.id):
        MistralKey.objects.update(status=status)
    before = len(mistral.state.requests)
    refused = ask(gateway.url, tenant)
    error = refused.json()
    assert (refused.status_code, error["code"], error["reason"]) == (409, "model_blocked", reason)
    assert error["message"].isascii()
    assert len(mistral.state.requests) == before
    assert tenant.events() == []
    with scope.tenant(tenant.organization.id):
        MistralKey.objects.update(status="valid")
    tenancy.eventually(lambda: ask(gateway.url, tenant).is_success, 2)


def test_a_replaced_secret_is_used_from_the_next_second_on(gateway, tenant, made_up, mistral):
    assert ask(gateway.url, tenant).is_success
    plain = made_up()
    keys.replace_secret(actor=ACTOR, key=tenant.key, plain=Secret(plain))
    name = mistral.state.find(plain).name
    tenancy.eventually(
        lambda: ask(gateway.url, tenant).is_success and mistral.state.calls(key=name), 3
    )


def test_a_key_that_does_not_open_is_told_as_such(gateway, tenant):
    with scope.tenant(tenant.organization.id):
        MistralKey.objects.update(sealed=b"not a box")
    refused = ask(gateway.url, tenant)
    assert (refused.status_code, refused.json()["reason"]) == (409, "key_undecryptable")
    assert tenant.holds() == []


def refusals(gateway, code):
    page = httpx.get(f"{gateway.url}/metrics", trust_env=False).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
        if (sample.name, sample.labels) == ("aim_gateway_refusals_total", {"code": code})
    )


@pytest.mark.parametrize("status", ["valid", "undecryptable"], ids=["unseen", "checked"])
def test_a_key_that_does_not_open_is_counted_apart_from_models_that_are_blocked(
    gateway, tenant, status
):
    before = refusals(gateway, "key_undecryptable"), refusals(gateway, "model_blocked")
    with scope.tenant(tenant.organization.id):
        MistralKey.objects.update(sealed=b"not a box", status=status)
    assert ask(gateway.url, tenant).status_code == 409
    with scope.tenant(tenant.organization.id):
        MistralKey.objects.update(status="suspended")
    tenancy.eventually(lambda: ask(gateway.url, tenant).json()["reason"] == "key_suspended", 2)
    after = refusals(gateway, "key_undecryptable"), refusals(gateway, "model_blocked")
    assert after[0] > before[0]
    assert after[1] == before[1] + 1


def test_a_suspended_organization_calls_nothing(gateway, tenant):
    with scope.tenant(tenant.organization.id):
        type(tenant.organization).objects.update(status="suspended")
    refused = ask(gateway.url, tenant)
    assert (refused.status_code, refused.json()["reason"]) == (409, "organization_suspended")
