"""Forgets single calls after the months that an organization chose; its sums stay for ever.

Events go, roll-ups stay: months, days, models and categories keep their figures, while `/calls` of
a forgotten month is empty and a rebuild leaves its lines alone. Nothing is forgotten unless an
organization asks for it, and never a call that the roll-ups do not have.
"""

from datetime import date
from functools import partial
from uuid import UUID

import structlog
from django.db import connection
from django.utils import timezone

from tenants.common import scope, turns
from tenants.common.months import Month
from tenants.common.turns import Turn
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


def forget_old_events(turn: Turn | None = None) -> int:
    """Remove the events that organizations no longer keep, then partitions that are empty.

    Args:
        turn: remove those only for which it has time, and partitions in the last one; None: all.

    Returns:
        How many events were removed.
    """
    forget = partial(_forget_of, turn=turn)
    total = sum(turns.each(walking.organization_ids(turn), forget, turn))
    if turn is not None and turn.left_at is not None:
        return total
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


def _forget_of(organization_id: UUID, turn: Turn | None) -> int:
    """Remove an organization's months, the oldest first, each in a transaction of its own.

    What a turn that is over leaves is removed the next day.
    """
    total, is_done = 0, False
    while not is_done:
        with scope.tenant(organization_id):
            chosen = Retention.objects.select_related("organization").first()
            if chosen is None or chosen.months is None:
                return total
            kept = kept_from(chosen.organization, chosen.months)
            before = _end_of_oldest(chosen.forgotten_before, kept)
            with connection.cursor() as cursor:
                cursor.execute("SELECT spend_forget(%s)", [before])
                total += cursor.fetchone()[0]
        is_done = before == kept or (turn is not None and turn.is_over())
    return total


def _end_of_oldest(forgotten: date | None, kept: date) -> date:
    """Give the end of the oldest month of events that is not forgotten yet, `kept` if that is all.

    Whatever came later into months that were forgotten goes with it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT min(period + interval '1 month')::date FROM spend_periods() p (period)"
            " WHERE period >= %s AND period < %s",
            [forgotten or date.min, kept],
        )
        end: date | None = cursor.fetchone()[0]
    return end or kept
