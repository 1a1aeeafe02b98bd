"""Prepares a database for the service: its roles, its grants and the message queue.

The application logs in as a role of its own that is a member of the group role `aim_app`; it owns
no table of the service, and can neither bypass row-level security nor make roles. Everything here
may run again, and at the same time as another run. Tables and their grants come with migrations.
"""

import time
from collections.abc import Callable
from functools import partial
from urllib.parse import quote, unquote, urlsplit

import psycopg
from psycopg import Connection, errors, sql
from psycopg.rows import TupleRow

from aisuru_mistral.launcher.console import CannotStart

APPLICATION_ROLE = "aim_app"
LEAST_VERSION = 150000
_LOCK = 0x61696D5F70726F76  # "aim_prov"
_ATTEMPTS = 20
# What two runs in different databases of one cluster may do to each other: roles are shared.
_COLLISIONS = (errors.DuplicateObject, errors.UniqueViolation, errors.InternalError_)

type _Connection = Connection[TupleRow]


def provision(owner_url: str, database: str, app_login: str, app_password: str) -> str:
    """Make `database` usable by the application and return the application's own address for it.

    Args:
        owner_url: a login that may create roles, in `database` itself or in another database of the
            same server when `database` is still to be made (the login must then be allowed to).
        database: the name of the service's database.
        app_login: the application's login, made when missing.
        app_password: its password, set when it differs.

    Raises:
        CannotStart: the server refuses; the text says what to run by hand.
    """
    try:
        with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as connection:
            _check_version(connection)
            _patiently(partial(_ensure_roles, connection, app_login, app_password))
            made = _patiently(partial(_ensure_database, connection, database))
        with psycopg.connect(
            with_database(owner_url, database), autocommit=True, connect_timeout=10
        ) as connection:
            _patiently(partial(_ensure_grants, connection, database, app_login, made=made))
            _ensure_queue(connection)
        app_url = with_login(with_database(owner_url, database), app_login, app_password)
        _ensure_password(owner_url, app_url, app_login, app_password)
        _check_application(app_url)
    except errors.InsufficientPrivilege as error:
        raise CannotStart(_by_hand(error, database, app_login)) from error
    except psycopg.OperationalError as error:
        raise CannotStart(f"DATABASE_URL: PostgreSQL cannot be reached: {error}") from error
    return app_url


def app_login_of(database: str) -> str:
    """Return the name of the application's login for a database (at most 63 bytes)."""
    return f"aim_{database}_app"[:63]


def database_of(url: str) -> str:
    """Return the name of the database in an address."""
    return unquote(urlsplit(url).path.lstrip("/"))


def with_database(url: str, database: str) -> str:
    """Return the address with another database."""
    return urlsplit(url)._replace(path=f"/{quote(database, safe='')}").geturl()


