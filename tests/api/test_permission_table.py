"""Ask Charlie: every address of the service, and who may do what there.

An address or a method that is not in the table fails the suite. A refusal shows that nothing
changed.
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
from tests import factories
from tests.api.callers import BASE, Answer, Caller, organization_caller, platform_caller
from tests.api.world import CLOSED, MODEL, World, everything, made_up_key, world

ORGANIZATION = "organizations/<id:organization_id>"
WORKSPACE = "workspaces/<id:workspace_id>"
KEY = "keys/<id:key_id>"
MODELS = "models/<id:model_id>"
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
    "/",
    "/api/v1/schema",
    "/api/v1/docs",
    "/api/v1/problems/<slug:code>",
    "/static/drf_spectacular_sidecar/swagger-ui-dist/<slug:name>.<str:kind>",
    "/health/live",
    "/health/ready",
    "/metrics",
}

#: What every live token may read, by address: nothing of a tenant is behind it.
NO_SCOPE = {"/api/v1/intake-key"}

type Body = Callable[[World], Any]


@dataclass(frozen=True)
class Row:
    """One method of one address.

    ``stranger`` is what another organization's token with every scope gets.
    """

    method: str
    route: str
    scopes: tuple[str, ...]
    status: int = 200
    body: Body | None = None
    query: str = ""
    platform_only: bool = False
    stranger: int = 404

    def __str__(self) -> str:
        return f"{self.method} {self.route}"

    def address(self, found: World) -> str:
        path = f"{BASE}/{self.route}{self.query}"
        path = path.replace("<month:month>", CLOSED).replace("<form:format>", "json")
        for name, value in found.ids.items():
            path = path.replace(f"<id:{name}>", str(value)).replace(f"{{{name}}}", str(value))
        return path

    def send(self, caller: Caller, found: World) -> Answer:
        body = self.body(found) if self.body else None
        return caller.call(self.method, self.address(found), body)


def new_model(found: World) -> dict[str, Any]:
    return {
        "organization_id": str(found.organization.pk),
        "workspace_id": str(found.workspace.pk),
        "key_id": str(found.key.pk),
        "name": "Secondo",
        "model": MODEL,
        "purposes": ["deep_thought"],
        "spend_limit": "10.00",
    }


def reported(found: World) -> dict[str, Any]:
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


LIMIT = said({"monthly_spend": "50.00"})
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
    Row("GET", f"{ORGANIZATION}/tokens", (Scope.TOKENS_READ,)),
    Row("POST", f"{ORGANIZATION}/tokens", (Scope.TOKENS_WRITE,), 201, said({"name": "nightly"})),
    Row("GET", f"{ORGANIZATION}/tokens/<id:token_id>", (Scope.TOKENS_READ,)),
    Row("DELETE", f"{ORGANIZATION}/tokens/<id:token_id>", (Scope.TOKENS_WRITE,), 204),
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
    Row("POST", "usage", (Scope.USAGE_WRITE,), 202, reported, stranger=202),
    Row("GET", "spend/months", (Scope.SPEND_READ,), query="?workspace_id={workspace_id}"),
    Row("GET", "calls", (Scope.SPEND_READ,), query="?model_id={model_id}"),
]
rows = pytest.mark.parametrize("row", TABLE, ids=str)


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
    assert {(method, route) for method, route in found if route not in OPEN} == listed
    assert {route for _method, route in found} >= OPEN


def test_every_endpoint_declares_its_scopes():
    for route, view in _routes(get_resolver(), ""):
        view_class = getattr(view, "view_class", getattr(view, "cls", None))
        if view_class is None or f"/{route}" in OPEN:
            continue
        for method in ("get", "post", "put", "patch", "delete"):
            if handler := getattr(view_class, method, None):
                scopes: frozenset[str] = handler.scopes
                assert scopes or f"/{route}" in NO_SCOPE, f"{method} {route}"
                assert scopes <= ALL_SCOPES


@rows
def test_a_platform_token_with_exactly_these_scopes_gets_in(row, hers):
    answer = row.send(platform_caller(*row.scopes), hers)
    assert answer.status == row.status, answer.raw


@rows
def test_a_token_of_the_organization_with_exactly_these_scopes_gets_in(row, hers):
    answer = row.send(organization_caller(hers.organization, *row.scopes), hers)
    assert answer.status == (403 if row.platform_only else row.status), answer.raw
    assert answer.code == "platform_only" if row.platform_only else answer.code is None


@pytest.fixture(scope="module")
def untouched() -> World:
    """What Alice's organization has, for refusals only: they change nothing."""
    return world()


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


@pytest.mark.parametrize("row", [row for row in TABLE if row.stranger == NOT_FOUND], ids=str)
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


def elsewhere(found: World) -> World:
    """The same world under ids that nobody has."""
    lost = copy(found)
    for name in ("organization", "workspace", "key", "model", "token", "reconciliation"):
        row = copy(getattr(found, name))
        row.pk = new_id()
        setattr(lost, name, row)
    return lost
