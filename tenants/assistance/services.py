"""Verbs on support: let the staff in, open a session, end it, give somebody a role.

Grants are the customer's, through the API. Sessions are the staff's: in an organization that has
let them in, or broken open by those who may, with a word to the organization either way.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from uuid import UUID

import structlog
from django.contrib.auth.models import Group
from django.db import IntegrityError, transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.assistance import visiting
from tenants.assistance.models import (
    PlatformEvent,
    SavedFilter,
    StaffMember,
    SupportGrant,
    SupportSession,
)
from tenants.assistance.staff import Staff, StaffRole
from tenants.common import scope
from tenants.common.problems import Conflict, Forbidden, Invalid, NotFound
from tenants.mistral.masking import mask_key_shaped
from tenants.organizations import audit, outbox
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, OrganizationStatus
from tenants.people.models import Person

LONGEST_GRANT = timedelta(days=7)
LONGEST_SESSION = timedelta(hours=8)
#: Nobody said yes, so it is short.
LONGEST_BREAK = timedelta(hours=2)
_LONGEST_REASON = 500
_MOST_FILTERS = 50
_HOUR = timedelta(hours=1)

log = structlog.get_logger(__name__)


def grant_access(
    *,
    actor: Actor,
    organization: Organization,
    hours: int,
    allows_changes: bool = False,
    reason: str = "",
) -> SupportGrant:
    """Let the support staff into an organization for some hours.

    Args:
        actor: who lets them in.
        organization: where.
        hours: from 1 to 168.
        allows_changes: let them act too, not only look.
        reason: for people.

    Raises:
        Invalid: ``support_hours_out_of_range``.
    """
    _check_hours(hours, LONGEST_GRANT)
    with scope.tenant(organization.pk):
        grant = SupportGrant.objects.create(
            organization_id=organization.pk,
            granted_by=actor.name,
            reason=reason,
            allows_changes=allows_changes,
            ends_at=timezone.now() + hours * _HOUR,
        )
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="support.access_granted",
            target=grant,
        )
    return grant


def withdraw_access(*, actor: Actor, grant: SupportGrant) -> None:
    """Take a grant back and end the sessions that it let in; twice changes nothing."""
    now = timezone.now()
    with scope.tenant(grant.organization_id):
        if not SupportGrant.objects.filter(pk=grant.pk, withdrawn_at=None).update(withdrawn_at=now):
            return
        SupportSession.objects.filter(grant=grant, ended_at=None).update(ended_at=now)
        audit.record(
            actor=actor,
            organization_id=grant.organization_id,
            verb="support.access_withdrawn",
            target=grant,
        )


def open_session(
    *,
    staff: Staff,
    organization_id: UUID,
    reason: str,
    ticket: str = "",
    hours: int = 1,
    elevated: bool = False,
    break_open: bool = False,
) -> SupportSession:
    """Open a session of somebody of the staff; it ends by itself.

    Args:
        staff: who.
        organization_id: where.
        reason: shown to the organization.
        ticket: of the help desk.
        hours: from 1 to 8, to 2 when broken open; never longer than the grant.
        elevated: to act, not only to look.
        break_open: go in although nobody has let the staff in.

    Raises:
        Invalid: ``support_hours_out_of_range``, ``support_reason_missing``.
        Forbidden: ``support_not_granted``, ``support_changes_not_granted``, ``staff_role_missing``.
        Conflict: ``support_session_open``.
        NotFound: there is no such organization any more.
    """
    if not reason.strip():
        detail = _("Say why: the organization reads it.")
        raise Invalid.field("/reason", "support_reason_missing", detail)
    _require(staff, "session:open")
    if elevated:
        _require(staff, "session:elevate")
    if break_open:
        _require(staff, "session:break")
    _check_hours(hours, LONGEST_BREAK if break_open else LONGEST_SESSION)
    with _one_at_a_time(), scope.tenant(organization_id):
        _require_standing(organization_id)
        _end_expired(staff)
        grant = None if break_open else _grant(elevated=elevated)
        ends_at = timezone.now() + hours * _HOUR
        session = SupportSession.objects.create(
            organization_id=organization_id,
            person=staff.person,
            person_name=staff.name,
            grant=grant,
            granted_by=grant.granted_by if grant else "",
            # Whoever pastes a key here does not mean to.
            reason=mask_key_shaped(reason.strip()[:_LONGEST_REASON]),
            ticket=mask_key_shaped(ticket.strip()),
            is_elevated=elevated,
            ends_at=min(ends_at, grant.ends_at) if grant else ends_at,
        )
        _tell(staff, session, "support.session_opened")
    log.info(
        "support_session_opened",
        session_id=str(session.pk),
        organization_id=str(organization_id),
        broken_open=session.is_broken_open,
    )
    return session


def close_session(*, staff: Staff, organization_id: UUID) -> None:
    """End the session that somebody of the staff has here; twice changes nothing."""
    with scope.tenant(organization_id):
        session = visiting.open_session_of(staff.person)
        if session is not None:
            session.ended_at = timezone.now()
            session.save(update_fields=["ended_at"])
            _tell(staff, session, "support.session_closed")


def save_filter(*, staff: Staff, page: str, name: str, choice: Mapping[str, str]) -> None:
    """Keep a choice of filters under a name; the same name again is another choice.

    Raises:
        Conflict: ``filters_full``.
    """
    mine = SavedFilter.objects.filter(person=staff.person)
    if mine.count() >= _MOST_FILTERS:
        detail = _("You have %(most)d saved filters. Forget one first.")
        raise Conflict("filters_full", detail % {"most": _MOST_FILTERS})
    SavedFilter.objects.update_or_create(
        person=staff.person,
        page=page,
        name=mask_key_shaped(name),
        defaults={"choice": dict(choice)},
    )


def forget_filter(*, staff: Staff, filter_id: UUID) -> None:
    """Forget one of one's own saved filters; twice changes nothing."""
    SavedFilter.objects.filter(pk=filter_id, person=staff.person).delete()


