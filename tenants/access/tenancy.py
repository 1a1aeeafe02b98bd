"""In whose organization a request acts, found in one place; strangers find nothing.

An organization's token acts in its own organization whatever ids it names; a platform token acts
where the row that it names is. Ids that are unknown and ids that are somebody else's are refused by
the same words after the same queries.
"""

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import connection
from django.db.models import QuerySet

from tenants.access.authentication import Principal
from tenants.access.errors import not_found
from tenants.common import scope
from tenants.common.models import Row
from tenants.keys.models import MistralKey
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
        return principal.organization_id
    if model is Organization:
        with scope.tenant(row_id):
            standing = Organization.objects.exclude(status=OrganizationStatus.ERASED)
            organization_id = row_id if standing.exists() else None
    else:
        organization_id = scope.organization_of(model, row_id)
    if organization_id is None:
        raise not_found()
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


def default_workspaces(organization_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Find the default workspace of each organization, inside the platform's scope."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM access_default_workspaces(%s)", [list(organization_ids)])
        return dict(cursor.fetchall())