def with_login(url: str, login: str, password: str) -> str:
    """Return the address with another login."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    who = f"{quote(login, safe='')}:{quote(password, safe='')}"
    return parts._replace(netloc=f"{who}@{place}").geturl()


def _patiently[Result](work: Callable[[], Result]) -> Result:
    """Repeat what another run collided with: it has made by now what we wanted to make."""
    for attempt in range(_ATTEMPTS):
        try:
            return work()
        except _COLLISIONS:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.05)
    raise AssertionError("unreachable")  # pragma: no cover


def _check_version(connection: _Connection) -> None:
    if connection.info.server_version < LEAST_VERSION:
        raise CannotStart(
            f"DATABASE_URL: PostgreSQL {connection.info.server_version // 10000} is too old;"
            f" use {LEAST_VERSION // 10000} or newer"
        )


def _ensure_roles(connection: _Connection, app_login: str, app_password: str) -> None:
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        found = connection.execute(
            "SELECT rolname FROM pg_roles WHERE rolname IN (%s, %s)", [APPLICATION_ROLE, app_login]
        )
        names = {name for (name,) in found}
        group, login = sql.Identifier(APPLICATION_ROLE), sql.Identifier(app_login)
        if APPLICATION_ROLE not in names:
            connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(group))
        if app_login not in names:
            verifier = sql.Literal(_verifier(connection, app_login, app_password))
            connection.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(login, verifier))
        member = connection.execute(
            "SELECT pg_has_role(%s, %s, 'USAGE')", [app_login, APPLICATION_ROLE]
        ).fetchone()
        if member != (True,):
            connection.execute(sql.SQL("GRANT {} TO {}").format(group, login))


def _verifier(connection: _Connection, login: str, password: str) -> str:
    """Return what PostgreSQL stores for a password, so that the password itself stays here."""
    made = connection.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256")
    return made.decode("ascii")


def _ensure_database(connection: _Connection, database: str) -> bool:
    """Make the database if it is not there; return whether it was made."""
    found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database])
    if found.fetchone():
        return False
    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    return True


def _ensure_grants(connection: _Connection, database: str, app_login: str, *, made: bool) -> None:
    name, login = sql.Identifier(database), sql.Identifier(app_login)
    group = sql.Identifier(APPLICATION_ROLE)
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if made:  # aim_app is shared by all databases of a server: only this login comes in here
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
        may = connection.execute(
            """SELECT has_database_privilege(%(login)s, current_database(), 'CONNECT')
                  AND has_schema_privilege(%(group)s, 'public', 'USAGE')""",
            {"login": app_login, "group": APPLICATION_ROLE},
        ).fetchone()
        if may != (True,):
            connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name, login))
            connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(group))


def _ensure_queue(connection: _Connection) -> None:
    """Install pgmq once, and let the application make and use its queues.

    Kombu declares a queue whenever it connects, and with it the queue's trigger: the application
    owns the tables of its queues, and nothing else.
    """
    from pgmq import install  # noqa: PLC0415 - slow to import, and rarely needed

    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        if connection.execute("SELECT to_regnamespace('pgmq')").fetchone() == (None,):
            connection.execute(install.get_embedded_install_sql())
        elif connection.execute(
            "SELECT has_schema_privilege(%s, 'pgmq', 'CREATE')", [APPLICATION_ROLE]
        ).fetchone() == (True,):
            return
        group = sql.Identifier(APPLICATION_ROLE)
        for grant in (
            "GRANT USAGE, CREATE ON SCHEMA pgmq TO {}",
            "GRANT SELECT, INSERT, UPDATE, DELETE, REFERENCES ON pgmq.meta TO {}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON pgmq.notify_insert_throttle TO {}",
            "GRANT SELECT, INSERT, UPDATE, DELETE ON pgmq.topic_bindings TO {}",
        ):
            connection.execute(sql.SQL(grant).format(group))


def _ensure_password(owner_url: str, app_url: str, app_login: str, app_password: str) -> None:
    """Set the application's password when logging in with it fails."""
    try:
        psycopg.connect(app_url, connect_timeout=10).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" not in str(error):
            raise
        with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as connection:
            verifier = _verifier(connection, app_login, app_password)
            connection.execute(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                    sql.Identifier(app_login), sql.Literal(verifier)
                )
            )


def _check_application(app_url: str) -> None:
    """Refuse an application login that could walk around row-level security."""
    with psycopg.connect(app_url, connect_timeout=10) as connection:
        roles = connection.execute(
            """SELECT r.rolname FROM pg_roles r
               WHERE pg_has_role(current_user, r.oid, 'MEMBER')
                 AND (r.rolsuper OR r.rolbypassrls OR r.rolcreaterole
                      OR r.oid IN (SELECT datdba FROM pg_database
                                   WHERE datname = current_database()))"""
        ).fetchall()
    if roles:
        names = ", ".join(name for (name,) in roles)
        raise CannotStart(
            f"the application's login has the rights of {names}, which bypass row-level security:"
            " take them away from it"
        )


def _by_hand(error: Exception, database: str, app_login: str) -> str:
    reason = str(error).partition("\n")[0]
    return (
        f"DATABASE_URL: its login may not prepare the database ({reason}).\n"
        "Give it CREATEROLE and CREATE on the database, or run as a superuser, once:\n"
        f"    CREATE ROLE {APPLICATION_ROLE} NOLOGIN;\n"
        f'    CREATE ROLE "{app_login}" LOGIN PASSWORD \'…POSTGRES_APP_PASSWORD of'
        " DATA_DIR/secrets.env…';\n"
        f'    GRANT {APPLICATION_ROLE} TO "{app_login}";\n'
        f'    GRANT CREATE ON DATABASE "{database}" TO the login of DATABASE_URL;'
    )
