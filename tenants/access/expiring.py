"""Tells that a token of an organization ends soon: thirty, fourteen, seven and one day before.

Each is told once, and who was away for a while is told of the nearest only. Platform tokens belong
to no organization: ``manage.py platform_token list`` shows when they end.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import structlog
from django.db import connection
from django.db.models.functions import Now

from tenants.access.models import OrganizationToken
from tenants.common import scope, turns
from tenants.organizations import outbox

log = structlog.get_logger(__name__)

NOTICES = (1, 7, 14, 30)


def notice_expiring() -> int:
    """Announce every token whose end is near and was not announced yet; tell how many were."""
    near: dict[UUID, list[UUID]] = defaultdict(list)
    for organization_id, token_id in _near():
        near[organization_id].append(token_id)
    told = sum(turns.each(near, partial(_tell_of, near)))
    log.info("token_expiries_noticed", announced=told)
    return told


def _tell_of(near: Mapping[UUID, list[UUID]], organization_id: UUID) -> int:
    with scope.tenant(organization_id):
        tokens = OrganizationToken.objects.filter(
            pk__in=near[organization_id], revoked_at=None, expires_at__gt=Now()
        )
        return sum(_tell(token) for token in tokens.annotate(present=Now()).order_by("pk"))


def _tell(token: Any) -> bool:
    left: timedelta = token.expires_at - token.present
    notice = next((days for days in NOTICES if left <= timedelta(days=days)), None)
    if notice is None:
        return False
    end = token.expires_at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    facts = {"token_id": str(token.pk), "name": token.name, "hint": token.hint}
    return outbox.announce(
        organization_id=token.organization_id,
        kind="token.expiring",
        data=facts | {"expires_at": end, "days_left": round(left / timedelta(days=1))},
        once=f"token.expiring:{token.pk}:{end}:{notice}",
    )


def _near() -> list[tuple[UUID, UUID]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM access_tokens_expiring(%s)", [max(NOTICES)])
        return list(cursor.fetchall())
