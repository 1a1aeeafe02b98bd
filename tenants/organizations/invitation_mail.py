"""Writes an invitation's link and mails it; the only place that knows the link's plaintext.

``notices`` may take this over: it needs ``link_of`` and nothing else.
"""

from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone, translation
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.common.tokens import TokenKind, derive
from tenants.organizations.models import Invitation, Organization
from tenants.people import mail
from tenants.people.mail import Letter


def token_of(invitation: Invitation) -> Secret[str]:
    """Derive the token of an invitation's present link; nothing but SECRET_KEY is needed for it."""
    facts = f"{invitation.organization_id}:{invitation.pk}:{invitation.generation}"
    return derive(
        TokenKind.INVITATION, salted_hmac("aim.invitation", facts, algorithm="sha256").digest()
    )


def link_of(invitation: Invitation) -> Secret[str]:
    """Write the link that accepts an invitation."""
    return Secret(f"{settings.PUBLIC_URL}/invitations/{token_of(invitation).reveal()}")


def deliver(organization_id: UUID, invitation_id: UUID) -> None:
    """Mail one invitation, unless it was mailed or closed; run twice or at once, it goes out once.

    It counts as mailed before the mail server has it, so that no second worker sends it too; what
    the server does not take is due again.
    """
    due = Invitation.objects.filter(pk=invitation_id, mailed_at=None, closed_at=None)
    with scope.tenant(organization_id):
        if not due.update(mailed_at=timezone.now()):
            return
        row = Invitation.objects.get(pk=invitation_id)
        organization = Organization.objects.get()
    if not mail.send(_letter(row, organization), to=row.email, purpose="invitation"):
        with scope.tenant(organization_id):
            sent = Invitation.objects.filter(pk=invitation_id, generation=row.generation)
            sent.update(mailed_at=None)


def due() -> list[tuple[UUID, UUID]]:
    """Find invitations that a dead broker, worker or mail server left: organization and row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM organizations_unmailed_invitations()")
        return [(organization_id, row_id) for organization_id, row_id in cursor.fetchall()]


def _letter(row: Invitation, organization: Organization) -> Letter:
    with translation.override(row.locale):
        facts = {
            "organization": organization.name,
            "who": row.invited_by,
            "link": link_of(row).reveal(),
        }
        return Letter(
            _("You are invited to %(organization)s") % facts,
            (
                _("%(who)s invites you to the organization %(organization)s.") % facts,
                _("Accept here: %(link)s") % facts,
                _("The link works once, for a week, for this address."),
                _("If you do not know who sent it, ignore this message."),
            ),
        )
