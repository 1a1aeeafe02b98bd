"""Finds the token behind an Authorization header; it refuses what is no live token of ours.

Unauthenticated
├── token_missing      no Authorization header
├── token_malformed    not ``Bearer`` and a token of ours, or one for another door
├── token_unknown      well-formed, but never issued
├── token_revoked      its owner took it back, or replaced it and the grace is over
└── token_expired      its time is over
Forbidden
└── address_not_allowed  sent from a network that the token is not for
"""

import hmac
from contextlib import nullcontext
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import DatabaseError, connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.access.addresses import Address, is_within
from tenants.access.models import OrganizationToken, PlatformToken
from tenants.common import scope
from tenants.common.problems import Forbidden, Unauthenticated
from tenants.common.tokens import TokenKind, digest, kind_of

type ApiToken = PlatformToken | OrganizationToken

USES_NOTED = timedelta(minutes=5)
_SCHEME = "bearer"
_LONGEST_HEADER = 128

log = structlog.get_logger(__name__)


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
    """Find the live row of a well-formed token, by the database's clock.

    Raises:
        Unauthenticated: ``token_unknown``, ``token_revoked`` or ``token_expired``.
    """
    wanted = digest(token)
    row: Any = _platform(wanted) if kind is TokenKind.PLATFORM else _organization(wanted)
    if row is None:
        raise Unauthenticated("token_unknown", _("This token is not known here."))
    now: datetime = row.present
    if row.revoked_at is not None or not _opens(row, wanted, now):
        raise Unauthenticated("token_revoked", _("This token was revoked. Use another one."))
    if row.is_expired(now):
        raise Unauthenticated("token_expired", _("This token has expired. Use another one."))
    found: ApiToken = row
    found.opened_with_former = not hmac.compare_digest(bytes(found.digest), wanted)
    return found


def require_address(token: ApiToken, address: Address | None) -> None:
    """Refuse a token that is not for the network it is sent from.

    Raises:
        Forbidden: ``address_not_allowed``.
    """
    if token.allowed_networks and not is_within(address, token.allowed_networks):
        detail = _("This token may not be used from this address. Ask its owner to allow it.")
        raise Forbidden("address_not_allowed", detail)


def note_use(token: ApiToken) -> None:
    """Remember that a token was used, at most once in five minutes; nothing depends on it.

    The use of a token from before a rotation, in its grace, is remembered apart.
    """
    now = timezone.now()
    noted = "former_last_used_at" if token.opened_with_former else "last_used_at"
    last: datetime | None = getattr(token, noted)
    if last is not None and last > now - USES_NOTED:
        return
    rows: Any = type(token).objects.filter(pk=token.pk)
    unnoted = rows.filter(Q(**{noted: None}) | Q(**{f"{noted}__lt": now - USES_NOTED}))
    owner = token.organization_id if isinstance(token, OrganizationToken) else None
    try:
        with scope.tenant(owner) if owner else nullcontext():
            unnoted.update(**{noted: now})
    except DatabaseError as error:
        log.warning("token_use_not_noted", error=type(error).__name__)


def _opens(row: ApiToken, wanted: bytes, now: datetime) -> bool:
    if hmac.compare_digest(bytes(row.digest), wanted):
        return True
    former = bytes(row.former_digest or b"")
    is_former = hmac.compare_digest(former, wanted)
    return is_former and row.former_ends_at is not None and row.former_ends_at > now


def _platform(wanted: bytes) -> PlatformToken | None:
    own = Q(digest=wanted) | Q(former_digest=wanted)
    return PlatformToken.objects.filter(own).annotate(present=Now()).first()


def _organization(wanted: bytes) -> OrganizationToken | None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT access_find_token(%s)", [wanted])
        organization_id = cursor.fetchone()[0]
    if organization_id is None:
        return None
    with scope.tenant(organization_id):
        own = Q(digest=wanted) | Q(former_digest=wanted)
        return OrganizationToken.objects.filter(own).annotate(present=Now()).first()
