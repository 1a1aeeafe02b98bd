"""Forgets single calls after the months that an organization chose; its sums stay for ever.

Events go, roll-ups stay: months, days, models and categories keep their figures, while `/calls` of
a forgotten month is empty and a rebuild leaves its lines alone. Nothing is forgotten unless an
organization asks for it, and never a call that the roll-ups do not have.
"""

from datetime import date
from uuid import UUID

import structlog
from django.db import connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.months import Month
from tenants.organizations import walking
from tenants.organizations.models import Organization
from tenants.spend.models import Retention

log = structlog.get_logger(__name__)

#: Whole months that are kept at least, beside the present one: a year can be compared with another.
LEAST_MONTHS = 13
MOST_MONTHS = 240


def months_of(organization_id: UUID) -> int | None:
    """Read how many whole months of single calls are kept; None: all of them."""
    with scope.tenant(organization_id):
        return Retention.objects.values_list("months", flat=True).first()


def forget_old_events() -> int:
    """Remove the events that organizations no longer keep, then partitions that are empty.

    Returns:
        How many events were removed.
    """
    total = sum(_forget_of(organization_id) for organization_id in walking.organization_ids())
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM spend_drop_partitions()")
        dropped = [name for (name,) in cursor.fetchall()]
    if total or dropped:
        log.info("events_forgotten", events=total, partitions=dropped)
    return total


def kept_from(organization: Organization, months: int) -> date:
    """Give the first day of the oldest month that is kept beside the present one."""
    present = Month.of(timezone.now(), organization.timezone).first_day
    count = present.year * 12 + present.month - 1 - months
    return date(count // 12, count % 12 + 1, 1)


def _forget_of(organization_id: UUID) -> int:
    with scope.tenant(organization_id):
        chosen = Retention.objects.select_related("organization").first()
        if chosen is None or chosen.months is None:
            return 0
        with connection.cursor() as cursor:
            before = kept_from(chosen.organization, chosen.months)
            cursor.execute("SELECT spend_forget(%s)", [before])
            removed: int = cursor.fetchone()[0]
    return removed
