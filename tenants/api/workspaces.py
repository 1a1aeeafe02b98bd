"""Workspaces over HTTP: create, list, read, change, archive."""

from typing import Any
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.fields.json import KT
from django.db.models.functions import JSONObject
from django.urls import reverse
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import scope
from tenants.keys import declaring
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations import services
from tenants.organizations.models import Organization, Workspace
from tenants.registry import announcing


class MistralWorkspaceIn(In):
    """The workspace at Mistral that keys must belong to; the id decides, else the name."""

    id = fields.Text(max_length=64, required=False, allow_null=True)
    name = fields.Text(max_length=200, required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Ask for at least one of the two."""
        if not attrs.get("id") and not attrs.get("name"):
            missing = serializers.ErrorDetail(_("Give the id, the name, or both."), "required")
            raise serializers.ValidationError({"id": [missing]})
        return attrs


class WorkspaceChange(In):
    """What may change."""

    name = fields.Text(max_length=120)
    icon = fields.Text(max_length=16, required=False, allow_blank=True)
    description = fields.Text(max_length=500, required=False, allow_blank=True, multiline=True)
    mistral_workspace = MistralWorkspaceIn(required=False, allow_null=True)


class WorkspaceIn(WorkspaceChange):
    """A new workspace."""

    add_all_members = fields.Flag(
        required=False, help_text="Put all present members of the organization into it."
    )


class MistralWorkspaceOut(Out):
    """A workspace at Mistral, as a key's owner sees it there."""

    id = serializers.CharField(allow_null=True)
    name = serializers.CharField(allow_null=True)
    source = serializers.CharField(  # type: ignore[assignment]  # a member, not the property
        help_text="`declared`: keys must belong to it. `learned`: the first valid key does."
    )


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
        """Name the workspace at Mistral that keys must belong to, else the first valid key's."""
        if workspace.mistral_workspace_id or workspace.mistral_workspace_name:
            return {
                "id": workspace.mistral_workspace_id or None,
                "name": workspace.mistral_workspace_name or None,
                "source": "declared",
            }
        learned = workspace.learned
        return learned and {
            "id": learned["id"] or None,
            "name": learned["name"],
            "source": "learned",
        }


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
            actor=call.actor, organization=organization, **_columns(call.data)
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
        takes=WorkspaceChange,
        gives={200: WorkspaceOut},
        refuses=(409,),
        example={"description": "Chat sul sito"},
    )
    def patch(self, call: Call, workspace_id: UUID) -> Reply:
        """Only the members sent are changed.

        Another `mistral_workspace` has the workspace's keys checked by it; one that would stop keys
        which work is refused.
        """
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        services.update_workspace(
            actor=call.actor,
            workspace=workspace,
            changes=_columns(call.data),
            declare=declaring.apply,
        )
        return Reply(_shown(workspace))


class ArchiveWorkspace(ApiView):
    """``/workspaces/{workspace_id}/archive``."""

    @endpoint(
        "archive_workspace",
        TokenScope.WORKSPACES_WRITE,
        summary="Archive a workspace",
        gives={200: WorkspaceOut},
        refuses=(409,),
        is_action=True,
    )
    def post(self, call: Call, workspace_id: UUID) -> Reply:
        """Its keys and models stop at once, its history stays; archiving twice changes nothing."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        services.archive_workspace(
            actor=call.actor, workspace=workspace, tell=announcing.workspace_archived
        )
        return Reply(_shown(workspace))


def _workspaces() -> QuerySet[Workspace]:
    """Read workspaces with the Mistral workspace that their first valid key belongs to."""
    first = (
        MistralKey.objects.filter(workspace=OuterRef("pk"), status=KeyStatus.VALID)
        .annotate(mistral_name=KT("identity__workspace"))
        .filter(mistral_name__isnull=False)
        .order_by("pk")
    )
    learned = first.values_list(JSONObject(id="mistral_workspace_id", name="mistral_name"))
    return Workspace.objects.annotate(learned=Subquery(learned[:1]))


def _columns(data: dict[str, Any]) -> dict[str, Any]:
    """Spread what is declared of the Mistral workspace over the columns it is kept in."""
    columns = {name: value for name, value in data.items() if name != "mistral_workspace"}
    if "mistral_workspace" in data:
        declared = data["mistral_workspace"] or {}
        columns["mistral_workspace_id"] = declared.get("id") or ""
        columns["mistral_workspace_name"] = declared.get("name") or ""
    return columns


def _shown(workspace: Workspace) -> Workspace:
    with scope.tenant(workspace.organization_id):
        return _workspaces().get(pk=workspace.pk)
