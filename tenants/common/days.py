"""Says days and instants inside of sentences, in the reader's language."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from django.utils.formats import date_format
from django.utils.translation import get_language

#: Where no organization says its own, as for people's own accounts.
USUAL_ZONE = "Europe/Rome"


def say_day(day: date, how: str = "j F Y") -> str:
    """Say a day or a month; Italian writes months small, which Django does not."""
    text = date_format(day, how)
    return text.lower() if (get_language() or "").startswith("it") else text


def say_instant(instant: datetime, zone: str = USUAL_ZONE) -> str:
    """Say an instant in a zone, and the zone, as in 26 November 2026, 15:04 (Europe/Rome)."""
    local = instant.astimezone(ZoneInfo(zone))
    return f"{say_day(local.date())}, {local:%H:%M} ({zone})"
