"""Ask Charlie: every address of the service, and what it takes to get in.

An address or a method that is not in the table fails the suite. What the table promises is asked in
``test_permissions.py``, of tokens, and of people, whose roles are in ``roles.py``.
"""

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, get_resolver

from tenants.access.models import TokenScope as Scope
from tenants.access.services import ALL_SCOPES
from tests.api.callers import BASE
from tests.api.open_addresses import ACCOUNTS, DESK, NO_SCOPE, OPEN
from tests.api.rows import (
    KEY,
    LIMIT,
    MODELS,
    ORGANIZATION,
    PLAN,
    PROFILE,
    WEBHOOK,
    WORKSPACE,
    Row,
    new_model,
    reported,
    said,
    the_colleague,
    the_link,
    the_sync,
    whose,
)
from tests.api.world import CLOSED, made_up_key
from tests.console import pages

TABLE = [
    Row("GET", "organizations", (Scope.ORGANIZATIONS_READ,), stranger=200),
    Row(
        "POST",
        "organizations",
        (Scope.ORGANIZATIONS_WRITE,),
        201,
        said({"name": "Nuova", "owner_email": "n@nuova.example"}),
        platform_only=True,
        stranger=403,
    ),
    Row("GET", ORGANIZATION, (Scope.ORGANIZATIONS_READ,)),
    Row("PATCH", ORGANIZATION, (Scope.ORGANIZATIONS_WRITE,), body=said({"name": "Altra"})),
    Row(
        "DELETE",
        ORGANIZATION,
        (Scope.ORGANIZATIONS_WRITE,),
        202,
        platform_only=True,
        stranger=403,
    ),
    Row(
        "GET",  # 404: it was not erased
        f"{ORGANIZATION}/erasure-certificate",
        (Scope.ORGANIZATIONS_READ,),
        404,
        platform_only=True,
        stranger=403,
    ),
    Row("GET", f"{ORGANIZATION}/admin-key", (Scope.KEYS_READ,)),
    Row(
        "PUT",
        f"{ORGANIZATION}/admin-key",
        (Scope.KEYS_WRITE,),
        body=lambda _world: {"key": made_up_key()},
    ),
    Row("DELETE", f"{ORGANIZATION}/admin-key", (Scope.KEYS_WRITE,), 204),
    Row("GET", f"{ORGANIZATION}/aisuru-connection", (Scope.KEYS_READ,)),
    Row(
        "PUT",
        f"{ORGANIZATION}/aisuru-connection",
        (Scope.KEYS_WRITE,),
        body=lambda _world: {"login_token": made_up_key()},
    ),
    Row("DELETE", f"{ORGANIZATION}/aisuru-connection", (Scope.KEYS_WRITE,), 204),
    Row("GET", f"{ORGANIZATION}/reconciliations", (Scope.SPEND_READ,)),
    Row(
        "POST",
        f"{ORGANIZATION}/reconciliations",
        (Scope.SPEND_WRITE,),
        201,
        said({"month": CLOSED, "source": "manual", "figures": [{"amount": "1.00"}]}),
    ),
    Row("GET", f"{ORGANIZATION}/reconciliations/<id:reconciliation_id>", (Scope.SPEND_READ,)),
    Row(
        "POST",
        f"{ORGANIZATION}/reconciliations/<id:reconciliation_id>/confirm",
        (Scope.SPEND_WRITE,),
        body=said({}),
        is_once=True,
    ),
    Row("GET", f"{ORGANIZATION}/statements", (Scope.SPEND_READ,)),
    Row("GET", f"{ORGANIZATION}/statements/<month:month>", (Scope.SPEND_READ,)),
    Row("GET", f"{ORGANIZATION}/statements/<month:month>.<form:format>", (Scope.SPEND_READ,)),
    Row("GET", f"{ORGANIZATION}/sync", (Scope.ORGANIZATIONS_READ,)),
    Row(
        "POST",
        f"{ORGANIZATION}/sync",
        (Scope.ORGANIZATIONS_WRITE, Scope.KEYS_USE),
        202,
        said({"dry_run": True}),
        is_once=True,
    ),
    Row(
        "POST",
        f"{ORGANIZATION}/sync/confirm",
        (Scope.ORGANIZATIONS_WRITE, Scope.SPEND_WRITE, Scope.WORKSPACES_WRITE),
        body=the_sync,
    ),
    Row("GET", "me", (), personal=True, stranger=200),
    Row("PATCH", "me", (), body=said({"locale": "en"}), personal=True, stranger=200),
    Row("POST", "me/terms", (), 204, said({"version": "2026-11"}), personal=True, stranger=204),
    Row("PUT", "me/organization", (), 204, whose, personal=True),
    Row("POST", "me/organizations", (), 201, said({"name": "Mia"}), personal=True, stranger=201),
    # 409: whoever is asked about is the last administrator, and 404: a member already.
    Row("DELETE", "me/organizations/<id:organization_id>", (), 409, personal=True),
    Row("GET", "me/organizations/<id:organization_id>/notices", (), personal=True),
    Row(
        "PUT",
        "me/organizations/<id:organization_id>/notices",
        (),
        body=said({"muted": ["member.joined"]}),
        personal=True,
    ),
    Row("POST", "me/join-requests", (), 404, whose, personal=True),
    Row("POST", "me/invitations", (), 403, the_link, personal=True, stranger=403),
    Row("GET", f"{ORGANIZATION}/billing-profile", (Scope.BILLING_READ,)),
    Row("PUT", f"{ORGANIZATION}/billing-profile", (Scope.BILLING_WRITE,), body=said(PROFILE)),
    Row("GET", f"{ORGANIZATION}/plan", (Scope.BILLING_READ,)),
    Row("PUT", f"{ORGANIZATION}/plan", (Scope.BILLING_WRITE,), body=said(PLAN)),
    Row("GET", f"{ORGANIZATION}/onboarding", (Scope.BILLING_READ,)),
    Row("POST", f"{ORGANIZATION}/onboarding/<slug:key>", (Scope.BILLING_WRITE,)),
    Row("GET", f"{ORGANIZATION}/members", (Scope.MEMBERS_READ,)),
    Row("GET", f"{ORGANIZATION}/members/<id:member_id>", (Scope.MEMBERS_READ,)),
    Row(
        "PATCH",
        f"{ORGANIZATION}/members/<id:member_id>",
        (Scope.MEMBERS_WRITE,),
        body=said({"role": "billing"}),
    ),
    Row("DELETE", f"{ORGANIZATION}/members/<id:member_id>", (Scope.MEMBERS_WRITE,), 204),
    Row("GET", f"{ORGANIZATION}/invitations", (Scope.MEMBERS_READ,)),
    Row(
        "POST",
        f"{ORGANIZATION}/invitations",
        (Scope.MEMBERS_WRITE,),
        body=said({"emails": "eva@people.example"}),
    ),
    Row("GET", f"{ORGANIZATION}/invitations/<id:invitation_id>", (Scope.MEMBERS_READ,)),
    Row("DELETE", f"{ORGANIZATION}/invitations/<id:invitation_id>", (Scope.MEMBERS_WRITE,), 204),
    Row("POST", f"{ORGANIZATION}/invitations/<id:invitation_id>/resend", (Scope.MEMBERS_WRITE,)),
    Row("GET", f"{ORGANIZATION}/domains", (Scope.MEMBERS_READ,)),
    Row(
        "POST",
        f"{ORGANIZATION}/domains",
        (Scope.MEMBERS_WRITE,),
        201,
        said({"domain": "people.example"}),
    ),
    Row("DELETE", f"{ORGANIZATION}/domains/<id:domain_id>", (Scope.MEMBERS_WRITE,), 204),
    Row("GET", f"{ORGANIZATION}/join-requests", (Scope.MEMBERS_READ,)),
    Row(
        "POST",
        f"{ORGANIZATION}/join-requests/<id:join_request_id>/approve",
        (Scope.MEMBERS_WRITE,),
        body=said({"role": "member"}),
        is_once=True,
    ),
    Row(
        "POST",
        f"{ORGANIZATION}/join-requests/<id:join_request_id>/decline",
        (Scope.MEMBERS_WRITE,),
        204,
        is_once=True,
    ),
    Row("GET", f"{WORKSPACE}/members", (Scope.MEMBERS_READ,)),
    Row("POST", f"{WORKSPACE}/members", (Scope.MEMBERS_WRITE,), 201, the_colleague, is_once=True),
    Row(
        "PATCH",
        f"{WORKSPACE}/members",
        (Scope.MEMBERS_WRITE,),
        body=lambda found: {"member_id": str(found.member.pk), "role": "admin"},
    ),
    Row(
        "DELETE",
        f"{WORKSPACE}/members",
        (Scope.MEMBERS_WRITE,),
        204,
        query="?member_id={member_id}",
    ),
    Row("GET", f"{WORKSPACE}/members/<id:member_id>", (Scope.MEMBERS_READ,)),
    Row(
        "PATCH",
        f"{WORKSPACE}/members/<id:member_id>",
        (Scope.MEMBERS_WRITE,),
        body=said({"role": "admin"}),
    ),
    Row("DELETE", f"{WORKSPACE}/members/<id:member_id>", (Scope.MEMBERS_WRITE,), 204),
    Row("GET", f"{WORKSPACE}/candidates", (Scope.MEMBERS_WRITE,)),
    Row("GET", f"{ORGANIZATION}/workspaces", (Scope.WORKSPACES_READ,)),
    Row(
        "POST",
        f"{ORGANIZATION}/workspaces",
        (Scope.WORKSPACES_WRITE,),
        201,
        said({"name": "Assistenza"}),
        is_once=True,
    ),
    Row("GET", WORKSPACE, (Scope.WORKSPACES_READ,)),
    Row("PATCH", WORKSPACE, (Scope.WORKSPACES_WRITE,), body=said({"name": "Altro"})),
    Row("POST", f"{WORKSPACE}/archive", (Scope.WORKSPACES_WRITE,)),
    Row("GET", f"{ORGANIZATION}/rate-limits", (Scope.LIMITS_READ,)),
    Row("POST", f"{ORGANIZATION}/rate-limits/reset", (Scope.LIMITS_WRITE,), 204, said({})),
    Row("GET", f"{WORKSPACE}/traffic-policy", (Scope.LIMITS_READ,)),
    Row(
        "PUT",
        f"{WORKSPACE}/traffic-policy",
        (Scope.LIMITS_WRITE,),
        body=said({"failover": True}),
    ),
    Row("GET", f"{ORGANIZATION}/support-access", (Scope.AUDIT_READ,)),
    Row(
        "POST",
        f"{ORGANIZATION}/support-access",
        (Scope.ORGANIZATIONS_WRITE,),
        201,
        said({"hours": 2}),
    ),
    Row(
        "DELETE",
        f"{ORGANIZATION}/support-access/<id:grant_id>",
        (Scope.ORGANIZATIONS_WRITE,),
        204,
    ),
    Row("GET", f"{ORGANIZATION}/support-sessions", (Scope.AUDIT_READ,)),
    Row("GET", f"{ORGANIZATION}/tokens", (Scope.TOKENS_READ,)),
    Row("POST", f"{ORGANIZATION}/tokens", (Scope.TOKENS_WRITE,), 201, said({"name": "nightly"})),
    Row("GET", f"{ORGANIZATION}/tokens/<id:token_id>", (Scope.TOKENS_READ,)),
    Row(
        "PATCH",
        f"{ORGANIZATION}/tokens/<id:token_id>",
        (Scope.TOKENS_WRITE,),
        body=said({"name": "daily"}),
    ),
    Row("DELETE", f"{ORGANIZATION}/tokens/<id:token_id>", (Scope.TOKENS_WRITE,), 204),
    Row("GET", f"{ORGANIZATION}/webhooks", (Scope.WEBHOOKS_READ,)),
    Row(
        "POST",
        f"{ORGANIZATION}/webhooks",
        (Scope.WEBHOOKS_WRITE,),
        201,
        said({"url": "https://example.com/others"}),
    ),
    Row("GET", WEBHOOK, (Scope.WEBHOOKS_READ,)),
    Row("PATCH", WEBHOOK, (Scope.WEBHOOKS_WRITE,), body=said({"kinds": ["key.invalid"]})),
    Row("DELETE", WEBHOOK, (Scope.WEBHOOKS_WRITE,), 204),
    Row("POST", f"{WEBHOOK}/secret", (Scope.WEBHOOKS_WRITE,), body=said({})),
    Row("POST", f"{WEBHOOK}/test", (Scope.WEBHOOKS_WRITE,), 202),
    Row("GET", f"{WEBHOOK}/deliveries", (Scope.WEBHOOKS_READ,)),
    Row("GET", f"{WEBHOOK}/deliveries/<id:delivery_id>", (Scope.WEBHOOKS_READ,)),
    Row("POST", f"{WEBHOOK}/deliveries/<id:delivery_id>/replay", (Scope.WEBHOOKS_WRITE,), 202),
    Row("POST", f"{ORGANIZATION}/tokens/<id:token_id>/rotate", (Scope.TOKENS_WRITE,)),
    Row("GET", f"{ORGANIZATION}/audit-events", (Scope.AUDIT_READ,)),
    Row("GET", f"{ORGANIZATION}/export", (Scope.ORGANIZATIONS_EXPORT,), is_audited=True),
    Row("GET", f"{WORKSPACE}/keys", (Scope.KEYS_READ,)),
    Row(
        "POST",
        f"{WORKSPACE}/keys",
        (Scope.KEYS_WRITE,),
        202,
        lambda _world: {"key": made_up_key()},
    ),
    Row("GET", "intake-key", (), stranger=200),
    Row("GET", "keys", (Scope.KEYS_READ,), query="?organization_id={organization_id}"),
    Row("GET", KEY, (Scope.KEYS_READ,)),
    Row("PATCH", KEY, (Scope.KEYS_WRITE,), body=said({"name": "Altra"})),
    Row("DELETE", KEY, (Scope.KEYS_WRITE,), 204, query="?force=true"),
    Row("POST", f"{KEY}/validate", (Scope.KEYS_WRITE,), 202),
    Row("POST", f"{KEY}/versions", (Scope.KEYS_WRITE,), 202, lambda _world: {"key": made_up_key()}),
    Row("GET", f"{KEY}/models", (Scope.KEYS_READ,)),
    Row("GET", "models", (Scope.MODELS_READ,), query="?organization_id={organization_id}"),
    Row("POST", "models", (Scope.MODELS_WRITE, Scope.KEYS_USE), 201, new_model, is_once=True),
    Row("GET", MODELS, (Scope.MODELS_READ,)),
    Row("PATCH", MODELS, (Scope.MODELS_WRITE,), body=said({"description": "x"})),
    Row("DELETE", MODELS, (Scope.MODELS_WRITE,), 204),
    Row("POST", f"{MODELS}/token", (Scope.MODELS_WRITE, Scope.KEYS_USE)),
    Row("GET", f"{MODELS}/completion-config", (Scope.MODELS_READ,)),
    Row("POST", f"{MODELS}/publish", (Scope.MODELS_WRITE, Scope.KEYS_USE), 202, said({})),
    Row("GET", f"{MODELS}/publication", (Scope.MODELS_READ,)),
    Row("DELETE", f"{MODELS}/publication", (Scope.MODELS_WRITE,), 202),
    Row(
        "POST",
        f"{MODELS}/quote",
        (Scope.MODELS_READ, Scope.SPEND_READ),
        body=said({"model": "mistral-medium-latest"}),
    ),
    Row("GET", "catalog", (Scope.MODELS_READ,), stranger=200),
    *(
        row
        for whose in (ORGANIZATION, WORKSPACE, MODELS, KEY)
        for row in (
            Row("GET", f"{whose}/limits", (Scope.LIMITS_READ,)),
            Row("PUT", f"{whose}/limits", (Scope.LIMITS_WRITE,), body=LIMIT),
            Row("GET", f"{whose}/limits/effective", (Scope.LIMITS_READ,)),
        )
    ),
    Row("GET", "spend", (Scope.SPEND_READ,), query="?workspace_id={workspace_id}"),
    Row("GET", f"{WORKSPACE}/spend-policy", (Scope.LIMITS_READ,)),
    Row(
        "PUT", f"{WORKSPACE}/spend-policy", (Scope.LIMITS_WRITE,), body=said({"unpriced": "allow"})
    ),
    Row("GET", f"{ORGANIZATION}/prices", (Scope.SPEND_READ,)),
    Row(
        "PUT",
        f"{ORGANIZATION}/prices",
        (Scope.SPEND_WRITE,),
        body=said({"model": "ft:mistral-small-2603:acme:20260101:abcd", "by_base": True}),
    ),
    Row("GET", f"{ORGANIZATION}/retention", (Scope.ORGANIZATIONS_READ,)),
    Row(
        "PUT", f"{ORGANIZATION}/retention", (Scope.ORGANIZATIONS_WRITE,), body=said({"months": 24})
    ),
    Row("POST", "usage", (Scope.USAGE_WRITE,), 202, reported, stranger=202),
    Row("GET", "spend/months", (Scope.SPEND_READ,), query="?workspace_id={workspace_id}"),
    Row("GET", "calls", (Scope.SPEND_READ,), query="?model_id={model_id}"),
]


