"""Verbs on members: change a role, remove, and the same in a workspace.

An organization keeps at least one administrator, whoever acts and however many act at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from django.db import connection
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.problems import Conflict
from tenants.organizations import audit, outbox, workspaces
from tenants.organizations.audit import Actor
from tenants.organizations.models import Member, Workspace, WorkspaceMember
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.people.models import Person


@dataclass(frozen=True, slots=True)
class Membership:
    """A person in one organization, as it is known before any scope is open.

    Attributes:
        organization_id: where.
        member_id: the member's row.
        role: in the organization.
        workspaces: the role in each workspace that the person is a member of.
    """

    organization_id: UUID
    member_id: UUID
    role: Role
    workspaces: Mapping[UUID, WorkspaceRole] = field(default_factory=dict)


def memberships_of(person: Person) -> tuple[Membership, ...]:
    """Find the organizations that a person is a member of, oldest first; erased ones are none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM organizations_memberships(%s)", [person.pk])
        rows = cursor.fetchall()
    return tuple(
        Membership(
            organization_id=organization_id,
            member_id=member_id,
            role=Role(role),
            workspaces=dict(zip(workspace_ids, map(WorkspaceRole, workspace_roles), strict=True)),
        )
        for organization_id, member_id, role, workspace_ids, workspace_roles in rows
    )


def change_role(*, actor: Actor, member: Member, role: Role) -> Member:
    """Give a member another role; the same role changes nothing.

    Raises:
        Conflict: ``last_admin``: nobody would be left to administer the organization.
    """
    with scope.tenant(member.organization_id):
        if role != Role.ADMIN:
            _keep_an_admin(member)
        changed = Member.objects.filter(pk=member.pk).exclude(role=role).update(role=role)
        if changed:
            _record(actor, member, "member.role_changed", ["role"])
        member.refresh_from_db()
    return member


def remove_member(*, actor: Actor, member: Member) -> None:
    """Remove a member from the organization and its workspaces; what was done stays in history.

    Raises:
        Conflict: ``last_admin``.
    """
    with scope.tenant(member.organization_id):
        _keep_an_admin(member)
        WorkspaceMember.objects.filter(member=member).delete()
        gone, _by_model = Member.objects.filter(pk=member.pk).delete()
        if gone:
            _record(actor, member, "member.removed")


def add_to_workspace(
    *, actor: Actor, workspace: Workspace, member: Member, role: WorkspaceRole
) -> WorkspaceMember:
    """Add a member of the organization to a workspace.

    Raises:
        Conflict: ``workspace_archived``, or ``already_member``.
    """
    with scope.tenant(workspace.organization_id):
        workspaces.active(workspace.pk)
        made = WorkspaceMember(
            organization_id=workspace.organization_id, workspace=workspace, member=member, role=role
        )
        WorkspaceMember.objects.bulk_create([made], ignore_conflicts=True)
        if not WorkspaceMember.objects.filter(pk=made.pk).exists():
            raise Conflict("already_member", _("This member is in the workspace already."))
        _record_in_workspace(actor, made, "workspace_member.added")
    return made


def change_workspace_role(
    *, actor: Actor, placed: WorkspaceMember, role: WorkspaceRole
) -> WorkspaceMember:
    """Give a member another role in a workspace."""
    with scope.tenant(placed.organization_id):
        changed = WorkspaceMember.objects.filter(pk=placed.pk).exclude(role=role).update(role=role)
        if changed:
            _record_in_workspace(actor, placed, "workspace_member.role_changed", ["role"])
    placed.role = role
    return placed


def remove_from_workspace(*, actor: Actor, placed: WorkspaceMember) -> None:
    """Take a member out of a workspace; the member stays in the organization."""
    with scope.tenant(placed.organization_id):
        gone, _by_model = WorkspaceMember.objects.filter(pk=placed.pk).delete()
        if gone:
            _record_in_workspace(actor, placed, "workspace_member.removed")


def join(
    *,
    organization_id: UUID,
    person: Person,
    role: Role,
    workspaces: Mapping[UUID, WorkspaceRole],
) -> Member | None:
    """Make a person a member, inside the organization's scope, and announce it.

    Workspaces that are archived or gone by now are left out.

    Returns:
        None if the person is a member already; nothing is changed then.
    """
    made = Member(organization_id=organization_id, person=person, role=role)
    Member.objects.bulk_create([made], ignore_conflicts=True)
    if not Member.objects.filter(pk=made.pk).exists():
        return None
    active = Workspace.objects.filter(pk__in=list(workspaces), archived_at=None)
    WorkspaceMember.objects.bulk_create(
        WorkspaceMember(
            organization_id=organization_id,
            workspace_id=workspace_id,
            member=made,
            role=workspaces[workspace_id],
        )
        for workspace_id in active.values_list("pk", flat=True)
    )
    outbox.announce(
        organization_id=organization_id,
        kind="member.joined",
        data={"member_id": str(made.pk), "name": person.called, "role": role.value},
        once=f"member.joined:{made.pk}",
    )
    return made


def enrol(*, actor: Actor, organization_id: UUID, person: Person, role: Role) -> None:
    """Make a person a member without an invitation, on the word of who operates the service."""
    with scope.tenant(organization_id):
        made = join(organization_id=organization_id, person=person, role=role, workspaces={})
        if made is not None:
            _record(actor, made, "member.enrolled")


def add_everybody(workspace: Workspace) -> None:
    """Put every member of the organization into a new workspace, inside its scope."""
    WorkspaceMember.objects.bulk_create(
        [
            WorkspaceMember(
                organization_id=workspace.organization_id,
                workspace=workspace,
                member_id=member_id,
                role=WorkspaceRole.MEMBER,
            )
            for member_id in Member.objects.values_list("pk", flat=True)
        ],
        ignore_conflicts=True,
    )


def _keep_an_admin(member: Member) -> None:
    """Lock the administrators, in one order, and refuse if this is the only one."""
    admins = Member.objects.select_for_update(no_key=True).filter(role=Role.ADMIN).order_by("pk")
    ids = list(admins.values_list("pk", flat=True))
    if ids == [member.pk]:
        detail = _("This is the last administrator. Make somebody else one first.")
        raise Conflict("last_admin", detail)


def _record(actor: Actor, member: Member, verb: str, changed: list[str] | None = None) -> None:
    audit.record(
        actor=actor,
        organization_id=member.organization_id,
        verb=verb,
        target=member,
        changed=changed or (),
    )


def _record_in_workspace(
    actor: Actor, placed: WorkspaceMember, verb: str, changed: list[str] | None = None
) -> None:
    audit.record(
        actor=actor,
        organization_id=placed.organization_id,
        verb=verb,
        target=placed,
        changed=changed or (),
    )
