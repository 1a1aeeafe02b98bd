"""Two connections that meet at a lock: no test of it waits for a time."""

from django.db import connection


def is_waited_for() -> bool:
    """Tell whether another connection waits for what this one has locked."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted"
            " AND pg_backend_pid() = ANY (pg_blocking_pids(pid)))"
        )
        return bool(cursor.fetchone()[0])
