"""Remembers when keys served a call: to the minute, and never on a call's own way."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from django.db import connection


def note(used: Mapping[UUID, datetime]) -> int:
    """Write down, in the open transaction, when keys were last used, whosesoever they are.

    Returns:
        How many were written; what is known to the minute is not written again.
    """
    if not used:
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT keys_note_use(%s, %s)", [list(used), list(used.values())])
        written: int = cursor.fetchone()[0]
    return written
