"""Members over HTTP: of an organization, and of its workspaces."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.api.people_fields import required
from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.organizations import members
from tenants.organizations.models import Member, Organization, Workspace, WorkspaceMember
from tenants.organizations.roles import Role, WorkspaceRole


class MemberOut(Out):
    """A person in an organization."""

    id = serializers.UUIDField()
    person_id = serializers.UUIDField()
    name = serializers.CharField(source="person.name")
    email = serializers.CharField(source="person.email")
    role = serializers.ChoiceField(choices=Role.choices)
    created_at = serializers.DateTimeField()


class MemberChange(In):
    """What may change."""

    role = fields.OneOf(choices=Role.choices)


class WorkspaceMemberIn(In):
    """A member of the organization, and the role in the workspace."""

    member_id = fields.Id()
    role = fields.OneOf(choices=WorkspaceRole.choices, default=WorkspaceRole.MEMBER.value)


class WorkspaceMemberChange(In):
    """What a member becomes in the workspace."""

    member_id = fields.Id(required=False, help_text="Whose role, where the address names nobody.")
    role = fields.OneOf(choices=WorkspaceRole.choices)


class WhichMember(In):
    """Whom."""

    member_id = fields.Id(required=False)


class WorkspaceMemberOut(Out):
    """A member of the organization in one of its workspaces."""

    member_id = serializers.UUIDField()
    workspace_id = serializers.UUIDField()
    name = serializers.CharField(source="member.person.name")
    email = serializers.CharField(source="member.person.email")
    role = serializers.ChoiceField(choices=WorkspaceRole.choices)
    organization_role = serializers.ChoiceField(choices=Role.choices, source="member.role")
    created_at = serializers.DateTimeField()


class Members(ApiView):
    """``/organizations/{organization_id}/members``."""

    @endpoint(
        "list_members",
        TokenScope.MEMBERS_READ,
        summary="List the members of an organization",
        query=PageQuery,
        gives={200: page_of(MemberOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Those who accepted; who was invited and has not yet is in the invitations, `pending`."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(page(_members(), **call.page))


class OneMember(ApiView):
    """``/organizations/{organization_id}/members/{member_id}``."""

    @endpoint(
        "get_member",
        TokenScope.MEMBERS_READ,
        summary="Read a member",
        gives={200: MemberOut},
    )
    def get(self, call: Call, organization_id: UUID, member_id: UUID) -> Reply:
        """Read one."""
        return Reply(_member(call, organization_id, member_id))

    @endpoint(
        "update_member",
        TokenScope.MEMBERS_WRITE,
        summary="Change a member's role",
        takes=MemberChange,
        gives={200: MemberOut},
        refuses=(409,),
        example={"role": "billing"},
        is_dangerous=True,
    )
    def patch(self, call: Call, organization_id: UUID, member_id: UUID) -> Reply:
        """It holds from the member's next request on; the last administrator stays one."""
        member = _member(call, organization_id, member_id)
        role = Role(required(call.data, "role"))
        members.change_role(actor=call.actor, member=member, role=role)
        return Reply(_member(call, organization_id, member_id))

    @endpoint(
        "remove_member",
        TokenScope.MEMBERS_WRITE,
        summary="Remove a member",
        gives={204: None},
        refuses=(409,),
        is_dangerous=True,
    )
    def delete(self, call: Call, organization_id: UUID, member_id: UUID) -> Reply:
        """From the organization and all its workspaces; the last administrator stays."""
        member = _member(call, organization_id, member_id)
        members.remove_member(actor=call.actor, member=member)
        return Reply(None, 204)


class WorkspaceMembers(ApiView):
    """``/workspaces/{workspace_id}/members``."""

    @endpoint(
        "list_workspace_members",
        TokenScope.MEMBERS_READ,
        summary="List the members of a workspace",
        query=PageQuery,
        gives={200: page_of(WorkspaceMemberOut)},
    )
    def get(self, call: Call, workspace_id: UUID) -> Reply:
        """Administrators of the organization see the workspace without being listed."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        with scope.tenant(workspace.organization_id):
            return Reply(page(_placed(workspace), **call.page))

    @endpoint(
        "add_workspace_member",
        TokenScope.MEMBERS_WRITE,
        summary="Add a member to a workspace",
        takes=WorkspaceMemberIn,
        gives={201: WorkspaceMemberOut},
        refuses=(409,),
        example={"member_id": "01999999-0000-7000-8000-000000000003", "role": "member"},
    )
    def post(self, call: Call, workspace_id: UUID) -> Reply:
        """Of the same organization; invite people who are not in it yet."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        member = _find_member(workspace.organization_id, call.data["member_id"])
        role = WorkspaceRole(call.data["role"])
        members.add_to_workspace(actor=call.actor, workspace=workspace, member=member, role=role)
        ids = {"workspace_id": workspace.pk, "member_id": member.pk}
        address = reverse("workspace_member", kwargs=ids)
        return Reply(_one_placed(workspace, member.pk), 201, address)

    @endpoint(
        "update_member_of_workspace",
        TokenScope.MEMBERS_WRITE,
        summary="Change the role that a body's member has in a workspace",
        takes=WorkspaceMemberChange,
        gives={200: WorkspaceMemberOut},
        example={"member_id": "01999999-0000-7000-8000-000000000003", "role": "admin"},
    )
    def patch(self, call: Call, workspace_id: UUID) -> Reply:
        """The same as a PATCH of the member's own address."""
        return _change(call, workspace_id, required(call.data, "member_id"))

    @endpoint(
        "remove_member_of_workspace",
        TokenScope.MEMBERS_WRITE,
        summary="Take the member that query or body names out of a workspace",
        query=WhichMember,
        gives={204: None},
    )
    def delete(self, call: Call, workspace_id: UUID) -> Reply:
        """The same as a DELETE of the member's own address."""
        return _take_out(call, workspace_id, required(call.data, "member_id"))


