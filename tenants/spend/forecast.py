"""Where the present month is heading: a plain extrapolation whose every step can be redone by hand.

Spent so far, plus the mean of the last full days times the days that are left. No seasons, no
weekdays: what is told beside it (which days, how much a day) lets a reader judge it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import QuerySet, Sum

from tenants.common.money import rounded
from tenants.common.months import Month
from tenants.spend.models import SpendLine

METHOD = "mean_of_recent_full_days"
MOST_DAYS = 14
LEAST_DAYS = 3
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What the month will have cost, if it goes on like the last days.

    Attributes:
        amount: the forecast for the whole month.
        per_day: the mean of the days from ``since`` to yesterday, ``days`` of them.
        limit_reached_on: the local day on which the limit is reached at that rate; None if it is
            not within this month, or there is no limit.
    """

    amount: Decimal
    per_day: Decimal
    days: int
    since: date
    limit_reached_on: date | None
    method: str = METHOD


def forecast(
    *,
    lines: QuerySet[SpendLine],
    month: Month,
    spent: Decimal,
    began: datetime,
    now: datetime,
    limit: Decimal | None = None,
    days_known: Mapping[date, Decimal] | None = None,
) -> Forecast | None:
    """Extrapolate the present month, inside a scope; None for other months, and with too few days.

    Args:
        lines: of the subject, of every month.
        month: which.
        spent: so far in it.
        began: when the subject was made: it cannot have spent before.
        now: the present instant.
        limit: what the subject may spend.
        days_known: what each day of the month cost, if that was read already: then days before the
            month alone are asked for.
    """
    if not month.starts_at <= now < month.ends_at:
        return None
    zone = ZoneInfo(month.zone)
    today = now.astimezone(zone).date()
    since = max(today - MOST_DAYS * _DAY, began.astimezone(zone).date() + _DAY)
    days = (today - since).days
    if days < LEAST_DAYS:
        return None
    total = Decimal(0)
    until = today
    if days_known is not None:
        total = sum((cost for day, cost in days_known.items() if since <= day < today), total)
        until = month.first_day
    if since < until:
        recent = lines.filter(
            period__gte=since.replace(day=1),
            period__lte=month.first_day,
            day__gte=since,
            day__lt=until,
        )
        total += recent.aggregate(amount=Sum("cost"))["amount"] or Decimal(0)
    per_day = rounded(total / days)
    left = Decimal((month.ends_at - now) // _SECOND) / Decimal(_DAY // _SECOND)
    return Forecast(
        amount=rounded(spent + max(per_day, Decimal(0)) * left),
        per_day=per_day,
        days=days,
        since=since,
        limit_reached_on=_reached_on(spent, per_day, limit, now, month),
    )


def _reached_on(
    spent: Decimal, per_day: Decimal, limit: Decimal | None, now: datetime, month: Month
) -> date | None:
    if limit is None:
        return None
    zone = ZoneInfo(month.zone)
    if spent >= limit:
        return now.astimezone(zone).date()
    if per_day <= 0:
        return None
    seconds = int((limit - spent) / per_day * Decimal(_DAY // _SECOND))
    if seconds >= (month.ends_at - now) // _SECOND:
        return None
    return (now + timedelta(seconds=seconds)).astimezone(zone).date()
