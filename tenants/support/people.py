"""Who is in an organization, who is asked to be, and the tokens of its scripts (by their hint)."""

from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.access.models import OrganizationToken
from tenants.assistance.staff import Staff
from tenants.assistance.visiting import Visit, visit
from tenants.organizations.models import Invitation, Member
from tenants.support import pages, resets, words
from tenants.support.door import closed
from tenants.support.pages import Button, Section, when
from tenants.support.words import told

_MANY = 50


def people(request: HttpRequest, staff: Staff, organization_id: UUID) -> HttpResponse:
    """List members, open invitations and tokens (by their hint)."""
    with visit(staff=staff, organization_id=organization_id, page="people") as found:
        members = list(Member.objects.select_related("person")[:_MANY])
        invitations = list(Invitation.objects.filter(closed_at=None).defer("digest")[:_MANY])
        tokens = list(OrganizationToken.objects.filter(revoked_at=None).defer("digest")[:_MANY])
        sections = [
            Section(
                _("Members"),
                headers=[_("E-mail"), _("Name"), _("Role")],
                rows=[
                    [one.person.email, one.person.name, told(words.ROLES, one.role)]
                    for one in members
                ],
                buttons=resets.ask_buttons(found, members),
            ),
            resets.waiting(found),
            Section(
                _("Open invitations"),
                headers=[_("E-mail"), _("Role"), _("Sent"), _("Until")],
                rows=[
                    [
                        one.email,
                        told(words.ROLES, one.role),
                        when(one.mailed_at),
                        when(one.expires_at),
                    ]
                    for one in invitations
                ],
                buttons=_resend_buttons(found, invitations),
            ),
            Section(
                _("Tokens"),
                headers=[_("Name"), _("Token"), _("Made by"), _("Until")],
                rows=[[one.name, one.hint, one.created_by, when(one.expires_at)] for one in tokens],
                buttons=_token_buttons(found, tokens),
            ),
        ]
        return pages.page(request, staff, _("People and tokens"), sections, visit=found)


def _resend_buttons(found: Visit, invitations: list[Invitation]) -> list[Button]:
    return [
        Button(
            _("Send %(email)s a new link") % {"email": one.email},
            reverse("admin:invitation_resend", args=[found.organization.pk, one.pk]),
        )
        for one in invitations
        if found.may("invitation:resend")
    ]


def _token_buttons(found: Visit, tokens: list[OrganizationToken]) -> list[Button]:
    verbs = [
        ("token:rotate", _("Replace %(name)s in a day"), "admin:token_rotate"),
        ("token:revoke", _("Revoke %(name)s"), "admin:token_revoke"),
    ]
    return [
        Button(
            said % {"name": one.name},
            reverse(name, args=[found.organization.pk, one.pk]),
            is_grave=True,
        )
        for one in tokens
        for capability, said, name in verbs
        if found.may(capability)
    ]


PEOPLE = closed(people)
