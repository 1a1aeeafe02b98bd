"""Links in mails by which a member mutes a kind of them, without signing in (RFC 8058).

A link is signed and works for ninety days. It does this one thing: whoever has it learns the name
of the organization and can stop one kind of mail.
"""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core import signing
from django.urls import reverse

from tenants.common import scope
from tenants.notices.kinds import MUTABLE
from tenants.organizations.models import Member, OrganizationStatus

_SALT = "aim.notices.mute"
_LIFETIME = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Muting:
    """What a link would do: which member would be mailed no more about what."""

    member: Member
    kind: str


def link_of(member: Member, kind: str) -> str:
    """Write the link that mutes a kind for a member."""
    facts = [str(member.organization_id), str(member.pk), kind]
    token = signing.dumps(facts, salt=_SALT)
    return settings.PUBLIC_URL + reverse("unsubscribe", kwargs={"token": token})


def read(token: str) -> Muting | None:
    """Find what a link would do; None for one that is not ours, is over, or of who left."""
    try:
        organization_id, member_id, kind = signing.loads(token, salt=_SALT, max_age=_LIFETIME)
    except signing.BadSignature:
        return None
    with scope.tenant(UUID(organization_id)):
        members = Member.objects.select_related("person", "organization")
        standing = members.exclude(organization__status=OrganizationStatus.ERASED)
        member = standing.filter(pk=UUID(member_id)).first()
    return Muting(member, kind) if member is not None and kind in MUTABLE else None
