"""What a row of the table of addresses is, and what requests say."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from tenants.common.models import new_id
from tenants.organizations.invitation_mail import token_of
from tests.api.callers import BASE, Answer, Caller
from tests.api.world import CLOSED, MODEL, WholeWorld

ORGANIZATION = "organizations/<id:organization_id>"
WORKSPACE = "workspaces/<id:workspace_id>"
KEY = "keys/<id:key_id>"
MODELS = "models/<id:model_id>"
WEBHOOK = f"{ORGANIZATION}/webhooks/<id:webhook_id>"

type Body = Callable[[WholeWorld], Any]


@dataclass(frozen=True)
class Row:
    """One method of one address.

    ``stranger`` is what another organization's token with every scope gets, and another
    organization's administrator. ``personal`` is about whoever is signed in: no token gets in.
    ``is_audited``: a read that leaves an audit event. ``is_once``: a second request would be
    answered differently, as what it did is done.
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
    is_once: bool = False

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
