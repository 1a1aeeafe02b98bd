"""What every row has: a time-ordered id and the instant it was made."""

import time
from datetime import datetime, timedelta
from uuid import UUID

import uuid_utils.compat
from django.db import models

#: How far ids may be ahead of the clock, so that they go on in order where it is corrected.
_AHEAD_MS = 10_000


def new_id() -> UUID:
    """Make a UUIDv7 (RFC 9562): unique, and sorted by the millisecond it was made.

    The library never goes back behind an id that it has made. A call's month is in its id, so after
    a clock that was far ahead the order is given up for the right time.
    """
    made = uuid_utils.compat.uuid7()
    now = time.time_ns()
    if (made.int >> 80) - now // 1_000_000 > _AHEAD_MS:
        return uuid_utils.compat.uuid7(nanoseconds=now)
    return made


def least_id(instant: datetime, *, shift: timedelta = timedelta()) -> UUID:
    """Make the least UUIDv7 of an instant's millisecond, to look rows up by when they were made.

    Args:
        instant: any; before 1970 there was none.
        shift: moves it.
    """
    milliseconds = int((instant.timestamp() + shift.total_seconds()) * 1000)
    return UUID(int=max(milliseconds, 0) << 80)


class Row(models.Model):
    """A row with a time-ordered id, so that the primary key is also the order of creation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    created_at = models.DateTimeField(auto_now_add=True, editable=False)

    class Meta:
        abstract = True


class TenantRow(Row):
    """A row of one organization; row-level security checks ``organization_id``."""

    organization = models.ForeignKey(
        "organizations.Organization", on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        abstract = True
