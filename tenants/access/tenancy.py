"""In whose organization a request acts, found in one place; strangers find nothing.

An organization's token acts in its own organization whatever ids it names; a platform token acts
where the row that it names is. A person's request is *bound* to the organization that it names, if
the person is a member there, with the capabilities of the member's roles; members who see only
their own workspaces are confined to them by the database. Ids that are unknown and ids that are
somebody else's are refused by the same words after the same queries.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from tenants.access.authentication import Principal, Visitor
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.common.models import Row
from tenants.common.problems import Forbidden
from tenants.keys.models import MistralKey
from tenants.organizations import roles
from tenants.organizations.members import Membership
from tenants.organizations.models import Organization, OrganizationStatus, Workspace
from tenants.registry.models import RegisteredModel

#: The names by which addresses and bodies point at rows; the nearest one decides.
_POINTERS: Mapping[str, type[Row]] = {
    "model_id": RegisteredModel,
    "key_id": MistralKey,
    "workspace_id": Workspace,
    "organization_id": Organization,
}


def find[M: Row](principal: Principal, model: type[M], row_id: UUID) -> M:
    """Fetch one row that the principal may act on; it leaves no scope open.

    Raises:
        NotFound: there is none, or it is another organization's.
    """
    organization_id = locate(principal, model, row_id)
    with scope.tenant(organization_id):
        row: M | None = QuerySet[M](model).filter(pk=row_id).first()
    if row is None:
        raise not_found()
    return row


def locate(principal: Principal, model: type[Row], row_id: UUID) -> UUID:
    """Tell in which organization a principal who names this row acts.

    Raises:
        NotFound: a platform principal named a row that is nowhere.
    """
    if principal.organization_id is not None:
        return note(principal.organization_id)
    if not principal.is_platform:
        raise not_found()
    if model is Organization:
        with scope.tenant(row_id):
            standing = Organization.objects.exclude(status=OrganizationStatus.ERASED)
            organization_id = row_id if standing.exists() else None
    else:
        organization_id = scope.organization_of(model, row_id)
    if organization_id is None:
        raise not_found()
    return note(organization_id)


def note(organization_id: UUID) -> UUID:
    """Name the organization in every line that is logged of this request from now on."""
    structlog.contextvars.bind_contextvars(organization_id=str(organization_id))
    return organization_id


def locate_named(principal: Principal, named: Mapping[str, object]) -> UUID | None:
    """Tell in which organization a request acts by the ids it names; None for no organization.

    Args:
        principal: who asks.
        named: ids by the names that addresses and bodies give them.

    Raises:
        NotFound: as ``locate``.
    """
    for name, model in _POINTERS.items():
        row_id = named.get(name)
        if isinstance(row_id, UUID):
            return locate(principal, model, row_id)
    return principal.organization_id


def bound(principal: Principal, named: Mapping[str, object]) -> Principal:
    """Bind a person's request to an organization, with what the member may do in what it names.

    Until the surrounding ``scope.confinement`` ends, members who see only their own workspaces see
    nothing else, in whatever is asked of the database.

    Args:
        principal: a person.
        named: ids by the names that address, query or body give them.

    Raises:
        NotFound: nothing named is the person's.
        Forbidden: ``no_organization``: the person is in none.
    """
    visitor = principal.visitor
    if visitor is None:
        raise not_found()
    rows = {name: row_id for name, row_id in named.items() if isinstance(row_id, UUID)}
    membership = _membership(visitor, rows)
    if not roles.sees_every_workspace(membership.role):
        scope.confine(membership.workspaces)
    everything = frozenset(TokenScope.values)
    capabilities = roles.capabilities_of(membership.role, everything) | _in_workspaces(
        membership, rows
    )
    return replace(
        principal, organization_id=membership.organization_id, scopes=capabilities & everything
    )


def _membership(visitor: Visitor, named: Mapping[str, UUID]) -> Membership:
    """Choose the membership by the nearest row that is named, or by the session."""
    own = {one.organization_id: one for one in visitor.memberships}
    for name, model in _POINTERS.items():
        if row_id := named.get(name):
            whose = row_id if model is Organization else scope.organization_of(model, row_id)
            found = own.get(whose) if whose else None
            if found is None:
                raise not_found()
            return found
    if visitor.current is None:
        detail = _("You are in no organization yet. Make one, or ask to be invited.")
        raise Forbidden("no_organization", detail)
    return visitor.current


def _in_workspaces(membership: Membership, named: Mapping[str, UUID]) -> frozenset[str]:
    """Add what the member may do in every workspace that the request names or points into.

    Raises:
        NotFound: something named is in no workspace that the member sees.
    """
    if not named.keys() - {"organization_id"}:
        return frozenset()
    workspaces: set[UUID] = set()
    with scope.tenant(membership.organization_id):
        for name, model in _POINTERS.items():
            row_id = named.get(name)
            if row_id is None or model is Organization:
                continue
            column = "pk" if model is Workspace else "workspace_id"
            workspace_id = QuerySet[Any](model).filter(pk=row_id).values_list(column).first()
            if workspace_id is None:
                raise not_found()
            workspaces.add(workspace_id[0])
    return _shared(membership, workspaces)


def _shared(membership: Membership, workspaces: Collection[UUID]) -> frozenset[str]:
    sets = [
        roles.capabilities_in_workspace(role)
        for role in map(membership.workspaces.get, workspaces)
        if role is not None
    ]
    whole = bool(sets) and len(sets) == len(workspaces)
    return frozenset.intersection(*sets) if whole else frozenset()


def read_id(data: object) -> UUID | None:
    """Read an id in its usual spelling, with hyphens and nothing else; None if it is none."""
    try:
        found = UUID(data) if isinstance(data, str) else None
    except ValueError:
        return None
    return found if found is not None and str(found) == str(data).lower() else None


def read_ids(data: Any) -> dict[str, UUID]:
    """Read the ids that a query or a body names, before it is checked, to know whose it is."""
    if not isinstance(data, Mapping):
        return {}
    found = {name: read_id(data.get(name)) for name in _POINTERS}
    return {name: row_id for name, row_id in found.items() if row_id is not None}


def default_workspaces(organization_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Find the default workspace of each organization, inside the platform's scope."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM access_default_workspaces(%s)", [list(organization_ids)])
        return dict(cursor.fetchall())