def served() -> Iterator[tuple[str, str]]:
    """Walk the URL configuration: every method of every address."""
    for route, view in _routes(get_resolver(), ""):
        view_class = getattr(view, "view_class", getattr(view, "cls", None))
        methods = ["get"] if view_class is None else view_class.http_method_names
        for method in methods:
            if view_class is None or hasattr(view_class, method):
                yield method.upper(), route


def _routes(resolver: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    for pattern in resolver.url_patterns:
        route = prefix + str(pattern.pattern)
        if isinstance(pattern, URLPattern):
            yield route, pattern.callback
        else:
            yield from _routes(pattern, route)


def test_every_address_and_method_is_in_the_table():
    ignored = {"OPTIONS", "HEAD"}
    found = {(method, f"/{route}") for method, route in served() if method not in ignored}
    listed = {(row.method, f"{BASE}/{row.route}") for row in TABLE}
    accounts = {(method, f"/_allauth/browser/v1/{route}") for method, route in ACCOUNTS}
    closed = {
        (method, route)
        for method, route in found
        if route not in OPEN and not route.startswith(DESK)
    }
    assert closed == listed | accounts | pages.ADDRESSES
    assert {route for _method, route in found} >= OPEN


def test_every_endpoint_declares_its_scopes():
    for route, view in _routes(get_resolver(), ""):
        view_class = getattr(view, "view_class", getattr(view, "cls", None))
        if view_class is None or f"/{route}" in OPEN or route.startswith("_allauth/"):
            continue
        if any(address == route for _method, address in pages.ACCOUNT_PAGES):
            continue
        for method in ("get", "post", "put", "patch", "delete"):
            if handler := getattr(view_class, method, None):
                scopes: frozenset[str] = handler.scopes
                is_open = f"/{route}" in NO_SCOPE or handler.is_personal
                assert bool(scopes) is not is_open, f"{method} {route}"
                assert scopes <= ALL_SCOPES
