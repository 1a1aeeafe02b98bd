"""Every address of the console, in a table: which capabilities each page and each form needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpResponse
from django.test import Client

from tenants.access.models import TokenScope as Scope
from tests.api.world import CLOSED, WholeWorld

#: What addresses name that is no row.
_SPELLED = {
    "<slug:key>": "plan",
    "<str:token>": "aim_inv_none",
    "<month:month>": CLOSED,
    "<form:form>": "csv",
}
ORGANIZATION = "organizations/<id:organization_id>"
WORKSPACE = "workspaces/<id:workspace_id>"
HOOK = f"{ORGANIZATION}/webhooks/<id:webhook_id>"
KEY = "keys/<id:key_id>"
MODEL = "models/<id:model_id>"


@dataclass(frozen=True)
class Row:
    """A method of an address.

    Attributes:
        scopes: what is needed; empty with ``personal``: about the person.
        body: what a form sends; what is sent matters only where it must be right.
        gives: what somebody who may gets.
    """

    method: str
    route: str
    scopes: tuple[Scope, ...] = ()
    gives: int = 200
    body: Mapping[str, Any] = field(default_factory=dict)
    personal: bool = False

    def __str__(self) -> str:
        return f"{self.method} /{self.route}"

    def address(self, found: WholeWorld) -> str:
        path = self.route
        for name, value in found.ids.items():
            path = path.replace(f"<id:{name}>", str(value))
        for name, spelled in _SPELLED.items():
            path = path.replace(name, spelled)
        return "/" + path

    def send(self, client: Client, found: WholeWorld) -> HttpResponse:
        headers = {"Accept": "text/html,*/*"}
        if self.method == "GET":
            return client.get(self.address(found), headers=headers)  # type: ignore[return-value]
        return client.post(self.address(found), dict(self.body), headers=headers)  # type: ignore[return-value]


def _both(route: str, read: Scope, write: Scope, gives: int = 422, **body: Any) -> tuple[Row, Row]:
    return Row("GET", route, (read,)), Row("POST", route, (write,), gives, body)


_MAKE = (Scope.MODELS_WRITE, Scope.KEYS_USE)

#: Pages of somebody who is signed in, wherever they are members.
PERSONAL = [
    Row("GET", "", gives=303, personal=True),
    Row("GET", "terms", personal=True),
    Row("POST", "terms", gives=422, personal=True),
    Row("GET", "welcome", personal=True),
    Row("POST", "welcome", gives=422, personal=True),
    Row("GET", "profile", personal=True),
    Row("POST", "profile", gives=422, personal=True),
    Row("GET", "organizations", personal=True),
    Row("POST", "organizations", gives=404, personal=True),
    Row("GET", f"{ORGANIZATION}/leave", personal=True),
    Row("POST", f"{ORGANIZATION}/leave", gives=303, personal=True),
    Row("POST", "join-requests", gives=404, personal=True),
    Row("POST", "invitations", gives=404, personal=True),
    Row("GET", "invitations/<str:token>", gives=404, personal=True),
    Row("POST", "invitations/<str:token>", gives=404, personal=True),
    Row("GET", "security", personal=True),
    Row("GET", "security/addresses", personal=True),
    Row("GET", "security/passkeys", personal=True),
    *(
        Row("GET", name, gives=303, personal=True)
        for name in (
            *("start", "billing", "limits", "members", "workspaces", "spend", "keys", "models"),
        )
    ),
]

#: Pages of an organization.
PAGES = [
    Row("GET", ORGANIZATION, (Scope.ORGANIZATIONS_READ,)),
    Row("GET", f"{ORGANIZATION}/start", (Scope.BILLING_READ,)),
    Row("GET", f"{ORGANIZATION}/start/<slug:key>", (Scope.BILLING_READ,), 303),
    Row("POST", f"{ORGANIZATION}/start/<slug:key>", (Scope.BILLING_WRITE,), 303, {"word": "done"}),
    Row("GET", f"{ORGANIZATION}/spend", (Scope.SPEND_READ,)),
    Row("GET", f"{ORGANIZATION}/spend.csv", (Scope.SPEND_READ,)),
    Row("GET", f"{ORGANIZATION}/calls", (Scope.SPEND_READ,)),
    Row("GET", f"{ORGANIZATION}/calls.csv", (Scope.SPEND_READ,)),
    Row("GET", f"{ORGANIZATION}/statements", (Scope.SPEND_READ,)),
    Row("GET", f"{ORGANIZATION}/statements/<month:month>", (Scope.SPEND_READ,)),
    Row("GET", f"{ORGANIZATION}/statements/<month:month>.<form:form>", (Scope.SPEND_READ,)),
    *_both(f"{ORGANIZATION}/limits", Scope.LIMITS_READ, Scope.LIMITS_WRITE),
    *_both(f"{ORGANIZATION}/limits/reset", Scope.LIMITS_WRITE, Scope.LIMITS_WRITE, 303),
    *_both(f"{ORGANIZATION}/members", Scope.MEMBERS_READ, Scope.MEMBERS_WRITE),
    Row("GET", f"{ORGANIZATION}/members/<id:member_id>", (Scope.MEMBERS_WRITE,)),
    Row(
        "POST",
        f"{ORGANIZATION}/members/<id:member_id>",
        (Scope.MEMBERS_WRITE,),
        303,
        {"role": "billing"},
    ),
    Row("POST", f"{ORGANIZATION}/invitations/<id:invitation_id>", (Scope.MEMBERS_WRITE,), 303),
    Row("POST", f"{ORGANIZATION}/join-requests/<id:join_request_id>", (Scope.MEMBERS_WRITE,), 303),
    *_both(f"{ORGANIZATION}/workspaces", Scope.WORKSPACES_READ, Scope.WORKSPACES_WRITE),
    Row("GET", f"{ORGANIZATION}/aisuru", (Scope.KEYS_READ,)),
    *_both(f"{ORGANIZATION}/aisuru/login", Scope.KEYS_WRITE, Scope.KEYS_WRITE),
    *_both(f"{ORGANIZATION}/aisuru/remove", Scope.KEYS_WRITE, Scope.KEYS_WRITE, 303),
    *_both(f"{ORGANIZATION}/billing", Scope.BILLING_READ, Scope.BILLING_WRITE),
    Row("GET", f"{ORGANIZATION}/billing/plan", (Scope.BILLING_READ,), 303),
    Row("POST", f"{ORGANIZATION}/billing/plan", (Scope.BILLING_WRITE,), 303),
    Row("GET", f"{ORGANIZATION}/tokens", (Scope.TOKENS_READ,)),
    *_both(f"{ORGANIZATION}/tokens/new", Scope.TOKENS_WRITE, Scope.TOKENS_WRITE),
    *_both(
        f"{ORGANIZATION}/tokens/<id:token_id>/revoke", Scope.TOKENS_WRITE, Scope.TOKENS_WRITE, 303
    ),
    Row("GET", f"{ORGANIZATION}/webhooks", (Scope.WEBHOOKS_READ,)),
    *_both(f"{ORGANIZATION}/webhooks/new", Scope.WEBHOOKS_WRITE, Scope.WEBHOOKS_WRITE),
    *_both(HOOK, Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE, 303),
    *_both(f"{HOOK}/delete", Scope.WEBHOOKS_WRITE, Scope.WEBHOOKS_WRITE, 303),
    *_both(f"{HOOK}/edit", Scope.WEBHOOKS_WRITE, Scope.WEBHOOKS_WRITE),
    *_both(f"{HOOK}/switch", Scope.WEBHOOKS_WRITE, Scope.WEBHOOKS_WRITE, 303, to="on"),
    *_both(f"{HOOK}/secret", Scope.WEBHOOKS_WRITE, Scope.WEBHOOKS_WRITE),
    *_both(f"{HOOK}/deliveries/<id:delivery_id>", Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE, 303),
    Row("GET", f"{ORGANIZATION}/audit", (Scope.AUDIT_READ,)),
    *_both(f"{ORGANIZATION}/support", Scope.AUDIT_READ, Scope.ORGANIZATIONS_WRITE),
    Row(
        "POST",
        f"{ORGANIZATION}/support/<id:grant_id>/withdraw",
        (Scope.ORGANIZATIONS_WRITE,),
        303,
    ),
    *_both(f"{ORGANIZATION}/letters", Scope.ORGANIZATIONS_READ, Scope.ORGANIZATIONS_READ, 303),
    *_both(f"{ORGANIZATION}/export", Scope.ORGANIZATIONS_EXPORT, Scope.ORGANIZATIONS_EXPORT, 200),
    *_both(f"{ORGANIZATION}/erase", Scope.ORGANIZATIONS_WRITE, Scope.ORGANIZATIONS_WRITE),
    *_both(f"{ORGANIZATION}/settings", Scope.ORGANIZATIONS_WRITE, Scope.ORGANIZATIONS_WRITE),
    Row("GET", WORKSPACE, (Scope.WORKSPACES_READ,)),
    *_both(f"{WORKSPACE}/edit", Scope.WORKSPACES_WRITE, Scope.WORKSPACES_WRITE),
    *_both(f"{WORKSPACE}/archive", Scope.WORKSPACES_WRITE, Scope.WORKSPACES_WRITE, 303),
    *_both(f"{WORKSPACE}/members", Scope.MEMBERS_READ, Scope.MEMBERS_WRITE, 404),
    Row("GET", f"{WORKSPACE}/spend", (Scope.SPEND_READ,)),
    Row("GET", f"{WORKSPACE}/spend.csv", (Scope.SPEND_READ,)),
    Row("GET", f"{WORKSPACE}/calls", (Scope.SPEND_READ,)),
    Row("GET", f"{WORKSPACE}/calls.csv", (Scope.SPEND_READ,)),
    *_both(f"{WORKSPACE}/limits", Scope.LIMITS_READ, Scope.LIMITS_WRITE),
    Row("GET", f"{WORKSPACE}/keys", (Scope.KEYS_READ,)),
    *_both(f"{WORKSPACE}/keys/new", Scope.KEYS_WRITE, Scope.KEYS_WRITE),
    Row("GET", f"{WORKSPACE}/models", (Scope.MODELS_READ,)),
    Row("GET", f"{WORKSPACE}/models/new", _MAKE),
    Row("POST", f"{WORKSPACE}/models/new", _MAKE, 422),
    Row("GET", KEY, (Scope.KEYS_READ,)),
    *_both(f"{KEY}/edit", Scope.KEYS_WRITE, Scope.KEYS_WRITE, 303, name="Altra"),
    Row("POST", f"{KEY}/check", (Scope.KEYS_WRITE,), 303),
    Row("POST", f"{KEY}/probe", (Scope.KEYS_WRITE, Scope.KEYS_USE), 303),
    *_both(f"{KEY}/replace", Scope.KEYS_WRITE, Scope.KEYS_WRITE),
    *_both(f"{KEY}/limits", Scope.LIMITS_READ, Scope.LIMITS_WRITE),
    *_both(f"{KEY}/delete", Scope.KEYS_WRITE, Scope.KEYS_WRITE, 409),
    Row("GET", MODEL, (Scope.MODELS_READ,)),
    *_both(f"{MODEL}/edit", Scope.MODELS_WRITE, Scope.MODELS_WRITE),
    Row("GET", f"{MODEL}/token", _MAKE),
    Row("POST", f"{MODEL}/token", _MAKE, 200, {"grace_seconds": "0"}),
    Row("POST", f"{MODEL}/trial", _MAKE, 201),
    Row("GET", f"{MODEL}/quote", (Scope.MODELS_READ, Scope.SPEND_READ)),
    Row("POST", f"{MODEL}/publish", _MAKE, 303),
    *_both(f"{MODEL}/limits", Scope.LIMITS_READ, Scope.LIMITS_WRITE),
    *_both(f"{MODEL}/delete", Scope.MODELS_WRITE, Scope.MODELS_WRITE, 303),
]

#: Pages of allauth's flows and of looks, by method and address: what nobody gets, and what
#: somebody who is signed in does. Nothing of a tenant is behind them.
ACCOUNT_PAGES: Mapping[tuple[str, str], tuple[int, int]] = {
    ("POST", "looks"): (303, 303),
    ("GET", "sign-in"): (200, 302),
    ("POST", "sign-in"): (200, 302),
    ("GET", "sign-in/code"): (302, 302),
    ("POST", "sign-in/code"): (302, 302),
    ("GET", "sign-in/passkey"): (302, 302),
    ("POST", "sign-in/passkey"): (302, 302),
    ("GET", "sign-up"): (200, 302),
    ("POST", "sign-up"): (200, 302),
    ("GET", "verify-email"): (302, 302),
    ("POST", "verify-email"): (302, 302),
    ("GET", "sign-out"): (302, 200),
    ("POST", "sign-out"): (302, 302),
    ("GET", "inactive"): (200, 200),
    ("GET", "reset-password"): (200, 200),
    ("POST", "reset-password"): (200, 200),
    ("GET", "reset-password/sent"): (200, 200),
    ("GET", "reset-password/done"): (200, 200),
    ("GET", r"^reset-password/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)$"): (200, 200),
    ("POST", r"^reset-password/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)$"): (200, 200),
    ("GET", "confirm"): (302, 200),
    ("POST", "confirm"): (302, 200),
    ("GET", "confirm/code"): (302, 302),
    ("POST", "confirm/code"): (302, 302),
    ("GET", "confirm/passkey"): (302, 302),
    ("POST", "confirm/passkey"): (302, 302),
    ("GET", "security/passkeys/new"): (302, 200),
    ("POST", "security/passkeys/new"): (302, 200),
    ("GET", "security/passkeys/<int:pk>/rename"): (302, 404),
    ("POST", "security/passkeys/<int:pk>/rename"): (302, 404),
    ("GET", "security/passkeys/<int:pk>/remove"): (302, 404),
    ("POST", "security/passkeys/<int:pk>/remove"): (302, 404),
    ("GET", "security/password"): (302, 200),
    ("POST", "security/password"): (302, 200),
    ("GET", "security/app"): (302, 200),
    ("POST", "security/app"): (302, 200),
    ("GET", "security/app/remove"): (302, 404),
    ("POST", "security/app/remove"): (302, 404),
    ("GET", "security/recovery-codes"): (302, 404),
    ("GET", "security/recovery-codes/new"): (302, 200),
    ("POST", "security/recovery-codes/new"): (302, 200),
    ("POST", "security/sessions"): (302, 302),
}

TABLE = [*PERSONAL, *PAGES]
#: As the URL configuration names them, for the table of the whole service.
ADDRESSES = {(row.method, f"/{row.route}") for row in TABLE} | {
    (method, f"/{route}") for method, route in ACCOUNT_PAGES
}
