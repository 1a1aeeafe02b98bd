"""`manage.py migrate`: Django's own, but it waits for no lock for long.

Whoever waits for a strong lock has everybody else wait behind: a report that reads a table, a
migration that wants to change it, and then every call of the gateway. So a migration gives up after
``MIGRATION_LOCK_SECONDS``, lets the others go first for twice as long, and tries again.

Where one was cut off among indexes that are built beside others, it goes on with what is not whole.
"""

import re
import time
from collections.abc import Callable
from typing import Any, override

import psycopg
from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands import migrate
from django.db import OperationalError, connections

_BESIDE_OTHERS = re.compile(r"\bCONCURRENTLY\b", re.IGNORECASE)
_BUILDS = re.compile(r'\s*CREATE (?:UNIQUE )?INDEX CONCURRENTLY "?(\w+)"? ON', re.IGNORECASE)
_IS_WHOLE = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)"
#: Whoever held the lock has been there for as long as it was waited for.
_OPEN = """
    SELECT pid, usename, coalesce(state, 'unknown'),
           extract(epoch FROM clock_timestamp() - xact_start)::int
    FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
      AND xact_start < clock_timestamp() - make_interval(secs => %s)
    ORDER BY xact_start LIMIT 5
"""


class Command(migrate.Command):
    """Migrate with patience for others; the exit code is 1 where a lock was never to be had."""

    _name = "The migration"

    def handle(self, *args: Any, **options: Any) -> None:
        """Migrate. What a lock was missing for is rolled back and begun again."""
        connection = connections[options["database"]]
        attempt = 0
        try:
            while True:
                _wait_at_most(connection, settings.MIGRATION_LOCK_SECONDS)
                try:
                    with connection.execute_wrapper(self._execute):
                        super().handle(*args, **options)
                except OperationalError as error:
                    attempt += 1
                    self._let_others_go_first(connection, error, attempt)
                else:
                    return
        finally:
            if connection.is_usable():
                connection.connection.execute("RESET lock_timeout")

    @override
    def migration_progress_callback(
        self, action: str, migration: Any = None, fake: bool = False
    ) -> None:
        """Note which migration is under way, besides what Django tells of it."""
        if action == "apply_start":
            self._name = str(migration)
        super().migration_progress_callback(action, migration, fake)

    def _execute(
        self, execute: Callable[..., Any], sql: Any, params: Any, many: Any, context: Any
    ) -> Any:
        """Run one statement; outside a transaction it alone is what can be begun again.

        What is built CONCURRENTLY has nobody queue behind it, and leaves a broken index where it is
        given up: it waits as long as it takes, and a broken one is dropped before it is built.
        """
        connection = context["connection"]
        if connection.in_atomic_block:
            return execute(sql, params, many, context)
        if _BESIDE_OTHERS.search(str(sql)):
            _wait_at_most(connection, 0)
            try:
                if _is_built(connection, str(sql)):
                    return None
                return execute(sql, params, many, context)
            finally:
                _wait_at_most(connection, settings.MIGRATION_LOCK_SECONDS)
        attempt = 0
        while True:
            try:
                return execute(sql, params, many, context)
            except OperationalError as error:
                attempt += 1
                self._let_others_go_first(connection, error, attempt)

    def _let_others_go_first(self, connection: Any, error: OperationalError, attempt: int) -> None:
        """Say who may hold the lock, and pause; or end, after the last attempt."""
        if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise error
        seconds, attempts = settings.MIGRATION_LOCK_SECONDS, settings.MIGRATION_ATTEMPTS
        found = connection.connection.execute(_OPEN, [seconds]).fetchall()
        holders = "; ".join(
            f"process {pid} of {login} for {age} s ({state})" for pid, login, state, age in found
        )
        told = (
            f"{self._name} waited {seconds} s for a lock, in vain"
            f" (attempt {attempt} of {attempts}).\n"
            f"  Transactions that are open for so long: {holders or 'none any more'}."
        )
        if attempt >= attempts:
            raise CommandError(
                f"{told}\n  What is listed as applied stays applied. End what holds the lock"
                " (SELECT pg_terminate_backend(…)) or wait until it is over, and migrate again."
            ) from error
        self.stderr.write(f"\n{told}\n  Others go first for {2 * seconds} s.")
        time.sleep(2 * seconds)


def _wait_at_most(connection: Any, seconds: int) -> None:
    """Set for how long the session waits for a lock; 0 is for ever."""
    connection.ensure_connection()
    connection.connection.execute(f"SET lock_timeout = '{seconds}s'")


def _is_built(connection: Any, statement: str) -> bool:
    """Tell whether the index that a statement builds is there; one that is not whole is dropped."""
    builds = _BUILDS.match(statement)
    found = builds and connection.connection.execute(_IS_WHOLE, [builds[1]]).fetchone()
    if not builds or not found:
        return False
    (is_whole,) = found
    if not is_whole:
        connection.connection.execute(f"DROP INDEX CONCURRENTLY {builds[1]}")
    return bool(is_whole)
