"""What the support staff may do: one table, from capability to the roles that have it.

A role is a group (``auth_group``, made by a migration); a person of the staff has one. Without a
role a staff login opens nothing. docs/support.md shows the table, and a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy

from tenants.organizations.audit import Actor
from tenants.organizations.models import AuditEvent
from tenants.people.models import Person

#: After the name of whoever of the staff acts, in what is kept.
_MARK = " (support)"


class StaffRole(TextChoices):
    """What somebody of the staff is."""

    VIEWER = "viewer", gettext_lazy("Viewer")
    AGENT = "agent", gettext_lazy("Agent")
    LEAD = "lead", gettext_lazy("Lead")
    SECURITY = "security", gettext_lazy("Security")

    @property
    def group(self) -> str:
        """The name of the group that stands for it."""
        return f"support {self.value}"


_VIEWER, _AGENT, _LEAD, _SECURITY = StaffRole
_ALL = {_VIEWER, _AGENT, _LEAD, _SECURITY}

#: Sessions first, then verbs inside of one; a verb needs an elevated session too.
CAPABILITIES: Mapping[str, frozenset[StaffRole]] = {
    capability: frozenset(holders)
    for capability, holders in {
        "lookup:use": _ALL,
        "platform:read": _ALL,
        "session:open": _ALL,
        "session:elevate": {_AGENT, _LEAD, _SECURITY},
        "session:break": {_LEAD, _SECURITY},
        "key:check": {_AGENT, _LEAD},
        "invitation:resend": {_AGENT, _LEAD},
        "delivery:replay": {_AGENT, _LEAD},
        "model:publish": {_AGENT, _LEAD},
        "model:unblock": {_AGENT, _LEAD},
        "reconciliation:start": {_AGENT, _LEAD},
        "list:export": {_AGENT, _LEAD, _SECURITY},
        "correction:post": {_AGENT, _LEAD},
        "correction:confirm": {_LEAD, _SECURITY},
        "limit:extend": {_LEAD},
        "hold:release": {_LEAD},
        "organization:suspend": {_LEAD, _SECURITY},
        "model:stop": {_LEAD, _SECURITY},
        "token:revoke": {_LEAD, _SECURITY},
        "token:rotate": {_LEAD, _SECURITY},
        "factor:ask": {_SECURITY},
        "factor:confirm": {_LEAD, _SECURITY},
        "log:read": {_LEAD, _SECURITY},
        "staff:manage": {_SECURITY},
    }.items()
}


@dataclass(frozen=True, slots=True)
class Staff:
    """Somebody of the staff, at work."""

    person: Person
    role: StaffRole
    request_id: str = ""

    def may(self, capability: str) -> bool:
        """Tell whether the role has a capability."""
        return self.role in CAPABILITIES[capability]

    @property
    def name(self) -> str:
        """What the customer's audit log calls them."""
        return f"{self.person.called}{_MARK}"

    @property
    def actor(self) -> Actor:
        """Who acts."""
        return Actor("staff", str(self.person.pk), self.name, self.request_id)


def unmarked(event: AuditEvent) -> str:
    """Name who acted without the mark of the staff, for who says what they are in words."""
    is_staff = event.actor_kind == "staff"
    return event.actor_name.removesuffix(_MARK) if is_staff else event.actor_name
