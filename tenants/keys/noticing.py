"""Tells that a key's own date is near, thirty, fourteen, seven and one day before; once each.

Who was away for a while is told of the nearest only: five days before the end, a notice of thirty
days would be noise. Another date is another story, and is told anew.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from uuid import UUID

import structlog
from django.db import connection
from django.utils import timezone

from tenants.common import scope, turns
from tenants.common.turns import Turn
from tenants.keys import announcing, expiry
from tenants.keys.models import MistralKey
from tenants.organizations.models import OrganizationStatus

log = structlog.get_logger(__name__)

NOTICES = (1, 7, 14, 30)


def notice_expiring(turn: Turn | None = None) -> int:
    """Announce every key whose date is near and was not announced yet; tell how many were.

    Args:
        turn: announce those only for which it has time; None: all.
    """
    near: dict[UUID, list[UUID]] = defaultdict(list)
    for organization_id, key_id in _near():
        near[organization_id].append(key_id)
    told = sum(turns.each(_walk(near, turn), partial(_tell_of, near), turn))
    log.info("expiries_noticed", announced=told)
    return told


def _walk(ids: Iterable[UUID], turn: Turn | None) -> Iterator[UUID]:
    """Give those for which a turn has time, behind those that the turns before have done."""
    for organization_id in ids:
        if turn is not None and turn.after is not None and organization_id <= turn.after:
            continue
        yield organization_id
        if turn is not None and turn.is_over():
            turn.left_at = organization_id
            return


def _tell_of(near: Mapping[UUID, list[UUID]], organization_id: UUID) -> int:
    with scope.tenant(organization_id):
        keys = MistralKey.objects.select_related("organization").filter(
            pk__in=near[organization_id],
            revoked_at=None,
            organization__status=OrganizationStatus.ACTIVE,
            workspace__archived_at=None,
        )
        return sum(_tell(key) for key in keys)


def _tell(key: MistralKey) -> bool:
    if key.expires_on is None:
        return False
    days_left = (key.expires_on - expiry.today(key.organization.timezone, timezone.now())).days
    notice = next((days for days in NOTICES if 0 <= days_left <= days), None)
    return notice is not None and announcing.expiring(key, days_left, notice)


def _near() -> list[tuple[UUID, UUID]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT organization_id, key_id FROM keys_expiring(%s)", [max(NOTICES)])
        return list(cursor.fetchall())
