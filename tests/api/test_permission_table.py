"""Ask Charlie: every address of the service, and who may do what there.

An address or a method that is not in the table fails the suite. A refusal shows that nothing
changed. What people may is told by ``HOLDERS``, written here once more, on purpose: the code's own
table (``tenants.organizations.roles``) must say the same.
"""

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import pytest
from django.urls import URLPattern, get_resolver
from django.utils import timezone

from tenants.access.models import TokenScope as Scope
from tenants.access.services import ALL_SCOPES
from tenants.common.models import new_id
from tenants.common.tokens import TokenKind, mint
from tenants.organizations import roles
from tenants.organizations.invitation_mail import token_of
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.people.models import Person
from tests import factories, people
from tests.api.callers import BASE, Answer, Caller, organization_caller, platform_caller
from tests.api.world import CLOSED, MODEL, WholeWorld, everything, made_up_key, whole_world
from tests.console import pages
from tests.people import session_caller

ORGANIZATION = "organizations/<id:organization_id>"
WORKSPACE = "workspaces/<id:workspace_id>"
KEY = "keys/<id:key_id>"
MODELS = "models/<id:model_id>"
WEBHOOK = f"{ORGANIZATION}/webhooks/<id:webhook_id>"
NOT_FOUND = 404
DEAD_TOKENS = {
    None: "token_missing",
    "hunter2": "token_malformed",
    "aim_org_000000000000000000000000000000000": "token_malformed",
    mint(TokenKind.PLATFORM).reveal(): "token_unknown",
    mint(TokenKind.ORGANIZATION).reveal(): "token_unknown",
    mint(TokenKind.MODEL).reveal(): "token_malformed",
}

#: What is open to everybody, by address: nothing of a tenant is behind it.
OPEN = {
    "/api/v1/schema",
    "/api/v1/docs",
    "/api/v1/problems/<slug:code>",
    # The link is signed: it mutes one kind of mail for one member.
    "/api/v1/unsubscribe/<str:token>",
    "/health/live",
    "/health/ready",
    "/metrics",
}

#: The support desk. Whoever this table knows, with a token or a session of the console, gets the
#: same at each of its addresses: the way to the sign-in. What differs there is a staff role and a
#: support session, so every address of it has its row in ``tests/support/test_table.py``.
DESK = "/admin/"

#: Signing up, in and out, by method and address under ``/_allauth/browser/v1/``: what nobody gets
#: for an empty body, and what somebody who is signed in does. Nothing of a tenant is behind it.
ACCOUNTS = {
    ("GET", "config"): (200, 200),
    ("GET", "auth/session"): (401, 200),
    ("DELETE", "auth/session"): (401, 401),
    ("POST", "auth/signup"): (400, 400),
    ("POST", "auth/login"): (400, 400),
    ("POST", "auth/reauthenticate"): (401, 400),
    ("GET", "auth/email/verify"): (409, 409),
    ("POST", "auth/email/verify"): (409, 409),
    ("POST", "auth/email/verify/resend"): (409, 409),
    ("POST", "auth/password/request"): (400, 400),
    ("GET", "auth/password/reset"): (400, 400),
    ("POST", "auth/password/reset"): (400, 400),
    ("POST", "auth/2fa/authenticate"): (401, 401),
    ("POST", "auth/2fa/reauthenticate"): (401, 400),
    ("GET", "auth/webauthn/login"): (200, 200),
    ("POST", "auth/webauthn/login"): (400, 400),
    ("GET", "auth/webauthn/authenticate"): (401, 401),
    ("POST", "auth/webauthn/authenticate"): (401, 401),
    ("GET", "auth/webauthn/reauthenticate"): (401, 200),
    ("POST", "auth/webauthn/reauthenticate"): (401, 400),
    ("GET", "auth/sessions"): (401, 200),
    ("DELETE", "auth/sessions"): (401, 400),
    ("POST", "account/password/change"): (401, 400),
    ("GET", "account/email"): (401, 200),
    ("POST", "account/email"): (409, 400),
    ("PUT", "account/email"): (401, 400),
    ("PATCH", "account/email"): (401, 400),
    ("DELETE", "account/email"): (401, 400),
    ("GET", "account/authenticators"): (401, 200),
    ("GET", "account/authenticators/totp"): (401, 404),
    ("POST", "account/authenticators/totp"): (401, 400),
    ("DELETE", "account/authenticators/totp"): (401, 200),
    ("GET", "account/authenticators/webauthn"): (401, 200),
    ("POST", "account/authenticators/webauthn"): (401, 400),
    ("PUT", "account/authenticators/webauthn"): (401, 400),
    ("DELETE", "account/authenticators/webauthn"): (401, 400),
    ("GET", "account/authenticators/recovery-codes"): (401, 404),
    ("POST", "account/authenticators/recovery-codes"): (401, 400),
}

