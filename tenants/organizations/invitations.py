"""Invitations: several addresses at once, a link that works once, for one address, for a week.

The link's token is derived from the invitation and SECRET_KEY, so a worker can write it into mail
although only its digest is stored. Sending again makes the link before it worthless.

NotFound   invitation_unknown      the link is wrong, was used, taken back or replaced
Conflict   invitation_expired      its time is over
           invitation_closed       it cannot be sent again: it was accepted or taken back
Forbidden  invitation_for_another  the person has not verified the invited address
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db import connection
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.problems import Conflict, Forbidden, NotFound
from tenants.common.queue import enqueue_on_commit
from tenants.common.text import normalise_email
from tenants.common.tokens import TokenKind, digest, kind_of
from tenants.organizations import audit, members, tasks
from tenants.organizations.audit import Actor
from tenants.organizations.invitation_mail import token_of
from tenants.organizations.models import (
    Invitation,
    InvitationStatus,
    Member,
    Organization,
    Workspace,
)
from tenants.organizations.refusals import workspace_unknown
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.people.models import Person
from tenants.people.services import verified_addresses

LIFETIME = timedelta(days=7)
MOST_ADDRESSES = 100


class Outcome(StrEnum):
    """What became of one address."""

    INVITED = "invited"
    ALREADY_MEMBER = "already_member"
    ALREADY_INVITED = "already_invited"
    INVALID = "invalid"


@dataclass(frozen=True)
class Result:
    """One address and what became of it; the address as it was typed if it is none."""

    email: str
    outcome: Outcome
    invitation: Invitation | None = None


def invite(
    *,
    actor: Actor,
    organization: Organization,
    addresses: Sequence[str],
    role: Role,
    workspaces: Mapping[UUID, WorkspaceRole],
) -> list[Result]:
    """Invite addresses; each gets a result, in the order in which they were first named.

    Raises:
        Invalid: ``workspace_unknown``: nobody was invited.
    """
    known = {text: normalise_email(text) for text in addresses}
    wanted = list(dict.fromkeys(email for email in known.values() if email))
    with scope.tenant(organization.pk):
        check_workspaces(workspaces)
        taken = _members_among(wanted)
        open_before = _open_among(wanted)
        fresh = [
            make(organization, email, role=role, workspaces=workspaces, invited_by=actor.name)
            for email in wanted
            if email not in taken and email not in open_before
        ]
        Invitation.objects.bulk_create(fresh, ignore_conflicts=True)
        made = Invitation.objects.in_bulk([row.pk for row in fresh])
        for row in made.values():
            _record(actor, row, "invitation.sent")
            _mail(row)
    invited = {row.email: row for row in made.values()}
    results: dict[str, Result] = {}
    for text, email in known.items():
        name = email or text.strip()
        if email is None:
            results[name] = Result(name, Outcome.INVALID)
        elif email in taken:
            results[name] = Result(email, Outcome.ALREADY_MEMBER)
        elif email in invited:
            results[name] = Result(email, Outcome.INVITED, invited[email])
        else:  # open before, or opened by somebody else at this moment
            results[name] = Result(email, Outcome.ALREADY_INVITED, open_before.get(email))
    return list(results.values())


def make(
    organization: Organization,
    email: str,
    *,
    role: Role,
    workspaces: Mapping[UUID, WorkspaceRole],
    invited_by: str,
) -> Invitation:
    """Make an invitation that is not stored yet."""
    row = Invitation(
        id=new_id(),
        organization_id=organization.pk,
        email=email,
        role=role,
        workspaces=[[str(key), value.value] for key, value in workspaces.items()],
        invited_by=invited_by,
        locale=organization.locale,
        expires_at=timezone.now() + LIFETIME,
    )
    row.digest = digest(token_of(row).reveal())
    return row


def invite_owner(organization: Organization, workspace: Workspace) -> None:
    """Invite whoever an organization is made for, inside its scope, to administer it."""
    email = normalise_email(organization.owner_email)
    if email is not None:
        row = make(
            organization,
            email,
            role=Role.ADMIN,
            workspaces={workspace.pk: WorkspaceRole.ADMIN},
            invited_by="AIsuru",
        )
        row.save(force_insert=True)
        _mail(row)


def send_again(*, actor: Actor, invitation: Invitation) -> Invitation:
    """Send a new link for another week; the one before stops working.

    Raises:
        Conflict: ``invitation_closed``.
    """
    with scope.tenant(invitation.organization_id):
        row = Invitation.objects.select_for_update(no_key=True).get(pk=invitation.pk)
        if row.closed_at is not None:
            detail = _("This invitation was accepted or taken back. Invite the address anew.")
            raise Conflict("invitation_closed", detail)
        row.generation += 1
        row.digest = digest(token_of(row).reveal())
        row.expires_at = timezone.now() + LIFETIME
        row.mailed_at = row.held_until = None
        row.save(update_fields=["generation", "digest", "expires_at", "mailed_at", "held_until"])
        _record(actor, row, "invitation.sent_again")
        _mail(row)
    return row


def revoke(*, actor: Actor, invitation: Invitation) -> None:
    """Take an invitation back; its link stops at once. Taking it back again changes nothing."""
    with scope.tenant(invitation.organization_id):
        if _close(invitation, InvitationStatus.REVOKED):
            _record(actor, invitation, "invitation.revoked")


@dataclass(frozen=True, slots=True)
class OwnInvitation:
    """An open invitation to one of a person's verified addresses, before any scope is open."""

    invitation_id: UUID
    organization_id: UUID
    organization_name: str
    role: str
    invited_by: str
    expires_at: datetime


