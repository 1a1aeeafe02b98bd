"""Which keys are due, whosesoever they are: what a dead broker or worker lost is found here.

One definer function looks across tenants, with one partial index; walking thousands of
organizations every few seconds would cost a transaction each to find nothing. It tells ids only.
"""

from uuid import UUID

from django.db import connection

from tenants.keys.timing import timing


def take_due() -> list[tuple[UUID, UUID]]:
    """Take a batch of due keys for the queue: pairs of organization and key, longest due first.

    What was taken is not given again until ``timing().queue`` seconds have passed. However many
    keys of one Mistral organization are due, others have their share; while Mistral is in trouble
    few are taken at all.
    """
    times = timing()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT organization_id, key_id FROM keys_take_due(%s, %s, %s)",
            [times.batch, times.lane_batch, times.queue],
        )
        return [(organization_id, key_id) for organization_id, key_id in cursor.fetchall()]
