"""Looks at PostgreSQL: who we are in it, what it has, whether it has room and the right time."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import psycopg
from django.conf import settings
from django.db import OperationalError, connection, connections
from django.utils import timezone

from aisuru_mistral import health, indexes, upkeep, walls
from aisuru_mistral.doctor.findings import Finding, Look, fail, ok, warn
from tenants.common import scope
from tenants.organizations import data_keys, rotation, walking
from tenants.organizations.data_keys import WrappedKey
from tenants.spend import recovery

_OLDEST = 15
_SECONDS_APART = 2.0
_FULL = 0.8
#: Connections of one web process at most: the pool's twelve, the gateway's three, pgmq's two.
_OF_A_WEB_PROCESS = 17
_LONGEST = """
    SELECT coalesce(extract(epoch FROM max(now() - xact_start)), 0)
    FROM pg_stat_activity WHERE datname = current_database() AND state <> 'idle'
"""
_LONG = 600
_ORGANIZATIONS_TRIED = 20


def looks() -> dict[str, Look]:
    """The looks, by name; the first one tells whether the others can be taken."""
    try:
        connection.ensure_connection()
    except OperationalError:
        return {"database": _unreachable}
    return {
        "database": _version,
        "login": _login,
        "wall": _wall,
        "privileges": _privileges,
        "pooler": _pooler,
        "migrations": _migrations,
        "keyring": _keyring,
        "clock": _clock,
        "connections": _connections,
        "partitions": _partitions,
        "transactions": _transactions,
        "indexes": _indexes,
    }


def _unreachable() -> Iterator[Finding]:
    host = settings.DATABASES["default"]["HOST"] or "its socket"
    yield fail(
        "database",
        f"PostgreSQL does not answer at {host}, or refuses this login{_reason()}",
        "check DATABASE_URL, the network, and that PostgreSQL runs",
    )


def _reason() -> str:
    """Ask once more, without the pool, and give libpq's words; they never have a password."""
    try:
        psycopg.connect(**connection.get_connection_params()).close()
    except psycopg.OperationalError as error:
        first = (str(error).splitlines() or [""])[0]
        return f" ({' '.join(first.rpartition(' failed: ')[2].split())})"
    return ""


def _version() -> Iterator[Finding]:
    major = connection.pg_version // 10_000  # type: ignore[attr-defined]
    if major < _OLDEST:
        said = f"PostgreSQL {major} is too old"
        yield fail("database", said, f"upgrade it to {_OLDEST} or newer")
    else:
        yield ok("database", f"PostgreSQL {major} answers")


def _login() -> Iterator[Finding]:
    if health.login_is_walled():
        yield ok("login", "this login owns no table and cannot pass row-level security")
    else:
        yield fail(
            "login",
            "this login owns tables, or may pass row-level security: nothing keeps tenants apart",
            "use the login that `docker/entrypoint.sh migrate` makes, in DATABASE_URL; beside"
            " `make up` leave DATABASE_URL unset here",
        )


def _wall() -> Iterator[Finding]:
    found = walls.breaches()
    for one in found:
        yield fail(
            "wall",
            f"{one.table} {one.said}",
            f"run as the owner of the tables: {one.mend}",
        )
    if not found:
        yield ok("wall", "every table of tenants is behind row-level security")


def _privileges() -> Iterator[Finding]:
    found = walls.refusals()
    for one in found:
        yield fail(
            "privileges",
            f"{one.table} {one.said}, or is not there",
            f"run as the owner of the tables: {one.mend}",
        )
    if not found:
        yield ok("privileges", "this login may do what it has to")


def _pooler() -> Iterator[Finding]:
    """Tell a pooler by the process that answers: it is not the one that was connected to."""
    direct = connections[settings.DIRECT_DATABASE]
    if _is_pooled(direct):
        yield fail(
            "pooler",
            "a pooler (pgbouncer) answers where sessions must be our own: in transaction mode it "
            "loses the ledger's locks and prepared statements",
            "set DATABASE_DIRECT_URL to PostgreSQL itself (docs/operations.md)",
        )
    elif settings.DIRECT_DATABASE == "default":
        yield ok("pooler", "no pooler is in the way")
    elif _whereabouts(direct) != _whereabouts(connections["default"]):
        yield fail(
            "pooler",
            "DATABASE_DIRECT_URL leads to another database, or to another login, than DATABASE_URL",
            "give both the same name, user and password, and only another host or port",
        )
    else:
        yield ok("pooler", "what belongs to a session goes past the pooler")


def _is_pooled(through: Any) -> bool:
    with through.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        [answering] = cursor.fetchone()
        return bool(answering != cursor.connection.info.backend_pid)