_EVERYBODY = {"admin", "billing", "member"}
_INSIDE = {"workspace admin", "workspace member"}
#: Which roles have a capability: in the organization, or in the workspace that is named.
HOLDERS: dict[str, set[str]] = {
    "organizations:read": _EVERYBODY,
    "organizations:write": {"admin"},
    "workspaces:read": _EVERYBODY,
    "workspaces:write": {"admin", "workspace admin"},
    "members:read": {"admin", *_INSIDE},
    "members:write": {"admin", "workspace admin"},
    "billing:read": {"admin", "billing"},
    "billing:write": {"admin", "billing"},
    "keys:read": {"admin", *_INSIDE},
    "keys:write": {"admin", "workspace admin"},
    "keys:use": {"admin", "workspace admin"},
    "models:read": {"admin", "member", *_INSIDE},
    "models:write": {"admin", "workspace admin"},
    "spend:read": {"admin", "billing", *_INSIDE},
    "spend:write": {"admin", "billing"},
    "usage:write": {"admin"},
    "limits:read": {"admin", "billing", *_INSIDE},
    "limits:write": {"admin", "billing"},
    "tokens:read": {"admin"},
    "tokens:write": {"admin"},
    "webhooks:read": {"admin"},
    "webhooks:write": {"admin"},
    "audit:read": {"admin"},
    "organizations:export": {"admin"},
}

#: What every live token may read, by address: nothing of a tenant is behind it.
NO_SCOPE = {"/api/v1/intake-key"}

type Body = Callable[[WholeWorld], Any]


@dataclass(frozen=True)
class Row:
    """One method of one address.

    ``stranger`` is what another organization's token with every scope gets, and another
    organization's administrator. ``personal`` is about whoever is signed in: no token gets in.
    ``is_audited``: a read that leaves an audit event.
    """

    method: str
    route: str
    scopes: tuple[str, ...]
    status: int = 200
    body: Body | None = None
    query: str = ""
    platform_only: bool = False
    stranger: int = 404
    personal: bool = False
    is_audited: bool = False

    @property
    def changes(self) -> bool:
        """Tell whether it changes something when it is allowed."""
        return self.method != "GET" or self.is_audited

    def __str__(self) -> str:
        return f"{self.method} {self.route}"

    def address(self, found: WholeWorld) -> str:
        path = f"{BASE}/{self.route}{self.query}"
        path = path.replace("<month:month>", CLOSED).replace("<form:format>", "json")
        path = path.replace("<slug:key>", "phone")
        for name, value in found.ids.items():
            path = path.replace(f"<id:{name}>", str(value)).replace(f"{{{name}}}", str(value))
        return path

    def points_into_workspace(self, found: WholeWorld) -> bool:
        """Tell whether a request names the workspace, or something in it."""
        body = self.body(found) if self.body else {}
        named = self.address(found) + str([one for one in body.values() if isinstance(one, str)])
        return any(str(row.pk) in named for row in (found.workspace, found.key, found.model))

    def send(self, caller: Caller, found: WholeWorld) -> Answer:
        body = self.body(found) if self.body else None
        return caller.call(self.method, self.address(found), body)


