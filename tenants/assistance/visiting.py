"""What a session of the support staff opens: one organization's rows, every look written down.

Whoever has no open session gets no scope, and without a scope the tenant's tables are empty.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.assistance.models import StaffMember, SupportSession
from tenants.assistance.staff import Staff, StaffRole
from tenants.common import scope
from tenants.common.problems import Forbidden
from tenants.organizations import audit
from tenants.organizations.audit import Actor, Errand
from tenants.organizations.models import Organization, OrganizationStatus
from tenants.people.models import Person

_GROUPS = {role.group: role for role in StaffRole}


@dataclass(frozen=True, slots=True)
class Visit:
    """A look into an organization: whose, and by what right."""

    staff: Staff
    session: SupportSession
    organization: Organization

    def may(self, capability: str) -> bool:
        """Tell whether the role and this session allow a verb."""
        return self.session.is_elevated and self.staff.may(capability)

    @property
    def actor(self) -> Actor:
        """Who acts here, and for what: each audit row of theirs is announced with it."""
        session = self.session
        errand = Errand(session.pk, session.reason, session.ticket)
        return replace(self.staff.actor, errand=errand)


@dataclass(frozen=True, slots=True)
class OpenSession:
    """A session of one's own that is open, as it is told outside of any organization."""

    organization_id: UUID
    organization_name: str
    is_elevated: bool
    is_broken_open: bool
    ends_at: datetime


def staff_of(person: Person, request_id: str = "") -> Staff | None:
    """Find what somebody is on the staff; None for everybody else."""
    if not (person.is_active and person.is_staff):
        return None
    member = StaffMember.objects.select_related("group").filter(person=person).first()
    role = _GROUPS.get(member.group.name) if member else None
    return Staff(person, role, request_id) if role else None


@contextmanager
def visit(*, staff: Staff, organization_id: UUID, page: str) -> Iterator[Visit]:
    """Open an organization's scope for one look, which its audit log shows.

    Args:
        staff: who looks.
        organization_id: where.
        page: what is looked at, as a word of the audit log: ``support.<page>_viewed``.

    Raises:
        Forbidden: ``support_session_over``: there is no open session.
    """
    with scope.tenant(organization_id):
        found = _enter(staff, organization_id)
        audit.record(
            actor=staff.actor,
            organization_id=organization_id,
            verb=f"support.{page}_viewed",
            target=found.session,
        )
        yield found


def authorise(*, staff: Staff, organization_id: UUID, capability: str) -> Visit:
    """Check that a verb may be used here now; the verb writes its own audit row.

    Raises:
        Forbidden: ``support_session_over``, ``staff_role_missing`` or ``support_read_only``.
    """
    with scope.tenant(organization_id):
        found = _enter(staff, organization_id)
    if not staff.may(capability):
        raise role_missing()
    if not found.session.is_elevated:
        detail = _("This session is for looking only. Open one that may act.")
        raise Forbidden("support_read_only", detail)
    return found


def open_session_of(person: Person) -> SupportSession | None:
    """Find somebody's open session, inside the organization's scope."""
    sessions = SupportSession.objects.filter(person=person, ended_at=None)
    return sessions.filter(ends_at__gt=timezone.now()).first()


def open_sessions(person: Person) -> list[OpenSession]:
    """List where somebody has an open session, by a definer function, outside of any scope."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM assistance_open_sessions(%s)", [person.pk])
        return [OpenSession(*row) for row in cursor.fetchall()]


def role_missing() -> Forbidden:
    """Make the refusal of what a role does not allow."""
    return Forbidden("staff_role_missing", _("Your role does not allow this."))


def _enter(staff: Staff, organization_id: UUID) -> Visit:
    session = open_session_of(staff.person)
    standing = Organization.objects.filter(pk=organization_id)
    organization = standing.exclude(status=OrganizationStatus.ERASED).first()
    if session is None or organization is None:
        detail = _("You have no open session in this organization. Open one first.")
        raise Forbidden("support_session_over", detail)
    return Visit(staff, session, organization)
