"""How people come to an organization without being invited: they found it, or ask to join.

Whoever reads mail in one of an organization's domains may learn that it is here and ask; an
administrator decides. Domains that anybody can have a mailbox in are nobody's.

Invalid   domain_invalid, domain_public   not a domain, or one of a mail provider
Forbidden domain_not_verified             the administrator has no verified address in it
Conflict  already_member, join_request_closed
NotFound  not_found                       not an organization that this person may ask
"""

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.problems import Conflict, Forbidden, Invalid, NotFound
from tenants.common.text import normalise_domain
from tenants.organizations import audit, invitations, members, outbox, services
from tenants.organizations.audit import Actor
from tenants.organizations.domains import is_public
from tenants.organizations.models import (
    JoinRequest,
    JoinRequestStatus,
    Member,
    Organization,
    OrganizationDomain,
)
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.people.models import Person
from tenants.people.services import verified_addresses


@dataclass(frozen=True, slots=True)
class Joinable:
    """An organization that a person may ask to join."""

    organization_id: UUID
    name: str
    requested: bool


def found(*, actor: Actor, person: Person, name: str) -> Organization:
    """Make an organization of a person with a verified address, who administers it.

    The domain of the address becomes the organization's, unless it is a mail provider's.

    Raises:
        Forbidden: ``email_not_verified``.
    """
    addresses = verified_addresses(person)
    if not addresses:
        raise Forbidden("email_not_verified", _("Confirm your e-mail address first."))
    domain = addresses[0].rpartition("@")[2]
    organization, _workspace = services.create_organization(
        actor=actor,
        name=name,
        owner_email=addresses[0],
        locale=person.locale,
        founder=person,
        domain="" if is_public(domain) else domain,
    )
    return organization


def found_waiting(person: Person) -> None:
    """Make the organization that a person asked for when signing up, once."""
    name = person.founding
    if name and Person.objects.filter(pk=person.pk, founding=name).update(founding=""):
        actor = Actor(kind="person", id=str(person.pk), name=person.called)
        found(actor=actor, person=person, name=name)


def add_domain(
    *, actor: Actor, organization: Organization, person: Person | None, domain: str
) -> OrganizationDomain:
    """Let verified readers of a domain ask to join; adding it twice changes nothing.

    Args:
        actor: who adds it.
        organization: whose domain it becomes.
        person: who must have a verified address in it; None for AIsuru's backend, which vouches.
        domain: in any spelling.

    Raises:
        Invalid, Forbidden: as the module's text says.
    """
    name = normalise_domain(domain)
    if name is None:
        detail = _("This is not a domain, like example.com.")
        raise Invalid.field("/domain", "domain_invalid", detail)
    if is_public(name):
        detail = _("Anybody can have an address there. Choose a domain of your own.")
        raise Invalid.field("/domain", "domain_public", detail)
    if person is not None and not any(
        address.endswith(f"@{name}") for address in verified_addresses(person)
    ):
        detail = _("Verify an address of your own in this domain first.")
        raise Forbidden("domain_not_verified", detail)
    with scope.tenant(organization.pk):
        made = OrganizationDomain(organization=organization, domain=name)
        OrganizationDomain.objects.bulk_create([made], ignore_conflicts=True)
        row = OrganizationDomain.objects.get(domain=name)
        if row.pk == made.pk:
            _record(actor, row, "domain.added")
    return row


def remove_domain(*, actor: Actor, domain: OrganizationDomain) -> None:
    """Stop people of a domain from asking; requests that were made stay."""
    with scope.tenant(domain.organization_id):
        gone, _by_model = OrganizationDomain.objects.filter(pk=domain.pk).delete()
        if gone:
            _record(actor, domain, "domain.removed")


def joinable_for(person: Person) -> list[Joinable]:
    """Find the organizations that have a domain of one of a person's verified addresses."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM organizations_joinable(%s)", [person.pk])
        return [Joinable(*row) for row in cursor.fetchall()]


def ask(*, actor: Actor, person: Person, organization_id: UUID) -> JoinRequest:
    """Ask to join; asking twice gives the request that is open.

    Raises:
        NotFound: ``not_found``: no domain of the person's is this organization's.
    """
    if organization_id not in {one.organization_id for one in joinable_for(person)}:
        raise NotFound("not_found", _("There is nothing here, or it is not yours."))
    with scope.tenant(organization_id):
        own = {row.domain for row in OrganizationDomain.objects.all()}
        email = next(one for one in verified_addresses(person) if one.rpartition("@")[2] in own)
        made = JoinRequest(organization_id=organization_id, person=person, email=email)
        JoinRequest.objects.bulk_create([made], ignore_conflicts=True)
        row = JoinRequest.objects.get(person=person, status=JoinRequestStatus.PENDING)
        if row.pk == made.pk:
            _record(actor, row, "join_request.made")
            outbox.announce(
                organization_id=organization_id,
                kind="member.requested",
                data={"join_request_id": str(row.pk), "name": person.called},
            )
    return row


def approve(
    *,
    actor: Actor,
    request: JoinRequest,
    role: Role,
    workspaces: Mapping[UUID, WorkspaceRole],
) -> Member:
    """Let a person in.

    Raises:
        Conflict: ``join_request_closed``: somebody decided already.
        Invalid: ``workspace_unknown``.
    """
    with scope.tenant(request.organization_id):
        invitations.check_workspaces(workspaces)
        _decide(actor, request, JoinRequestStatus.APPROVED)
        joined = members.join(
            organization_id=request.organization_id,
            person=request.person,
            role=role,
            workspaces=workspaces,
        )
        return joined or Member.objects.get(person=request.person)


def decline(*, actor: Actor, request: JoinRequest) -> None:
    """Keep a person out; they may ask again.

    Raises:
        Conflict: ``join_request_closed``.
    """
    with scope.tenant(request.organization_id):
        _decide(actor, request, JoinRequestStatus.DECLINED)


def _decide(actor: Actor, request: JoinRequest, status: JoinRequestStatus) -> None:
    pending = JoinRequest.objects.filter(pk=request.pk, status=JoinRequestStatus.PENDING)
    if not pending.update(status=status, decided_at=timezone.now()):
        detail = _("This request was decided already.")
        raise Conflict("join_request_closed", detail)
    _record(actor, request, f"join_request.{status.value}")


def _record(actor: Actor, row: OrganizationDomain | JoinRequest, verb: str) -> None:
    audit.record(actor=actor, organization_id=row.organization_id, verb=verb, target=row)