def new_model(found: WholeWorld) -> dict[str, Any]:
    return {
        "organization_id": str(found.organization.pk),
        "workspace_id": str(found.workspace.pk),
        "key_id": str(found.key.pk),
        "name": "Secondo",
        "model": MODEL,
        "purposes": ["deep_thought"],
        "spend_limit": "10.00",
    }


def reported(found: WholeWorld) -> dict[str, Any]:
    return {
        "events": [
            {
                "event_id": str(new_id()),
                "workspace_id": str(found.workspace.pk),
                "model": MODEL,
                "endpoint": "/v1/chat/completions",
                "occurred_at": timezone.now().isoformat(),
                "usage": {"prompt_tokens": 10, "completion_tokens": 5},
            }
        ]
    }


def said(value: Any) -> Body:
    return lambda _world: value


def whose(found: WholeWorld) -> dict[str, str]:
    return {"organization_id": str(found.organization.pk)}


def the_colleague(found: WholeWorld) -> dict[str, str]:
    return {"member_id": str(found.colleague.pk)}


def the_sync(found: WholeWorld) -> dict[str, str]:
    return {"sync_id": str(found.sync.pk)}


def the_link(found: WholeWorld) -> dict[str, str]:
    return {"token": token_of(found.invitation).reveal()}


LIMIT = said({"monthly_spend": "50.00"})
PROFILE = {
    "legal_name": "Rossi Srl",
    "vat_number": "IT00743110157",
    "address": {
        "line1": "Via Roma 1",
        "postal_code": "20121",
        "city": "Milano",
        "province": "MI",
        "country": "IT",
    },
    "sdi_code": "ABC1234",
}
PLAN = {
    "plan": "scale",
    "payment_method_on_file": True,
    "phone_verified": True,
    "auto_recharge": None,
}
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
    ),
    Row(
        "POST",
        f"{ORGANIZATION}/join-requests/<id:join_request_id>/decline",
        (Scope.MEMBERS_WRITE,),
        204,
    ),
    Row("GET", f"{WORKSPACE}/members", (Scope.MEMBERS_READ,)),
    Row("POST", f"{WORKSPACE}/members", (Scope.MEMBERS_WRITE,), 201, the_colleague),
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
    ),
    Row("GET", WORKSPACE, (Scope.WORKSPACES_READ,)),
    Row("PATCH", WORKSPACE, (Scope.WORKSPACES_WRITE,), body=said({"name": "Altro"})),
    Row("POST", f"{WORKSPACE}/archive", (Scope.WORKSPACES_WRITE,)),
    Row("GET", f"{ORGANIZATION}/rate-limits", (Scope.LIMITS_READ,)),
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
    Row("POST", "models", (Scope.MODELS_WRITE, Scope.KEYS_USE), 201, new_model),
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
rows = pytest.mark.parametrize("row", [one for one in TABLE if not one.personal], ids=str)
personal_rows = pytest.mark.parametrize("row", [one for one in TABLE if one.personal], ids=str)


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


@pytest.fixture
def asked(row, request) -> WholeWorld:
    """The shared world for what only reads, a fresh one for what changes something."""
    found: WholeWorld = request.getfixturevalue("untouched" if row.method == "GET" else "hers")
    return found


@rows
def test_a_platform_token_with_exactly_these_scopes_gets_in(row, asked):
    answer = row.send(platform_caller(*row.scopes), asked)
    assert answer.status == row.status, answer.raw


@rows
def test_a_token_of_the_organization_with_exactly_these_scopes_gets_in(row, asked):
    answer = row.send(organization_caller(asked.organization, *row.scopes), asked)
    assert answer.status == (403 if row.platform_only else row.status), answer.raw
    assert answer.code == "platform_only" if row.platform_only else answer.code is None