def _whereabouts(through: Any) -> Any:
    with through.cursor() as cursor:
        cursor.execute(
            """SELECT oid, current_user, pg_postmaster_start_time() FROM pg_database
               WHERE datname = current_database()"""
        )
        return cursor.fetchone()


def _migrations() -> Iterator[Finding]:
    if health.is_migrated():
        yield ok("migrations", "every migration of this code is applied")
    else:
        yield fail(
            "migrations",
            "the database is older than this code",
            "run `docker/entrypoint.sh migrate` with DATABASE_OWNER_URL",
        )


def _keyring() -> Iterator[Finding]:
    if missing := rotation.missing_master_keys():
        yield fail(
            "keyring",
            f"ENCRYPTION_KEYRING lacks {', '.join(missing)}, which keys here are sealed under",
            "put it back behind the newest one; without it these keys are lost",
        )
        return
    looked_at = list(_some_data_keys())
    if lost := sum(not data_keys.opens(key) for key in looked_at):
        yield fail(
            "keyring",
            f"{lost} of {len(looked_at)} data keys that were tried do not open: a master key has "
            "its id here, and other bytes than it had",
            "put the right ENCRYPTION_KEYRING back: with this one, their keys are lost",
        )
    else:
        yield ok("keyring", "every master key in use is in the keyring, and opens what it sealed")


def _some_data_keys() -> Iterator[WrappedKey]:
    """The newest data key of some organizations, whichever come first."""
    for organization_id in islice(walking.organization_ids(), _ORGANIZATIONS_TRIED):
        with scope.tenant(organization_id):
            yield from data_keys.all_of(organization_id)[-1:]


def _clock() -> Iterator[Finding]:
    here, there = timezone.now(), _one("SELECT clock_timestamp()")
    apart = abs((there - here).total_seconds())
    if apart > _SECONDS_APART:
        yield warn(
            "clock",
            f"this machine and PostgreSQL are {apart:.0f} s apart",
            "have both keep time by NTP: deadlines, months and tokens depend on it",
        )
    else:
        yield ok("clock", "this machine and PostgreSQL agree on the time")


def _connections() -> Iterator[Finding]:
    used, most = upkeep.connections()
    wanted = settings.WEB_CONCURRENCY * _OF_A_WEB_PROCESS
    if used > most * _FULL:
        remedy = "raise max_connections, or put pgbouncer in front"
        yield fail("connections", f"{used} of {most} connections are taken", remedy)
    elif wanted > most * _FULL:
        yield warn(
            "connections",
            f"this container's {settings.WEB_CONCURRENCY} web processes alone may want {wanted} of "
            f"{most} connections",
            "raise max_connections, put pgbouncer in front, or lower WEB_CONCURRENCY",
        )
    else:
        yield ok(
            "connections",
            f"{used} of {most} connections are taken; web processes like this container's "
            f"{settings.WEB_CONCURRENCY} may want {_OF_A_WEB_PROCESS} each, and others are not "
            "counted here (docs/operations.md)",
        )


def _partitions() -> Iterator[Finding]:
    ahead = recovery.partitions_ahead()
    if ahead == 0:
        yield warn(
            "partitions",
            "the ledger has no partition for next month: its events will go into the default one",
            "see that beat and a worker run: the task spend.prepare_partitions makes them",
        )
    else:
        yield ok("partitions", f"the ledger has partitions for {ahead} coming months")


def _transactions() -> Iterator[Finding]:
    seconds = float(_one(_LONGEST))
    if seconds > _LONG:
        yield warn(
            "transactions",
            f"a transaction has been open for {seconds / 60:.0f} minutes",
            "find it in pg_stat_activity: it keeps vacuum from cleaning up",
        )


def _indexes() -> Iterator[Finding]:
    lacking = indexes.extensions_missing()
    for name in lacking:
        yield fail(
            "indexes",
            f"the extension {name} is gone, and with it the indexes that need it",
            f"run as the owner of the tables: CREATE EXTENSION {name}; then make them again",
        )
    gone, broken = indexes.missing(), indexes.not_valid()
    for name, migration in gone.items():
        yield warn(
            "indexes",
            f"the index {name} is gone: what it was for reads whole tables",
            f"make it again as its migration does (`manage.py sqlmigrate {migration}`), as the"
            " owner of the tables and CONCURRENTLY",
        )
    if broken:
        yield warn(
            "indexes",
            f"{len(broken)} indexes are not valid, {broken[0]} for one: making them was cut off",
            "REINDEX INDEX CONCURRENTLY each (\\d shows INVALID)",
        )
    if not (lacking or gone or broken):
        yield ok("indexes", "every index is there, and valid")


def _one(query: str) -> Any:
    with connection.cursor() as cursor:
        cursor.execute(query)
        row = cursor.fetchone()
    return None if row is None else row[0]
