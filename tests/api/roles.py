"""Who works in Alice's organization, and what each role may.

``HOLDERS`` says it once more, on purpose: the code's own table (``tenants.organizations.roles``)
must say the same.
"""

from dataclasses import dataclass

from tenants.organizations.roles import Role, WorkspaceRole
from tests import people
from tests.api.callers import Caller
from tests.api.rows import Row
from tests.api.world import WholeWorld
from tests.people import session_caller

_EVERYBODY = {"admin", "billing", "member"}
_INSIDE = {"workspace admin", "workspace member"}
#: Which roles have a capability: in the organization, or in the workspace that is named.
HOLDERS: dict[str, set[str]] = {
    "organizations:read": _EVERYBODY,
    "organizations:write": {"admin"},
    "workspaces:read": _EVERYBODY,
    "workspaces:write": {"admin", "workspace admin"},
    "members:read": {"admin", *_INSIDE},
    "members:write": {"admin", "workspace admin"},
    "billing:read": {"admin", "billing"},
    "billing:write": {"admin", "billing"},
    "keys:read": {"admin", *_INSIDE},
    "keys:write": {"admin", "workspace admin"},
    "keys:use": {"admin", "workspace admin"},
    "models:read": {"admin", "member", *_INSIDE},
    "models:write": {"admin", "workspace admin"},
    "spend:read": {"admin", "billing", *_INSIDE},
    "spend:write": {"admin", "billing"},
    "usage:write": {"admin"},
    "limits:read": {"admin", "billing", *_INSIDE},
    "limits:write": {"admin", "billing"},
    "tokens:read": {"admin"},
    "tokens:write": {"admin"},
    "webhooks:read": {"admin"},
    "webhooks:write": {"admin"},
    "audit:read": {"admin"},
    "organizations:export": {"admin"},
}


@dataclass(frozen=True)
class Somebody:
    """A member of Alice's organization."""

    role: Role
    inside: WorkspaceRole | None = None

    def __str__(self) -> str:
        return f"workspace {self.inside.value}" if self.inside else self.role.value

    def caller(self, found: WholeWorld) -> Caller:
        places = {found.workspace: self.inside} if self.inside else {}
        return session_caller(
            people.member(found.organization, self.role, workspaces=places).person
        )

    def is_lost(self, row: Row, found: WholeWorld) -> bool:
        """Tell whether the row points where this member sees nothing."""
        is_confined = self.role == Role.MEMBER and self.inside is None
        return is_confined and row.points_into_workspace(found)

    def may(self, row: Row, found: WholeWorld) -> bool:
        held = {self.role.value}
        if self.inside and row.points_into_workspace(found):
            held.add(str(self))
        return all(held & HOLDERS[scope] for scope in row.scopes)


CAST = [
    Somebody(Role.BILLING),
    Somebody(Role.MEMBER),
    Somebody(Role.MEMBER, WorkspaceRole.ADMIN),
    Somebody(Role.MEMBER, WorkspaceRole.MEMBER),
]