class OneWorkspaceMember(ApiView):
    """``/workspaces/{workspace_id}/members/{member_id}``."""

    @endpoint(
        "get_workspace_member",
        TokenScope.MEMBERS_READ,
        summary="Read a member of a workspace",
        gives={200: WorkspaceMemberOut},
    )
    def get(self, call: Call, workspace_id: UUID, member_id: UUID) -> Reply:
        """Read one."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        return Reply(_one_placed(workspace, member_id))

    @endpoint(
        "update_workspace_member",
        TokenScope.MEMBERS_WRITE,
        summary="Change a member's role in a workspace",
        takes=WorkspaceMemberChange,
        gives={200: WorkspaceMemberOut},
        example={"role": "admin"},
    )
    def patch(self, call: Call, workspace_id: UUID, member_id: UUID) -> Reply:
        """The role in the organization stays as it is."""
        if call.data.get("member_id", member_id) != member_id:
            detail = _("The address names another member.")
            raise Invalid.field("/member_id", "ambiguous", detail)
        return _change(call, workspace_id, member_id)

    @endpoint(
        "remove_workspace_member",
        TokenScope.MEMBERS_WRITE,
        summary="Take a member out of a workspace",
        gives={204: None},
    )
    def delete(self, call: Call, workspace_id: UUID, member_id: UUID) -> Reply:
        """The member stays in the organization."""
        return _take_out(call, workspace_id, member_id)


class Candidates(ApiView):
    """``/workspaces/{workspace_id}/candidates``."""

    @endpoint(
        "list_candidates",
        TokenScope.MEMBERS_WRITE,
        summary="List who can be added to a workspace",
        query=PageQuery,
        gives={200: page_of(MemberOut)},
    )
    def get(self, call: Call, workspace_id: UUID) -> Reply:
        """Members of the organization who are not in the workspace."""
        workspace = tenancy.find(call.principal, Workspace, workspace_id)
        with scope.tenant(workspace.organization_id):
            inside = WorkspaceMember.objects.filter(workspace=workspace).values("member_id")
            return Reply(page(_members().exclude(pk__in=inside), **call.page))


def _change(call: Call, workspace_id: UUID, member_id: UUID) -> Reply:
    workspace = tenancy.find(call.principal, Workspace, workspace_id)
    role = WorkspaceRole(required(call.data, "role"))
    members.change_workspace_role(
        actor=call.actor, placed=_one_placed(workspace, member_id), role=role
    )
    return Reply(_one_placed(workspace, member_id))


def _take_out(call: Call, workspace_id: UUID, member_id: UUID) -> Reply:
    workspace = tenancy.find(call.principal, Workspace, workspace_id)
    members.remove_from_workspace(actor=call.actor, placed=_one_placed(workspace, member_id))
    return Reply(None, 204)


def _members() -> QuerySet[Member]:
    return Member.objects.select_related("person")


def _member(call: Call, organization_id: UUID, member_id: UUID) -> Member:
    organization = tenancy.find(call.principal, Organization, organization_id)
    return _find_member(organization.pk, member_id)


def _find_member(organization_id: UUID, member_id: UUID) -> Member:
    with scope.tenant(organization_id):
        member = _members().filter(pk=member_id).first()
    if member is None:
        raise not_found()
    return member


def _placed(workspace: Workspace) -> QuerySet[WorkspaceMember]:
    rows = WorkspaceMember.objects.select_related("member__person")
    return rows.filter(workspace=workspace)


def _one_placed(workspace: Workspace, member_id: UUID) -> Any:
    with scope.tenant(workspace.organization_id):
        placed = _placed(workspace).filter(member_id=member_id).first()
    if placed is None:
        raise not_found()
    return placed
