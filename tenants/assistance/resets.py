"""Forgetting somebody's lost second factors: asked for, waited for, confirmed by a second person.

Whoever talks one person of the staff into it gains nothing for a day, in which the one concerned
and the administrators read of it, and whoever uses a second factor meanwhile has not lost it.
The password, the address and the sessions stay as they are.
"""

from datetime import timedelta
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.assistance.models import FactorReset, ResetStatus
from tenants.assistance.visiting import Visit
from tenants.common import scope
from tenants.common.problems import Conflict, NotFound
from tenants.organizations import audit
from tenants.organizations.models import Member, Organization
from tenants.people import services as people
from tenants.people.models import Person

#: How long the one concerned can object, and how long it then waits for the second person.
WAIT = timedelta(days=1)
PATIENCE = timedelta(days=3)


def ask(*, visit: Visit, member_id: UUID) -> FactorReset:
    """Ask that a member's second factors be forgotten; the member is told by mail.

    Raises:
        NotFound: there is no such member.
        Conflict: ``second_factor_none``; ``second_factor_of_staff``; ``reset_waiting``.
    """
    staff, organization = visit.staff, visit.organization
    with scope.tenant(organization.pk):
        _one_at_a_time(organization)
        member = Member.objects.select_related("person").filter(pk=member_id).first()
        if member is None:
            raise _nothing()
        _refuse(member.person)
        now = timezone.now()
        waiting = FactorReset.objects.filter(person=member.person, status=ResetStatus.WAITING)
        if waiting.filter(expires_at__gt=now).exists():
            detail = _("This is asked for already, and waits for a day and another person.")
            raise Conflict("reset_waiting", detail)
        reset = FactorReset.objects.create(
            organization=organization,
            person=member.person,
            asked_by=staff.person,
            asked_by_name=staff.name,
            ready_at=now + WAIT,
            expires_at=now + WAIT + PATIENCE,
        )
        _record(visit, member, "member.second_factor_reset_requested")
    return reset


def confirm(*, visit: Visit, reset_id: UUID) -> FactorReset:
    """Forget the second factors of a member, as another person of the staff asked a day ago.

    Raises:
        NotFound: there is none, or the person is no member any more.
        Conflict: ``reset_own``; ``reset_over``: it is decided, or nobody did for days;
            ``reset_early``; ``second_factor_used`` since it was asked for; and as ``ask``.
    """
    with scope.tenant(visit.organization.pk):
        reset = _waiting(visit.organization, reset_id)
        if reset.asked_by_id == visit.staff.person.pk:
            detail = _("You asked for this yourself: another person has to confirm it.")
            raise Conflict("reset_own", detail)
        if timezone.now() < reset.ready_at:
            detail = _("The person concerned has a day to object. It is not over yet.")
            raise Conflict("reset_early", detail)
        member = _member(reset)
        _refuse(member.person)
        if people.used_second_factor_since(member.person, reset.created_at):
            detail = _("A second factor of this person was used since: it is not lost.")
            raise Conflict("second_factor_used", detail)
        people.forget_second_factors(person=member.person)
        _decide(visit, reset, ResetStatus.DONE)
        _record(visit, member, "member.second_factor_reset")
    return reset


def refuse(*, visit: Visit, reset_id: UUID) -> FactorReset:
    """Refuse what somebody asked for, or take one's own back; nothing is forgotten.

    Raises:
        NotFound: there is none, or the person is no member any more.
        Conflict: ``reset_over``.
    """
    with scope.tenant(visit.organization.pk):
        reset = _waiting(visit.organization, reset_id)
        _decide(visit, reset, ResetStatus.REFUSED)
        _record(visit, _member(reset), "member.second_factor_reset_refused")
    return reset


def _refuse(person: Person) -> None:
    if person.is_staff:
        detail = _("This login is of the staff: whoever runs the service helps them.")
        raise Conflict("second_factor_of_staff", detail)
    if not people.has_second_factor(person):
        detail = _("This person has no second factor: the password alone signs them in.")
        raise Conflict("second_factor_none", detail)


def _waiting(organization: Organization, reset_id: UUID) -> FactorReset:
    _one_at_a_time(organization)
    reset = FactorReset.objects.filter(pk=reset_id).first()
    if reset is None:
        raise _nothing()
    if not reset.is_waiting(timezone.now()):
        detail = _("This was decided, or waited for too long. Ask for it anew.")
        raise Conflict("reset_over", detail)
    return reset


def _one_at_a_time(organization: Organization) -> None:
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)


def _member(reset: FactorReset) -> Member:
    member = Member.objects.select_related("person").filter(person_id=reset.person_id).first()
    if member is None:
        raise _nothing()
    return member


def _decide(visit: Visit, reset: FactorReset, status: ResetStatus) -> None:
    reset.status, reset.decided_at = status, timezone.now()
    reset.decided_by, reset.decided_by_name = visit.staff.person, visit.staff.name
    reset.save(update_fields=["status", "decided_at", "decided_by", "decided_by_name"])


def _record(visit: Visit, member: Member, verb: str) -> None:
    audit.record(actor=visit.actor, organization_id=visit.organization.pk, verb=verb, target=member)


def _nothing() -> NotFound:
    return NotFound("not_found", _("There is nothing here."))
