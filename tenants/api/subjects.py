"""Whose figures or models a list is about, said in its query: an organization or a part of it."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from tenants.access import tenancy
from tenants.access.errors import not_found
from tenants.api import fields
from tenants.api.endpoint import Call, In
from tenants.common.problems import Invalid
from tenants.organizations.models import Organization, Workspace
from tenants.registry.models import RegisteredModel


class WorkspaceQuery(In):
    """Whose; an organization's token needs neither for all of its own."""

    organization_id = fields.Id(required=False)
    workspace_id = fields.Id(required=False)


class SubjectQuery(WorkspaceQuery):
    """Whose; an organization's token needs none of these for all of its own."""

    model_id = fields.Id(required=False)


@dataclass(frozen=True, slots=True)
class Subject:
    """An organization, and the part of it that is meant."""

    organization: Organization
    workspace: Workspace | None
    model: RegisteredModel | None

    @property
    def parts(self) -> dict[str, Any]:
        """As the rooms take it."""
        return {
            "organization": self.organization,
            "workspace": self.workspace,
            "model": self.model,
        }


def find(call: Call) -> Subject:
    """Find what the query names; the parts must belong together.

    Raises:
        NotFound: something named is not there, not the caller's, or not part of the other.
        Invalid: ``subject_required``: a platform token has to name an organization or a part.
    """
    workspace = _named(call, Workspace, "workspace_id")
    model = _named(call, RegisteredModel, "model_id")
    part = model or workspace
    organization_id = (
        call.data.get("organization_id")
        or (part.organization_id if part else None)
        or call.principal.organization_id
    )
    if organization_id is None:
        detail = _("Say whose: name the organization, or a part of it.")
        raise Invalid.field("/organization_id", "subject_required", detail)
    organization = tenancy.find(call.principal, Organization, organization_id)
    for row in (workspace, model):
        if row is not None and row.organization_id != organization.pk:
            raise not_found()
    if model is not None and workspace is not None and model.workspace_id != workspace.pk:
        raise not_found()
    return Subject(organization, workspace, model)


def _named[M: (Workspace, RegisteredModel)](call: Call, model: type[M], name: str) -> M | None:
    row_id: UUID | None = call.data.get(name)
    return tenancy.find(call.principal, model, row_id) if row_id else None
