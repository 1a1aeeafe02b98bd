"""Which publications are due, whosesoever: what a dead broker or worker lost is found here.

One definer function looks across tenants with a partial index, and tells ids only.
"""

from uuid import UUID

from django.db import connection

from tenants.registry.timing import timing


def take_due() -> list[tuple[UUID, UUID]]:
    """Take a batch of due publications for the queue: pairs of organization and publication."""
    times = timing()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT organization_id, publication_id FROM registry_take_due(%s, %s)",
            [times.batch, times.queue],
        )
        return [(organization_id, row_id) for organization_id, row_id in cursor]