def give_role(*, person: Person, role: StaffRole) -> StaffMember:
    """Make somebody of the staff a viewer, agent, lead or security; logged by id.

    Raises:
        Conflict: ``not_staff``: the login is not a staff login.
    """
    if not person.is_staff:
        detail = _("This login is not of the staff. Make one with manage.py create_staff.")
        raise Conflict("not_staff", detail)
    with transaction.atomic():
        group = Group.objects.get(name=role.group)
        member, _made = StaffMember.objects.update_or_create(
            person=person, defaults={"group": group}
        )
    log.info("staff_role_given", person_id=str(person.pk), role=role.value)
    return member


def record_platform_event(*, staff: Staff, verb: str, detail: str = "", found: int = 0) -> None:
    """Write down what somebody of the staff did outside of organizations, in platform scope."""
    PlatformEvent.objects.create(
        person=staff.person,
        person_name=staff.name,
        verb=verb,
        detail=detail,
        found=found,
        request_id=staff.request_id,
    )


def _grant(*, elevated: bool) -> SupportGrant:
    """Find what lets the staff in, the longest first.

    Raises:
        Forbidden: nothing does, or nothing that lets them act.
    """
    grants = SupportGrant.objects.filter(withdrawn_at=None, ends_at__gt=timezone.now())
    found = grants.filter(allows_changes=True).order_by("-ends_at").first()
    if found is None and not elevated:
        found = grants.order_by("-ends_at").first()
    if found is not None:
        return found
    if grants.exists():
        detail = _("The organization lets the support staff look, not act. Ask them for more.")
        raise Forbidden("support_changes_not_granted", detail)
    detail = _("The organization has not let the support staff in. Ask them to.")
    raise Forbidden("support_not_granted", detail)


def _tell(staff: Staff, session: SupportSession, kind: str) -> None:
    """Write it into the organization's audit log, and tell the organization."""
    audit.record(
        actor=staff.actor, organization_id=session.organization_id, verb=kind, target=session
    )
    outbox.announce(
        organization_id=session.organization_id,
        kind=kind,
        data={
            "session_id": str(session.pk),
            "staff": session.person_name,
            "reason": session.reason,
            "ticket": session.ticket,
            "may_change": session.is_elevated,
            "granted_by": session.granted_by,
            "broken_open": session.is_broken_open,
            "starts_at": session.created_at.isoformat(),
            "ends_at": (session.ended_at or session.ends_at).isoformat(),
        },
    )


def _end_expired(staff: Staff) -> None:
    over = SupportSession.objects.filter(person=staff.person, ended_at=None)
    over.filter(ends_at__lte=timezone.now()).update(ended_at=F("ends_at"))


def _require_standing(organization_id: UUID) -> None:
    standing = Organization.objects.filter(pk=organization_id)
    if not standing.exclude(status=OrganizationStatus.ERASED).exists():
        raise NotFound("not_found", _("There is nothing here."))


def _require(staff: Staff, capability: str) -> None:
    if not staff.may(capability):
        raise visiting.role_missing()


def _check_hours(hours: int, longest: timedelta) -> None:
    most = longest // _HOUR
    if not 1 <= hours <= most:
        detail = _("Choose from 1 to %(most)d hours.") % {"most": most}
        raise Invalid.field("/hours", "support_hours_out_of_range", detail)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Turn the database's word on a session that is open already into a refusal."""
    try:
        yield
    except IntegrityError as error:
        if "support_session_open_uniq" not in str(error):
            raise
        detail = _("You have an open session in this organization. End it first.")
        raise Conflict("support_session_open", detail) from None
