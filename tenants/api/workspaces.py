"""Workspaces over HTTP: create, list, read, change, archive."""

from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import scope
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations import services
from tenants.organizations.models import Organization, Workspace


class WorkspaceIn(In):
    """A new workspace."""

    announced = frozenset({"add_all_members"})

    name = fields.Text(max_length=120)
    icon = fields.Text(max_length=16, required=False, allow_blank=True)
    description = fields.Text(max_length=500, required=False, allow_blank=True, multiline=True)


class MistralWorkspaceOut(Out):
    """A workspace at Mistral, as a key's owner sees it there."""

    id = serializers.CharField(allow_null=True)
    name = serializers.CharField()


class WorkspaceOut(Out):
    """A workspace."""

    id = serializers.UUIDField()
    organization_id = serializers.UUIDField()
    name = serializers.CharField()
    icon = serializers.CharField()
    description = serializers.CharField()
    is_default = serializers.BooleanField()
    archived_at = serializers.DateTimeField(allow_null=True)
    mistral_workspace = serializers.SerializerMethodField()
    created_at = serializers.DateTimeField()

    @extend_schema_field(MistralWorkspaceOut(allow_null=True))
    def get_mistral_workspace(self, workspace: Any) -> dict[str, str | None] | None:
        """Name the workspace at Mistral that the newest valid key belongs to."""
        name = workspace.mistral_workspace_name
        return {"id": None, "name": name} if name else None


class Workspaces(ApiView):
    """``/organizations/{organization_id}/workspaces``."""

    @endpoint(
        "list_workspaces",
        TokenScope.WORKSPACES_READ,
        summary="List the workspaces of an organization",
        query=PageQuery,
        gives={200: page_of(WorkspaceOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Archived ones are listed too."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(page(_workspaces(), **call.page))

    @endpoint(
        "create_workspace",
        TokenScope.WORKSPACES_WRITE,
        summary="Create a workspace",
        takes=WorkspaceIn,
        gives={201: WorkspaceOut},
        refuses=(409,),
        example={"name": "Assistenza clienti", "icon": "💬"},
    )
    def post(self, call: Call, organization_id: UUID) -> Reply:
        """Two active workspaces cannot share a name, in whatever case."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        workspace = services.create_workspace(
            actor=call.actor, organization=organization, **call.data
        )
        address = reverse("workspace", kwargs={"workspace_id": workspace.pk})
        return Reply(_shown(workspace), 201, address)


class OneWorkspace(ApiView):
    """``/workspaces/{workspace_id}``."""

    @endpoint(
        "get_workspace",
        TokenScope.WORKSPACES_READ,
        summary="Read a workspace",
        gives={200: WorkspaceOut},
    )
    def get(self, call: Call, workspace_id: UUID) -> Reply:
        """Read one."""
        return Reply(_shown(tenancy.find(call.principal, Workspace, workspace_id)))

    @endpoint(
        "update_workspace",
        TokenScope.WORKSPACES_WRITE,
        summary="Change a workspace",
        takes=WorkspaceIn,
        gives={200: WorkspaceOut},
        refuses=(409,),
        example={"description": "Chat sul sito"},
    )
    def patch(self, call: Call, workspace_id: UUID) -> Reply:
        """Only the members sent are changed."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        services.update_workspace(actor=call.actor, workspace=workspace, changes=call.data)
        return Reply(_shown(workspace))


class ArchiveWorkspace(ApiView):
    """``/workspaces/{workspace_id}/archive``."""

    @endpoint(
        "archive_workspace",
        TokenScope.WORKSPACES_WRITE,
        summary="Archive a workspace",
        gives={200: WorkspaceOut},
        refuses=(409,),
    )
    def post(self, call: Call, workspace_id: UUID) -> Reply:
        """Its keys and models stop at once, its history stays; archiving twice changes nothing."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        services.archive_workspace(actor=call.actor, workspace=workspace)
        return Reply(_shown(workspace))


def _workspaces() -> QuerySet[Workspace]:
    """Read workspaces with the name that their newest valid key's workspace has at Mistral."""
    named = (
        MistralKey.objects.filter(workspace=OuterRef("pk"), status=KeyStatus.VALID)
        .annotate(mistral_name=KT("identity__workspace"))
        .filter(mistral_name__isnull=False)
        .order_by("-pk")
    )
    return Workspace.objects.annotate(
        mistral_workspace_name=Subquery(named.values("mistral_name")[:1])
    )


def _shown(workspace: Workspace) -> Workspace:
    with scope.tenant(workspace.organization_id):
        return _workspaces().get(pk=workspace.pk)