@pytest.fixture
def hers(organization) -> WholeWorld:
    """Everything in it can be named by an address."""
    return whole_world(organization)


@pytest.fixture(scope="module")
def untouched() -> WholeWorld:
    """What Alice's organization has, for refusals only: they change nothing."""
    return whole_world()


@pytest.fixture(scope="module")
def stranger_caller() -> Caller:
    """Charlie, with every scope of an organization of his own."""
    return organization_caller(factories.organization(name="Charlie & Co"))


@rows
def test_without_one_of_these_scopes_it_is_forbidden_and_nothing_changes(row, untouched):
    organization = untouched.organization
    for missing in row.scopes:
        others = ALL_SCOPES - {missing}
        for caller in (platform_caller(*others), organization_caller(organization, *others)):
            before = everything(organization.pk)
            answer = row.send(caller, untouched)
            assert (answer.status, answer.code) == (403, "scope_missing")
            assert answer.body["scopes"] == [missing]
            assert everything(organization.pk) == before


@rows
def test_charlie_finds_nothing_and_changes_nothing(row, untouched, stranger_caller):
    before = everything(untouched.organization.pk)
    answer = row.send(stranger_caller, untouched)
    assert answer.status == row.stranger, answer.raw
    if row.stranger == NOT_FOUND:
        assert answer.code == "not_found"
    else:
        for value in untouched.ids.values():
            assert str(value).encode() not in answer.raw
    assert everything(untouched.organization.pk) == before


@pytest.mark.parametrize(
    "row", [row for row in TABLE if row.stranger == NOT_FOUND and not row.personal], ids=str
)
def test_what_is_nowhere_is_refused_in_the_very_words_of_what_is_not_yours(
    row, untouched, stranger_caller
):
    theirs = row.send(stranger_caller, untouched).body
    lost = elsewhere(untouched)
    nowhere = row.send(stranger_caller, lost).body
    assert theirs.pop("request_id") != nowhere.pop("request_id")
    assert theirs == nowhere
    assert row.send(platform_caller(), lost).status == NOT_FOUND


@rows
def test_without_a_live_token_nobody_gets_in_and_nothing_changes(row, untouched):
    before = everything(untouched.organization.pk)
    for token, code in DEAD_TOKENS.items():
        answer = row.send(Caller(token), untouched)
        assert (answer.status, answer.code) == (401, code), token
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert everything(untouched.organization.pk) == before


def an_admin(found: WholeWorld) -> Person:
    return people.member(found.organization, Role.ADMIN).person


@pytest.fixture(scope="module")
def administrator(untouched) -> Caller:
    return session_caller(an_admin(untouched))


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_the_administrator_gets_in(row, asked, administrator):
    fresh = row.method != "GET"
    caller = session_caller(an_admin(asked)) if fresh else administrator
    answer = row.send(caller, asked)
    assert answer.status == (403 if row.platform_only else row.status), answer.raw
    assert answer.code == "platform_only" if row.platform_only else True


@dataclass(frozen=True)
class Somebody:
    """A member of Alice's organization."""

    role: Role
    inside: WorkspaceRole | None = None

    def __str__(self) -> str:
        return f"workspace {self.inside.value}" if self.inside else self.role.value

    def caller(self, found: WholeWorld) -> Caller:
        places = {found.workspace: self.inside} if self.inside else {}
        return session_caller(
            people.member(found.organization, self.role, workspaces=places).person
        )

    def is_lost(self, row: Row, found: WholeWorld) -> bool:
        """Tell whether the row points where this member sees nothing."""
        is_confined = self.role == Role.MEMBER and self.inside is None
        return is_confined and row.points_into_workspace(found)

    def may(self, row: Row, found: WholeWorld) -> bool:
        held = {self.role.value}
        if self.inside and row.points_into_workspace(found):
            held.add(str(self))
        return all(held & HOLDERS[scope] for scope in row.scopes)


