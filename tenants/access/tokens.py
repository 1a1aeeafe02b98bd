"""Finds the token behind an Authorization header; it refuses what is no live token of ours.

Unauthenticated
├── token_missing      no Authorization header
├── token_malformed    not ``Bearer`` and a token of ours, or one for another door
├── token_unknown      well-formed, but never issued
├── token_revoked      its owner took it back
└── token_expired      its time is over
"""

import hmac

from django.db import connection
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.access.models import OrganizationToken, PlatformToken
from tenants.common import scope
from tenants.common.problems import Unauthenticated
from tenants.common.tokens import TokenKind, digest, kind_of

type ApiToken = PlatformToken | OrganizationToken

_SCHEME = "bearer"
_LONGEST_HEADER = 128


def read(header: str | None) -> tuple[TokenKind, str]:
    """Take a token of ours out of an Authorization header, without a look at the database.

    Raises:
        Unauthenticated: ``token_missing`` or ``token_malformed``.
    """
    if not header:
        detail = _("Send a token of this service in the header Authorization: Bearer aim_….")
        raise Unauthenticated("token_missing", detail)
    scheme, _space, token = header.partition(" ")
    kind = kind_of(token) if len(header) <= _LONGEST_HEADER else None
    if scheme.lower() != _SCHEME or kind is None:
        detail = _("This is no token of this service. Check that it was copied whole.")
        raise Unauthenticated("token_malformed", detail)
    if kind not in {TokenKind.PLATFORM, TokenKind.ORGANIZATION}:
        detail = _("A model token opens the gateway under /v1, not the management API.")
        raise Unauthenticated("token_malformed", detail)
    return kind, token


def find(kind: TokenKind, token: str) -> ApiToken:
    """Find the live row of a well-formed token.

    Raises:
        Unauthenticated: ``token_unknown``, ``token_revoked`` or ``token_expired``.
    """
    wanted = digest(token)
    row = _platform(wanted) if kind is TokenKind.PLATFORM else _organization(wanted)
    if row is None or not hmac.compare_digest(bytes(row.digest), wanted):
        raise Unauthenticated("token_unknown", _("This token is not known here."))
    if row.revoked_at is not None:
        raise Unauthenticated("token_revoked", _("This token was revoked. Use another one."))
    if row.is_expired(timezone.now()):
        raise Unauthenticated("token_expired", _("This token has expired. Use another one."))
    return row


def _platform(wanted: bytes) -> PlatformToken | None:
    return PlatformToken.objects.filter(digest=wanted).first()


def _organization(wanted: bytes) -> OrganizationToken | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT access_find_token(%s)", [wanted])
        organization_id = cursor.fetchone()[0]
    if organization_id is None:
        return None
    with scope.tenant(organization_id):
        return OrganizationToken.objects.filter(digest=wanted).first()
