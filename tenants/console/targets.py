"""What the audit log's entries were done to: its name today and its page, if it is still there.

An entry keeps a kind and an id only. Names are read for a whole page of entries, one query a kind;
what is gone, or has no name, is called by what it is.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.apps import apps
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.models import TokenScope as Scope
from tenants.common.months import Month
from tenants.console import words
from tenants.organizations.models import AuditEvent
from tenants.spend.reports import name_of


@dataclass(frozen=True, slots=True)
class Target:
    """What an entry was done to, in words; ``address`` is empty where there is nothing to see."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of row that verbs are done to.

    Attributes:
        word: what one is called that is gone or has no name.
        model: of Django's, as ``app.model``.
        facts: fields that name and address need. Empty: it has no name.
        name: writes its name of them.
        route: its page, which takes ``ids``: by name of the route's, the fact that it is.
        needed: who may see the page.
    """

    word: Promise
    model: str
    facts: tuple[str, ...] = ()
    name: Callable[[Mapping[str, Any]], str] | None = None
    route: str = ""
    ids: Mapping[str, str] | None = None
    needed: Scope | None = None


def _key_name(row: Mapping[str, Any]) -> str:
    return words.key_called(row["name"], row["last4"])


def _month(row: Mapping[str, Any]) -> str:
    return name_of(_month_of(row["period"]))


def _month_of(first: date) -> Month:
    return Month(first.year, first.month, zone="")


def _person(before: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda row: row[f"{before}person__name"] or row[f"{before}person__email"]


def _host(row: Mapping[str, Any]) -> str:
    # The rest of an address may be a secret.
    return str(row["description"] or urlsplit(row["url"]).hostname)


_WHOLE = {"organization_id": "organization_id"}

#: By the name of the model, as ``organizations.audit`` writes it.
KINDS: Mapping[str, Kind] = {
    "adminkey": Kind(
        gettext_lazy("the Admin API key"),
        "accounting.AdminKey",
        ("last4",),
        lambda row: f"…{row['last4']}",
    ),
    "aisuruconnection": Kind(
        gettext_lazy("the login to AIsuru"),
        "registry.AisuruConnection",
        route="console-aisuru",
        ids=_WHOLE,
        needed=Scope.KEYS_READ,
    ),
    "basepricing": Kind(
        gettext_lazy("a fine-tuned model"),
        "spend.BasePricing",
        ("mistral_model",),
        lambda row: row["mistral_model"],
    ),
    "billingprofile": Kind(
        gettext_lazy("the billing details"),
        "billing.BillingProfile",
        route="console-billing",
        ids=_WHOLE,
        needed=Scope.BILLING_READ,
    ),
    "correction": Kind(
        gettext_lazy("a correction of the spend"),
        "spend.Correction",
        ("reference",),
        lambda row: _("the correction %(reference)s") % row,
    ),
    "correctionrequest": Kind(
        gettext_lazy("a correction of the spend"), "assistance.CorrectionRequest"
    ),
    "datakey": Kind(
        gettext_lazy("a data key"),
        "organizations.DataKey",
        ("version",),
        lambda row: _("the data key of version %(version)s") % row,
    ),
    "delivery": Kind(
        gettext_lazy("an event of a webhook"),
        "notices.Delivery",
        ("kind", "endpoint_id"),
        lambda row: row["kind"],
        "console-hook",
        _WHOLE | {"webhook_id": "endpoint_id"},
        Scope.WEBHOOKS_READ,
    ),
    "invitation": Kind(
        gettext_lazy("an address"),
        "organizations.Invitation",
        ("email",),
        lambda row: row["email"],
        "console-members",
        _WHOLE,
        Scope.MEMBERS_READ,
    ),
    "joinrequest": Kind(
        gettext_lazy("a person"),
        "organizations.JoinRequest",
        ("email",),
        lambda row: row["email"],
        "console-members",
        _WHOLE,
        Scope.MEMBERS_READ,
    ),
    "limit": Kind(
        gettext_lazy("something that is gone"), "spend.Limit", ("subject_kind", "subject_id")
    ),
    "member": Kind(
        gettext_lazy("a former member"),
        "organizations.Member",
        ("person__name", "person__email"),
        _person(""),
        "console-member",
        _WHOLE | {"member_id": "pk"},
        Scope.MEMBERS_WRITE,
    ),
    "mistralkey": Kind(
        gettext_lazy("a key that is gone"),
        "keys.MistralKey",
        ("name", "last4"),
        _key_name,
        "console-key",
        {"key_id": "pk"},
        Scope.KEYS_READ,
    ),
    "organization": Kind(
        gettext_lazy("the organization"),
        "organizations.Organization",
        ("name",),
        lambda row: row["name"],
        "console-overview",
        _WHOLE,
    ),
    "organizationdomain": Kind(
        gettext_lazy("a domain that is gone"),
        "organizations.OrganizationDomain",
        ("domain",),
        lambda row: row["domain"],
    ),
    "organizationtoken": Kind(
        gettext_lazy("a token that is gone"),
        "access.OrganizationToken",
        ("name",),
        lambda row: row["name"],
        "console-tokens",
        _WHOLE,
        Scope.TOKENS_READ,
    ),
    "plan": Kind(
        gettext_lazy("plan and payment at Mistral"),
        "billing.Plan",
        route="console-billing",
        ids=_WHOLE,
        needed=Scope.BILLING_READ,
    ),
    "reconciliation": Kind(
        gettext_lazy("a month"), "accounting.Reconciliation", ("period",), _month
    ),
    "registeredmodel": Kind(
        gettext_lazy("a model that is gone"),
        "registry.RegisteredModel",
        ("name", "retired_at"),
        lambda row: row["name"],
        "console-model",
        {"model_id": "pk"},
        Scope.MODELS_READ,
    ),
    "statement": Kind(
        gettext_lazy("a month"),
        "accounting.Statement",
        ("period",),
        _month,
        "console-statement",
        _WHOLE | {"month": "period"},
        Scope.SPEND_READ,
    ),
    "supportgrant": Kind(
        gettext_lazy("a leave to look in"),
        "assistance.SupportGrant",
        route="console-support",
        ids=_WHOLE,
        needed=Scope.AUDIT_READ,
    ),
    "supportsession": Kind(
        gettext_lazy("a session of the support staff"),
        "assistance.SupportSession",
        route="console-support",
        ids=_WHOLE,
        needed=Scope.AUDIT_READ,
    ),
    "syncrun": Kind(gettext_lazy("a look at Mistral's Admin API"), "accounting.SyncRun"),
    "trafficpolicy": Kind(
        gettext_lazy("how calls are treated in a workspace"),
        "registry.TrafficPolicy",
        ("workspace__name",),
        lambda row: _("how calls are treated in the workspace %(workspace__name)s") % row,
    ),
    "webhookendpoint": Kind(
        gettext_lazy("a webhook that is gone"),
        "notices.WebhookEndpoint",
        ("url", "description"),
        _host,
        "console-hook",
        _WHOLE | {"webhook_id": "pk"},
        Scope.WEBHOOKS_READ,
    ),
    "workspace": Kind(
        gettext_lazy("a workspace that is gone"),
        "organizations.Workspace",
        ("name",),
        lambda row: row["name"],
        "console-workspace",
        {"workspace_id": "pk"},
        Scope.WORKSPACES_READ,
    ),
    "workspacemember": Kind(
        gettext_lazy("a person"),
        "organizations.WorkspaceMember",
        ("member__person__name", "member__person__email", "workspace_id"),
        _person("member__"),
        "console-workspace-members",
        {"workspace_id": "workspace_id"},
        Scope.MEMBERS_READ,
    ),
}
#: What a limit may be set on: its kind of row, its page and what that takes.
_LIMITED: Mapping[str, tuple[str, str, str]] = {
    "organization": ("organization", "console-limits", "organization_id"),
    "workspace": ("workspace", "console-workspace-limits", "workspace_id"),
    "model": ("registeredmodel", "console-model-limits", "model_id"),
    "key": ("mistralkey", "console-key-limits", "key_id"),
}


def of(events: Iterable[AuditEvent], held: Collection[str]) -> dict[UUID, Target]:
    """Name what entries were done to, inside the organization's scope.

    Args:
        events: of one organization.
        held: what the reader may do; nobody is led where they may not go.

    Returns:
        By the target's id; what is of no known kind is missing.
    """
    wanted: dict[str, set[UUID]] = {}
    owner = None
    for event in events:
        wanted.setdefault(event.target_kind, set()).add(event.target_id)
        owner = event.organization_id
    found: dict[UUID, Target] = {}
    for name, ids in wanted.items():
        if (kind := KINDS.get(name)) is None:
            continue
        facts = _facts(kind, ids)
        if name == "limit":
            found |= _limits(facts, owner, held)
            continue
        for target_id in ids:
            row = facts.get(target_id)
            found[target_id] = Target(_name(kind, row), _address(kind, row, owner, held))
    return found


def _facts(kind: Kind, ids: Collection[UUID]) -> dict[UUID, Mapping[str, Any]]:
    rows = apps.get_model(kind.model).objects.filter(pk__in=ids)
    return {row["pk"]: row for row in rows.values("pk", *kind.facts)}


def _name(kind: Kind, row: Mapping[str, Any] | None) -> str:
    return str(kind.word) if row is None or kind.name is None else kind.name(row)


def _address(
    kind: Kind, row: Mapping[str, Any] | None, owner: UUID | None, held: Collection[str]
) -> str:
    is_gone = row is None or row.get("retired_at") is not None
    if is_gone or not kind.route or (kind.needed and kind.needed not in held):
        return ""
    known: dict[str, Any] = {"organization_id": owner, **(row or {})}
    ids = {name: known[fact] for name, fact in (kind.ids or {}).items()}
    if "month" in ids:
        ids["month"] = _month_of(ids["month"])
    return reverse(kind.route, kwargs=ids)


def _limits(
    rows: Mapping[UUID, Mapping[str, Any]], owner: UUID | None, held: Collection[str]
) -> dict[UUID, Target]:
    """Name limits by what they limit."""
    names: dict[UUID, str] = {}
    for subject, (kind, _route, _member) in _LIMITED.items():
        ids = [row["subject_id"] for row in rows.values() if row["subject_kind"] == subject]
        if ids:
            limited = _facts(KINDS[kind], ids)
            names |= {pk: _name(KINDS[kind], row) for pk, row in limited.items()}
    found = {}
    for limit_id, row in rows.items():
        _kind, route, member = _LIMITED[row["subject_kind"]]
        name = names.get(row["subject_id"], str(KINDS["limit"].word))
        is_whole = row["subject_id"] == owner
        may = Scope.LIMITS_READ in held and (is_whole or row["subject_id"] in names)
        found[limit_id] = Target(
            name,
            reverse(route, kwargs={member: row["subject_id"]}) if may else "",
        )
    return found
