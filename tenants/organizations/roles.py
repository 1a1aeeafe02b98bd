"""Who may do what: one table, from capability to the roles that have it.

The porch turns a session into the capabilities of its roles, and a token into its scopes; both are
the words of this table. docs/people.md shows it, and a test compares the two. *Using* a key is a
right of its own, beside seeing and changing it.
"""

from collections.abc import Mapping

from django.db.models import TextChoices
from django.utils.translation import gettext as _


class Role(TextChoices):
    """What a member is in the organization."""

    ADMIN = "admin"
    BILLING = "billing"
    MEMBER = "member"


def role_name(role: str) -> str:
    """Name a role of the organization in the reader's language; nothing for what is none."""
    names = {
        Role.ADMIN.value: _("Admin"),
        Role.BILLING.value: _("Billing"),
        Role.MEMBER.value: _("Member"),
    }
    return names.get(role, "")


class WorkspaceRole(TextChoices):
    """What a member is in a workspace."""

    ADMIN = "admin"
    MEMBER = "member"


_ADMIN, _BILLING, _MEMBER = "admin", "billing", "member"
_WORKSPACE_ADMIN, _WORKSPACE_MEMBER = "workspace admin", "workspace member"
_WORKSPACE = {_WORKSPACE_ADMIN, _WORKSPACE_MEMBER}
_ALL = {_ADMIN, _BILLING, _MEMBER}

#: An organization's role holds everywhere in it, a workspace's role where a request names the
#: workspace, or something in it. Nobody but an administrator has what is not in this table.
CAPABILITIES: Mapping[str, frozenset[str]] = {
    capability: frozenset(holders)
    for capability, holders in {
        "organizations:read": _ALL,
        "organizations:write": {_ADMIN},
        "workspaces:read": _ALL,
        "workspaces:write": {_ADMIN, _WORKSPACE_ADMIN},
        "members:read": {_ADMIN, *_WORKSPACE},
        "members:write": {_ADMIN, _WORKSPACE_ADMIN},
        "billing:read": {_ADMIN, _BILLING},
        "billing:write": {_ADMIN, _BILLING},
        "keys:read": {_ADMIN, *_WORKSPACE},
        "keys:write": {_ADMIN, _WORKSPACE_ADMIN},
        "keys:use": {_ADMIN, _WORKSPACE_ADMIN},
        "models:read": {_ADMIN, _MEMBER, *_WORKSPACE},
        "models:write": {_ADMIN, _WORKSPACE_ADMIN},
        "spend:read": {_ADMIN, _BILLING, *_WORKSPACE},
        "spend:write": {_ADMIN, _BILLING},
        "usage:write": {_ADMIN},
        "limits:read": {_ADMIN, _BILLING, *_WORKSPACE},
        "limits:write": {_ADMIN, _BILLING},
        "tokens:read": {_ADMIN},
        "tokens:write": {_ADMIN},
        "webhooks:read": {_ADMIN},
        "webhooks:write": {_ADMIN},
        "audit:read": {_ADMIN},
        "organizations:export": {_ADMIN},
    }.items()
}
COLUMNS = (_ADMIN, _BILLING, _MEMBER, _WORKSPACE_ADMIN, _WORKSPACE_MEMBER)


def capabilities_of(role: Role, everything: frozenset[str]) -> frozenset[str]:
    """Tell what a role in the organization allows.

    Args:
        role: the member's.
        everything: all that can be allowed, whether or not the table knows it: an administrator's.
    """
    return everything if role == Role.ADMIN else _held_by(role.value)


def capabilities_in_workspace(role: WorkspaceRole) -> frozenset[str]:
    """Tell what a role in a workspace adds there."""
    return _held_by(f"workspace {role.value}")


def sees_every_workspace(role: Role) -> bool:
    """Tell whether a role sees all workspaces, or only those that it is a member of."""
    return role in {Role.ADMIN, Role.BILLING}


def _held_by(holder: str) -> frozenset[str]:
    return frozenset(name for name, holders in CAPABILITIES.items() if holder in holders)
