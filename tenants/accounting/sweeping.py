"""Which work is due, whosesoever it is: what a dead broker or worker lost is found here.

One definer function looks across tenants with partial indexes, and tells ids only.
"""

from uuid import UUID

from django.db import connection

from tenants.accounting.timing import timing


def take_due() -> list[tuple[str, UUID, UUID]]:
    """Take a batch of due work for the queue: what it is, whose, and its id."""
    times = timing()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT work, organization_id, row_id FROM accounting_take_due(%s, %s)",
            [times.batch, times.queue],
        )
        return [(work, organization_id, row_id) for work, organization_id, row_id in cursor]
