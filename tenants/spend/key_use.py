"""Reads from the ledger when keys were last used; calls pay nothing for it."""

from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from tenants.keys import using

#: How far back a run looks at most, after an interruption however long.
_MOST = timedelta(days=1)
_SECOND = timedelta(seconds=1)


def note_key_use() -> int:
    """Tell each key when it was last used; returns for how many that was news.

    What was read and what was written commit together: a run that fails is repeated whole.
    """
    with transaction.atomic(durable=True):
        return using.note(_used())


def _used() -> dict[UUID, datetime]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT key_id, used_at FROM spend_keys_used(make_interval(secs => %s))",
            [_MOST // _SECOND],
        )
        return dict(cursor.fetchall())
