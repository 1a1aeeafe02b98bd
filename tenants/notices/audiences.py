"""Finds the members whom an announcement is mailed to, inside the organization's scope."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any
from uuid import UUID

from tenants.notices.kinds import KINDS, Audience
from tenants.notices.models import MutedKind
from tenants.organizations.models import Member, WorkspaceMember
from tenants.organizations.roles import (
    CAPABILITIES,
    Role,
    WorkspaceRole,
    capabilities_in_workspace,
    capabilities_of,
)

_EVERYTHING = frozenset(CAPABILITIES)


def of(
    kind: str, workspace_id: UUID | None, data: Mapping[str, Any] | None = None
) -> list[UUID | None]:
    """Name the members whom an announcement is for, and who have not muted its kind.

    None stands for the organization's owner, as long as nobody is a member.
    """
    known = KINDS.get(kind)
    if known is None or known.audience is None:
        return []
    if not Member.objects.exists():
        return [None]
    audience = known.audience
    standing = Member.objects.filter(person__is_active=True)
    wanted = set(standing.filter(role__in=_roles(audience)).values_list("pk", flat=True))
    if workspace_id is not None and (inside := _workspace_roles(audience)):
        placed = WorkspaceMember.objects.filter(
            workspace_id=workspace_id, role__in=inside, member__person__is_active=True
        )
        wanted |= set(placed.values_list("member_id", flat=True))
    if known.tells_target and data and data.get("target_kind") == "member":
        wanted |= set(standing.filter(pk=data["target_id"]).values_list("pk", flat=True))
    if known.is_mutable:
        muted = MutedKind.objects.filter(kind=kind, member_id__in=wanted)
        wanted -= set(muted.values_list("member_id", flat=True))
    return [*sorted(wanted)]


def reaches(kind: str, role: str, inside: Collection[str]) -> bool:
    """Tell whether a kind can be mailed to somebody with a role, and roles in workspaces."""
    known = KINDS.get(kind)
    if known is None or known.audience is None:
        return False
    placed = set(_workspace_roles(known.audience)) if known.audience.in_workspace else set()
    return role in _roles(known.audience) or not placed.isdisjoint(inside)


def _roles(audience: Audience) -> Iterable[str]:
    return [
        role.value for role in Role if audience.capability in capabilities_of(role, _EVERYTHING)
    ]


def _workspace_roles(audience: Audience) -> list[str]:
    return [
        role.value
        for role in WorkspaceRole
        if audience.in_workspace in capabilities_in_workspace(role)
    ]
