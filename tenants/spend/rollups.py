"""Keeps the roll-ups: sums of the ledger by local day, small enough to read a month at a glance.

The work is done in the database, in one transaction each (``migrations/sql/0003_*``). Every event
is in exactly once, however often and by however many this is run; what is not in yet is read from
the events (``SpendLine``), so no figure waits for a roll-up. Rebuilding gives the same figures.
"""

from dataclasses import dataclass
from uuid import UUID

import structlog
from django.db import connection

from tenants.common import scope

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found.

    Attributes:
        events: how many events were summed.
        lines: into how many lines.
        changed: how many lines were not as they had to be; 0 is what everybody expects.
    """

    events: int
    lines: int
    changed: int


def roll_up() -> int | None:
    """Add what was written since the last time; tell how many events, None if another is at it.

    What a transaction that is still running may have written waits for the next time.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT spend_roll()")
        rolled: int | None = cursor.fetchone()[0]
    return rolled


def rebuild(organization_id: UUID) -> Rebuilt:
    """Sum one organization's events anew, as far as they are rolled up at all."""
    with scope.tenant(organization_id), connection.cursor() as cursor:
        cursor.execute("SELECT events, lines, changed FROM spend_rebuild()")
        return Rebuilt(*cursor.fetchone())


def sum_up_pages() -> tuple[int, int]:
    """Keep the indexes whole by which the rest is found; tell how many ranges were new, and mended.

    Reports read every page of the ledger that the index cannot tell about. Autovacuum sums pages
    up, but drops requests when there are many, and one that is interrupted spoils the rest of a
    month's index for ever (``migrations/sql/0016_sum_up.sql``).
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT summed, mended FROM spend_sum_up_pages()")
        summed, mended = cursor.fetchone()
    if mended:
        log.warning("ledger_index_mended", ranges=mended)
    return summed, mended