CAST = [
    Somebody(Role.BILLING),
    Somebody(Role.MEMBER),
    Somebody(Role.MEMBER, WorkspaceRole.ADMIN),
    Somebody(Role.MEMBER, WorkspaceRole.MEMBER),
]


def test_every_scope_has_its_holders_and_the_code_says_the_same():
    assert set(HOLDERS) == ALL_SCOPES == set(roles.CAPABILITIES)
    assert {name: set(who) for name, who in roles.CAPABILITIES.items()} == HOLDERS


@pytest.fixture(scope="module")
def callers(untouched) -> dict[Somebody, Caller]:
    return {somebody: somebody.caller(untouched) for somebody in CAST}


@rows
def test_a_member_gets_what_the_roles_allow_and_a_refusal_changes_nothing(
    row, untouched, callers, request
):
    before = everything(untouched.organization.pk)
    for somebody in CAST:
        found, caller = untouched, callers[somebody]
        may = somebody.may(row, untouched) and not row.platform_only
        is_lost = somebody.is_lost(row, untouched)
        if may and not is_lost and row.changes:
            found = whole_world()
            caller = somebody.caller(found)
        answer = row.send(caller, found)
        if is_lost:
            assert (answer.status, answer.code) == (404, "not_found"), somebody
        elif may:
            assert answer.status == row.status, (somebody, answer.raw)
        else:
            expected = "platform_only" if somebody.may(row, untouched) else "role_missing"
            assert (answer.status, answer.code) == (403, expected), somebody
    assert everything(untouched.organization.pk) == before


@pytest.fixture(scope="module")
def stranger_session() -> Caller:
    """Charlie himself, who administers an organization of his own."""
    organization = factories.organization(name="Charlie & Co")
    return session_caller(people.member(organization, Role.ADMIN).person)


@pytest.mark.parametrize("row", TABLE, ids=str)
def test_charlie_himself_finds_nothing_and_changes_nothing(row, untouched, stranger_session):
    before = everything(untouched.organization.pk)
    answer = row.send(stranger_session, untouched)
    # Where a person acts is asked before what only AIsuru's backend may do.
    is_elsewhere = row.platform_only and "organization_id" in row.route
    assert answer.status == (NOT_FOUND if is_elsewhere else row.stranger), answer.raw
    if answer.status == NOT_FOUND:
        assert answer.code == "not_found"
    else:
        for value in untouched.ids.values():
            assert str(value).encode() not in answer.raw
    assert everything(untouched.organization.pk) == before


@personal_rows
def test_what_is_about_a_person_takes_no_token(row, untouched):
    for caller in (platform_caller(), organization_caller(untouched.organization)):
        answer = row.send(caller, untouched)
        assert (answer.status, answer.code) == (403, "person_only")
    assert row.send(Caller(), untouched).status == 401


@pytest.mark.parametrize(("method", "route"), ACCOUNTS, ids=str)
def test_signing_in_shows_nobody_more_than_it_should(method, route):
    nobody, somebody = ACCOUNTS[method, route]
    address = f"/_allauth/browser/v1/{route}"
    caller = session_caller(people.person("Nora"))
    assert Caller().call(method, address, {}).status == nobody
    assert caller.call(method, address, {}).status == somebody


_POINTED_AT = (
    "organization",
    "workspace",
    "key",
    "model",
    "token",
    "reconciliation",
    "member",
    "invitation",
    "domain",
    "join_request",
    "webhook",
    "delivery",
)


def elsewhere(found: WholeWorld) -> WholeWorld:
    """The same world under ids that nobody has."""
    lost = copy(found)
    for name in (*_POINTED_AT,):
        row = copy(getattr(found, name))
        row.pk = new_id()
        setattr(lost, name, row)
    return lost
