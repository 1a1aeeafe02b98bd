"""What stands around a page of an organization: where one is, and the ways to other pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from tenants.access.authentication import Principal
from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.common.prepared import Prepared
from tenants.console.addresses import address_of
from tenants.keys.models import MistralKey
from tenants.organizations import roles
from tenants.organizations.members import Membership
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel

#: The workspace that a session looked at last.
_LAST = "aim_workspace"


@dataclass(frozen=True, slots=True)
class Way:
    """A link of the navigation."""

    name: str
    label: Promise
    address: str
    is_here: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a page is.

    Attributes:
        organization: which.
        workspace: the one that the address names or points into; None on pages of the whole.
        chosen: the workspace that the navigation leads into; None if the member sees none.
        workspaces: the active ones that the member sees, by name.
        membership: the member's roles.
        inside: what the member may do in the chosen workspace.
        others: how many other organizations the person is a member of.
        ways: to pages of the organization. ``workspace_ways``: of the chosen workspace.
    """

    organization: Organization
    workspace: Workspace | None
    chosen: Workspace | None
    workspaces: tuple[Workspace, ...]
    membership: Membership
    inside: frozenset[str]
    others: int
    ways: tuple[Way, ...]
    workspace_ways: tuple[Way, ...]

    def leads_to(self, name: str) -> bool:
        """Tell whether the member may see a page of the organization."""
        return any(way.name == name for way in self.ways)


#: Every page asks for them.
_ORGANIZATION = Prepared(Organization.objects.values_list)
_WORKSPACES = Prepared(
    lambda: Workspace.objects.filter(archived_at=None).order_by("name", "pk").values_list()
)
#: Pages of the organization: route, words, and what is needed to see it.
_WAYS: tuple[tuple[str, Promise, tuple[TokenScope, ...]], ...] = (
    ("console-overview", _("Overview"), ()),
    ("console-start", _("Get started"), (TokenScope.BILLING_READ,)),
    ("console-spend", _("Spend"), (TokenScope.SPEND_READ,)),
    ("console-statements", _("Statements"), (TokenScope.SPEND_READ,)),
    ("console-limits", _("Limits"), (TokenScope.LIMITS_READ,)),
    ("console-members", _("Members"), (TokenScope.MEMBERS_READ,)),
    ("console-workspaces", _("Workspaces"), (TokenScope.WORKSPACES_READ,)),
    ("console-billing", _("Billing details"), (TokenScope.BILLING_READ,)),
    ("console-aisuru", _("AIsuru"), (TokenScope.KEYS_READ,)),
    ("console-tokens", _("Tokens"), (TokenScope.TOKENS_READ,)),
    ("console-hooks", _("Webhooks"), (TokenScope.WEBHOOKS_READ,)),
    ("console-trail", _("Audit log"), (TokenScope.AUDIT_READ,)),
    ("console-support", _("Support access"), (TokenScope.AUDIT_READ,)),
    ("console-letters", _("Letters"), (TokenScope.ORGANIZATIONS_READ,)),
    ("console-settings", _("Settings"), (TokenScope.ORGANIZATIONS_WRITE,)),
)
_WORKSPACE_WAYS: tuple[tuple[str, Promise, tuple[TokenScope, ...]], ...] = (
    ("console-workspace", _("Overview"), ()),
    ("console-keys", _("API keys"), (TokenScope.KEYS_READ,)),
    ("console-models", _("Models"), (TokenScope.MODELS_READ,)),
    ("console-workspace-spend", _("Spend"), (TokenScope.SPEND_READ,)),
    ("console-workspace-limits", _("Limits"), (TokenScope.LIMITS_READ,)),
    ("console-workspace-members", _("Members"), (TokenScope.MEMBERS_READ,)),
)
#: Which entry of the navigation a page belongs to that is no entry itself.
_BELONGS: Mapping[str, str] = {
    "console-key": "console-keys",
    "console-model": "console-models",
    "console-aisuru-login": "console-aisuru",
    "console-remove-aisuru-login": "console-aisuru",
    **dict.fromkeys(
        (
            *("console-hook", "console-new-hook", "console-edit-hook", "console-switch-hook"),
            *("console-hook-secret", "console-delete-hook", "console-delivery"),
        ),
        "console-hooks",
    ),
    "console-statement": "console-statements",
    "console-export": "console-settings",
    "console-erase": "console-settings",
    "console-model-quote": "console-models",
    "console-calls": "console-spend",
    "console-workspace-calls": "console-workspace-spend",
    "console-key-limits": "console-keys",
    "console-model-limits": "console-models",
}


