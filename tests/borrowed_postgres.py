"""A PostgreSQL that somebody else runs, borrowed for one run of the suite (``TEST_DATABASE_URL``).

As on the suite's own server, databases belong to a login that is no superuser and may make roles.
That login, all that belongs to it and the application's roles are gone when the run ends; what a
killed run left goes when the next one begins. One run at a time: roles are shared by a server.
"""

import secrets
from typing import Any

import psycopg
from psycopg import sql

from aisuru_mistral.launcher import provision

OWNER = "aim_test_owner"
_LOCK = 0x61696D5F74657374  # "aim_test"


class BorrowedPostgres:
    """The server, for as long as the run lasts.

    Args:
        url: a login that may make roles, give them rights and drop what is theirs.
        logins: the application's, made by the run.
    """

    def __init__(self, url: str, *logins: str) -> None:
        self._url = url
        self._roles = (*logins, provision.APPLICATION_ROLE, OWNER)
        self._password = secrets.token_urlsafe(24)
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def owner_url(self) -> str:
        """Return the address for the owner of databases."""
        return provision.with_login(self._url, OWNER, self._password)

    def start(self) -> None:
        """Take the server for this run, cleared of earlier ones."""
        self._connection = psycopg.connect(self._url, autocommit=True, connect_timeout=10)
        taken = self._connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
        if taken != (True,):
            raise SystemExit("TEST_DATABASE_URL: another run of the suite uses this server")
        self._clear()
        self._connection.execute(
            sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                sql.Identifier(OWNER), sql.Literal(self._password)
            )
        )
        self.hurry()

    def hurry(self, *logins: str) -> None:
        """Have commits of the run wait for no disk: only a crash of that machine would show it."""
        assert self._connection is not None
        for login in (OWNER, *logins):
            command = sql.SQL("ALTER ROLE {} SET synchronous_commit = off")
            self._connection.execute(command.format(sql.Identifier(login)))

    def stop(self) -> None:
        """Leave nothing behind."""
        if self._connection is not None:
            self._clear()
            self._connection.close()
            self._connection = None

    def _clear(self) -> None:
        assert self._connection is not None
        run = self._connection.execute
        for (name,) in run(
            """SELECT datname FROM pg_database d JOIN pg_roles r ON r.oid = datdba
               WHERE rolname = %s""",
            [OWNER],
        ).fetchall():
            run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        for role in self._roles:
            try:
                run(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(role)))
            except psycopg.errors.DependentObjectsStillExist:
                continue  # a deployment on the same server has rights by it
