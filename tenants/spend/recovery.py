"""Turns holds that nobody will settle into estimates, and keeps the ledger's partitions ahead.

It never touches a hold whose writer lives and may still settle it.
"""

from datetime import timedelta
from uuid import UUID

import structlog
from django.db import connection

log = structlog.get_logger(__name__)

#: A writer whose connection broke has this long to come back before its holds are taken.
GRACE = timedelta(seconds=10)
#: Longer than any call may last: the gateway's own time-out ends them well before.
LONGEST_CALL = timedelta(hours=2)
MONTHS_AHEAD = 3
_SECOND = timedelta(seconds=1)
_BATCH = 500
_AHEAD = """
    SELECT count(*) FROM generate_series(1, %s) month,
        to_char(date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => month),
            'YYYY_MM') suffix
    WHERE to_regclass('spend_usageevent_' || suffix) IS NOT NULL
"""
_MOST_BATCHES = 200


def recover_orphans_of(organization_id: UUID, grace: timedelta = GRACE) -> int:
    """Do what ``recover_orphans`` does for the holds of one organization, a batch at most."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT spend_recover_of(%s, make_interval(secs => %s), make_interval(secs => %s), %s)",
            [organization_id, grace // _SECOND, LONGEST_CALL // _SECOND, _BATCH],
        )
        recovered: int = cursor.fetchone()[0]
    if recovered:
        log.warning("holds_recovered", count=recovered, organization_id=str(organization_id))
    return recovered


def recover_orphans(grace: timedelta = GRACE, longest_call: timedelta = LONGEST_CALL) -> int:
    """Post an estimated event for every orphaned hold, once however many recover at a time.

    The estimate is the worst case that was held. A settlement that arrives after all posts the
    difference as a correction. Returns how many holds this run recovered.
    """
    total = 0
    for _ in range(_MOST_BATCHES):
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT spend_recover(make_interval(secs => %s), make_interval(secs => %s), %s)",
                [grace // _SECOND, longest_call // _SECOND, _BATCH],
            )
            recovered: int = cursor.fetchone()[0]
        total += recovered
        if recovered < _BATCH:
            break
    if total:
        log.warning("holds_recovered", count=total)
    return total


def prepare_partitions() -> int:
    """Make the coming months' partitions of the events; returns how many were missing."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT spend_make_partitions(%s)", [MONTHS_AHEAD])
        made: int = cursor.fetchone()[0]
    return made


def partitions_ahead() -> int:
    """Count the coming months, of those that are prepared, that have a partition already."""
    with connection.cursor() as cursor:
        cursor.execute(_AHEAD, [MONTHS_AHEAD])
        ahead: int = cursor.fetchone()[0]
    return ahead
