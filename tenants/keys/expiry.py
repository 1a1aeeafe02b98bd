"""When a key's own date is over: at the end of that day, in the organization's zone."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

_LAST_DAY = date(9999, 12, 29)  # the end of later ones is an instant that nobody can write


def today(zone: str, now: datetime) -> date:
    """Return the day that an instant falls on in a zone."""
    return now.astimezone(ZoneInfo(zone)).date()


def ends_at(expires_on: date, zone: str) -> datetime:
    """Return the first instant at which a key with this date is expired.

    Mistral publishes a day without a zone; the whole day counts as good.
    """
    day_after = min(expires_on, _LAST_DAY) + timedelta(days=1)
    midnight = datetime.combine(day_after, time.min, ZoneInfo(zone))
    return midnight.astimezone(UTC)


def has_expired(expires_on: date | None, zone: str, now: datetime) -> bool:
    """Tell whether the day is over; a key without a date never expires here."""
    return expires_on is not None and expires_on < today(zone, now)
