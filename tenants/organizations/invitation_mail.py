"""Writes an invitation's link and mails it; the only place that knows the link's plaintext."""

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import translation
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _

from tenants.common import scope
from tenants.common.days import say_instant
from tenants.common.secrets import Secret
from tenants.common.tokens import TokenKind, derive
from tenants.organizations.models import Invitation, Organization
from tenants.organizations.roles import role_name
from tenants.people import mail
from tenants.people.mail import Button, Letter

#: How long a worker may have one; longer than the task's hard limit.
_LEASE = timedelta(minutes=2)


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
    """Mail one invitation, unless it was mailed or closed, or another worker has it.

    It counts as mailed when the mail server has it: a worker that dies before loses its lease, and
    another one mails it. If it dies in between, the same link goes out once more.
    """
    free = Q(held_until=None) | Q(held_until__lte=Now())
    due = Invitation.objects.filter(free, pk=invitation_id, mailed_at=None, closed_at=None)
    with scope.tenant(organization_id):
        if not due.update(held_until=Now() + _LEASE):
            return
        row = Invitation.objects.get(pk=invitation_id)
        organization = Organization.objects.get()
    name = f"{row.pk.hex}.{row.generation}"
    # What the server does not take is due again when the lease is over.
    if mail.send(letter_of(row, organization), to=row.email, purpose="invitation", message_id=name):
        with scope.tenant(organization_id):
            sent = Invitation.objects.filter(pk=invitation_id, generation=row.generation)
            sent.update(mailed_at=Now(), held_until=None)


def due() -> list[tuple[UUID, UUID]]:
    """Find invitations that a dead broker, worker or mail server left: organization and row."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM organizations_unmailed_invitations()")
        return [(organization_id, row_id) for organization_id, row_id in cursor.fetchall()]


def letter_of(row: Invitation, organization: Organization) -> Letter:
    """Write an invitation in the language that it was made in."""
    with translation.override(row.locale):
        facts = {"organization": organization.name, "who": row.invited_by}
        return Letter(
            _("You are invited to %(organization)s") % facts,
            (_("%(who)s invites you to the organization %(organization)s.") % facts,),
            Button(_("Accept the invitation"), link_of(row).reveal()),
            facts=(
                (_("Organization"), organization.name),
                (_("Role"), role_name(row.role)),
            ),
            small=(
                _("The link works once, until %(until)s, for this address.")
                % {"until": say_instant(row.expires_at, organization.timezone)},
                _("If you do not know who sent it, ignore this message."),
            ),
            language=row.locale,
        )