def build(request: HttpRequest, principal: Principal, ids: Mapping[str, Any]) -> Frame:
    """Gather the frame of a page, in one transaction of the organization."""
    visitor, organization_id = principal.visitor, principal.organization_id
    if visitor is None or organization_id is None:
        raise ValueError("no person in an organization")
    membership = next(one for one in visitor.memberships if one.organization_id == organization_id)
    with scope.tenant(organization_id):
        [organization] = _ORGANIZATION.find(Organization)
        workspaces = tuple(_WORKSPACES.find(Workspace))
        here_id = _workspace_id(ids)
        here = next((one for one in workspaces if one.pk == here_id), None)
        if here is None and here_id is not None:
            here = Workspace.objects.filter(pk=here_id).first()
    chosen = here or _last(request, workspaces)
    if here is not None and request.session.get(_LAST) != str(here.pk):
        request.session[_LAST] = str(here.pk)
    name = request.resolver_match.url_name if request.resolver_match else ""
    inside = principal.scopes
    if chosen is not None and here is None:
        role = membership.workspaces.get(chosen.pk)
        inside |= roles.capabilities_in_workspace(role) if role else frozenset()
    everywhere = roles.capabilities_of(membership.role, frozenset(TokenScope.values))
    place = _BELONGS.get(name or "", name or "")
    return Frame(
        organization=organization,
        workspace=here,
        chosen=chosen,
        workspaces=workspaces,
        membership=membership,
        inside=frozenset(inside),
        others=len(visitor.memberships) - 1,
        ways=_ways(_WAYS, everywhere, place, "organization_id", organization_id),
        workspace_ways=_ways(_WORKSPACE_WAYS, inside, place, "workspace_id", chosen.pk)
        if chosen
        else (),
    )


def workspace_of(request: HttpRequest, membership: Membership) -> Workspace | None:
    """Choose the workspace that a member works in, the last one looked at; None for none."""
    seen = None if roles.sees_every_workspace(membership.role) else set(membership.workspaces)
    with scope.tenant(membership.organization_id):
        rows = Workspace.objects.filter(archived_at=None).order_by("name", "pk")
        return _last(request, tuple(row for row in rows if seen is None or row.pk in seen))


def _workspace_id(ids: Mapping[str, Any]) -> UUID | None:
    """Tell which workspace an address names, or points into, inside the organization's scope."""
    if workspace_id := ids.get("workspace_id"):
        named: UUID = workspace_id
        return named
    found: UUID | None = None
    if key_id := ids.get("key_id"):
        found = MistralKey.objects.values_list("workspace_id", flat=True).filter(pk=key_id).first()
    elif model_id := ids.get("model_id"):
        rows = RegisteredModel.objects.values_list("workspace_id", flat=True)
        found = rows.filter(pk=model_id).first()
    return found


def _last(request: HttpRequest, workspaces: tuple[Workspace, ...]) -> Workspace | None:
    """Choose the workspace that was looked at last, else the default, else the first."""
    last = request.session.get(_LAST)
    ranked = sorted(workspaces, key=lambda one: (str(one.pk) != last, not one.is_default))
    return next(iter(ranked), None)


def _ways(
    table: tuple[tuple[str, Promise, tuple[TokenScope, ...]], ...],
    held: frozenset[str],
    place: str,
    member: str,
    row_id: UUID,
) -> tuple[Way, ...]:
    return tuple(
        Way(name, label, address_of(name, member, row_id), name == place)
        for name, label, needed in table
        if set(needed) <= held
    )