def open_for(person: Person) -> list[OwnInvitation]:
    """List the open invitations to a person's verified addresses."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM organizations_invitations_for(%s)", [person.pk])
        return [OwnInvitation(*row) for row in cursor.fetchall()]


@dataclass(frozen=True, slots=True)
class Shown:
    """What a link's own reader sees before joining, or after.

    Attributes:
        invitation: what the link stands for; without it nobody sees anything of this.
        organization: where it leads.
        status: what became of it by now.
        is_member: whether the reader is a member there, by this link or otherwise.
    """

    invitation: Invitation
    organization: Organization
    status: InvitationStatus
    is_member: bool


def shown_to(person: Person, token: str) -> Shown | None:
    """Look at what a link stands for; None for all but who has verified the invited address.

    Whoever else has the link learns as little from it as from one that was made up.
    """
    try:
        organization_id = _organization_of(token)
    except NotFound:
        return None
    addresses = verified_addresses(person)
    with scope.tenant(organization_id):
        row = Invitation.objects.filter(digest=digest(token), email__in=addresses).first()
        if row is None:
            return None
        return Shown(
            invitation=row,
            organization=Organization.objects.get(),
            status=row.status_at(timezone.now()),
            is_member=Member.objects.filter(person=person).exists(),
        )


def accept(
    *, actor: Actor, person: Person, token: str | None = None, invitation_id: UUID | None = None
) -> Member:
    """Make a person a member by an invitation to one of their verified addresses.

    Args:
        actor: the person.
        person: who accepts.
        token: the end of the link.
        invitation_id: instead of a link, an invitation that ``open_for`` lists.

    Raises:
        NotFound, Conflict, Forbidden: as the module's text says; the link stays as it was.
    """
    if token is not None:
        organization_id, which = _organization_of(token), Q(digest=digest(token))
    else:
        own = {one.invitation_id: one.organization_id for one in open_for(person)}
        if invitation_id not in own:
            raise unknown()
        organization_id, which = own[invitation_id], Q(pk=invitation_id)
    addresses = verified_addresses(person)
    with scope.tenant(organization_id):
        still_open = Invitation.objects.select_for_update(no_key=True).filter(closed_at=None)
        row = still_open.filter(which).first()
        if row is None:
            raise unknown()
        if row.expires_at <= timezone.now():
            detail = _("This invitation has expired. Ask for a new one.")
            raise Conflict("invitation_expired", detail)
        if row.email not in addresses:
            detail = _("This invitation is for another address. Sign in with the invited one.")
            raise Forbidden("invitation_for_another", detail)
        workspaces = {UUID(key): WorkspaceRole(value) for key, value in row.workspaces}
        joined = members.join(
            organization_id=organization_id,
            person=person,
            role=Role(row.role),
            workspaces=workspaces,
        )
        _close(row, InvitationStatus.ACCEPTED)
        _record(actor, row, "invitation.accepted")
        return joined or Member.objects.get(person=person)


def check_workspaces(workspaces: Mapping[UUID, WorkspaceRole]) -> None:
    """Check that all are active workspaces of the organization in whose scope this is.

    Raises:
        Invalid: ``workspace_unknown``.
    """
    active = Workspace.objects.filter(pk__in=list(workspaces), archived_at=None).count()
    if active != len(workspaces):
        raise workspace_unknown("/workspaces")


def unknown() -> NotFound:
    """Make the one refusal of a link that does not work (any more)."""
    detail = _("This invitation does not work: it was used, taken back, or sent again.")
    return NotFound("invitation_unknown", detail)


def _organization_of(token: str) -> UUID:
    if kind_of(token) is not TokenKind.INVITATION:
        raise unknown()
    with connection.cursor() as cursor:
        cursor.execute("SELECT organizations_find_invitation(%s)", [digest(token)])
        found: UUID | None = cursor.fetchone()[0]
    if found is None:
        raise unknown()
    return found


def _members_among(addresses: Iterable[str]) -> set[str]:
    """Tell which verified addresses are those of members, inside the organization's scope."""
    owners = dict(
        EmailAddress.objects.filter(email__in=list(addresses), verified=True).values_list(
            "user_id", "email"
        )
    )
    here = Member.objects.filter(person_id__in=list(owners)).values_list("person_id", flat=True)
    return {owners[person_id] for person_id in here}


def _open_among(addresses: Iterable[str]) -> dict[str, Invitation]:
    """Find open invitations; those whose time is over are closed to make room for new ones."""
    found = Invitation.objects.filter(email__in=list(addresses), closed_at=None)
    found.filter(expires_at__lte=timezone.now()).update(
        closed_as=InvitationStatus.EXPIRED, closed_at=timezone.now()
    )
    return {row.email: row for row in found.all()}


def _close(row: Invitation, status: InvitationStatus) -> bool:
    still_open = Invitation.objects.filter(pk=row.pk, closed_at=None)
    return bool(still_open.update(closed_as=status, closed_at=timezone.now()))


def _mail(row: Invitation) -> None:
    enqueue_on_commit(tasks.mail_invitation, str(row.organization_id), str(row.pk))


def _record(actor: Actor, row: Invitation, verb: str) -> None:
    audit.record(actor=actor, organization_id=row.organization_id, verb=verb, target=row)


def with_status(status: str | None) -> QuerySet[Invitation]:
    """Choose invitations by what became of them by now, inside a scope; None: all."""
    rows = Invitation.objects.all()
    over = Q(closed_at=None, expires_at__lte=timezone.now())
    match status:
        case None:
            return rows
        case InvitationStatus.PENDING:
            return rows.filter(closed_at=None).exclude(over)
        case InvitationStatus.EXPIRED:
            return rows.filter(over | Q(closed_as=status))
        case _:
            return rows.filter(closed_as=status)
