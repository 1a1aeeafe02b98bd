"""Posts events that nothing was held for: calls that others report, and corrections.

They have happened already, so no limit refuses them: they are settled at once, and where they take
a balance beyond its limit the part beyond is shown as excess. Each is known by a digest for ever.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import orjson
from django.db import connection

from tenants.common.months import Month
from tenants.organizations.models import FormerTimeZone, Organization
from tenants.spend.rows import Row

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MILLISECOND = timedelta(milliseconds=1)
_VERSION, _VARIANT = 7 << 76, 2 << 62
_RANDOM = (0xFFF << 64) | ((1 << 62) - 1)


def digest_of(*names: str) -> UUID:
    """Make the digest by which an event is known: half of a SHA-256 over its names."""
    return UUID(bytes=hashlib.sha256("\x00".join(names).encode()).digest()[:16])


def event_id(digest: UUID, occurred_at: datetime) -> UUID:
    """Make an event's id: a UUIDv7 of its instant, with the digest in the place of chance."""
    milliseconds = (occurred_at - _EPOCH) // _MILLISECOND
    return UUID(int=milliseconds << 80 | _VERSION | _VARIANT | digest.int & _RANDOM)


class Calendar:
    """An organization's budget months, each in the zone of its time; made inside an open scope."""

    def __init__(self, organization: Organization) -> None:
        former = FormerTimeZone.objects.filter(organization=organization).order_by("until")
        self._former = list(former.values_list("until", "timezone"))
        self._zone = organization.timezone

    def month_of(self, instant: datetime) -> Month:
        """Find the budget month of an instant."""
        zones = (zone for until, zone in self._former if instant < until)
        return Month.of(instant, next(zones, self._zone))


def post(entries: Sequence[Row]) -> set[UUID]:
    """Post a tenant's events inside its scope, those whose digest is new; tell which those were.

    Raises:
        IntegrityError: ``balance_signs``: a correction would make a balance negative.
    """
    if not entries:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM spend_post(%s::json)", [orjson.dumps(entries, default=str).decode()]
        )
        return {row[0] for row in cursor.fetchall()}


def text_of(amount: Decimal | None) -> str | None:
    """Write an amount for the database."""
    return None if amount is None else format(amount, "f")
