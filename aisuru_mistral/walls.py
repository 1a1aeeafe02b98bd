"""Whether the wall between tenants stands as migrations have built it: they run once, and no more.

What is wanted is read from the migrations of this code, once per process; what there is, from
PostgreSQL's catalogue, in a query of milliseconds.
"""

import re
from dataclasses import dataclass
from functools import cache

from django.db import connection
from django.db.migrations.loader import MigrationLoader

from tenants.common.row_security import (
    APPLICATION_ROLE,
    PlatformTable,
    ReferenceTable,
    TenantTable,
    WorkspaceWall,
)

_GRANT = re.compile(r"(SELECT|INSERT|UPDATE|DELETE)(?: \(([^)]*)\))?")
_OPEN = """
    SELECT relname FROM pg_class
    WHERE oid = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) name) AND NOT relrowsecurity
    ORDER BY relname
"""
_WITHOUT_POLICY = """
    SELECT name, policy FROM unnest(%s::text[], %s::text[]) wanted (name, policy)
    WHERE NOT EXISTS (
        SELECT FROM pg_policy WHERE polrelid = to_regclass(name) AND polname = policy
    )
    ORDER BY name, policy
"""
# Permissive policies add up: whatever one more lets through is let through.
_WIDER = """
    SELECT relname, polname FROM pg_policy JOIN pg_class ON pg_class.oid = polrelid
    WHERE polpermissive
        AND polrelid = ANY (SELECT to_regclass(name) FROM unnest(%s::text[]) name)
        AND (
            pg_get_expr(polqual, polrelid) = 'true'
            OR NOT EXISTS (
                SELECT FROM unnest(%s::text[], %s::text[]) wanted (name, policy)
                WHERE to_regclass(name) = polrelid AND policy = polname
            )
        )
    ORDER BY relname, polname
"""
_REFUSED = """
    SELECT name, verb || CASE WHEN part = '' THEN '' ELSE ' (' || part || ')' END
    FROM unnest(%s::text[], %s::text[], %s::text[]) wanted (name, verb, part)
    WHERE to_regclass(name) IS NULL OR NOT CASE
        WHEN part = '' THEN has_table_privilege(to_regclass(name), verb)
        ELSE has_column_privilege(to_regclass(name), part, verb)
    END
    ORDER BY name, verb, part
"""
_SHOWN_WITHOUT = {
    "tenant": "nobody anything",
    "platform": "nobody anything",
    "workspace": "members what is in workspaces of others",
}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What migrations have built; a policy's migration as ``sqlmigrate`` wants it named."""

    policies: dict[tuple[str, str], str]
    grants: list[tuple[str, str, str]]

    @property
    def walled(self) -> list[str]:
        return sorted({table for table, _policy in self.policies})


@dataclass(frozen=True, slots=True)
class Breach:
    """What is wrong with a table.

    Attributes:
        mend: what the owner of the tables does about it.
    """

    table: str
    said: str
    mend: str


def open_tables() -> list[str]:
    """Name the tables that show every tenant's rows to all."""
    return [table for (table,) in _rows(_OPEN, _wanted().walled)]


def breaches() -> list[Breach]:
    """Find where the wall does not stand as it was built."""
    wanted = _wanted().policies
    tables, policies = map(list, zip(*wanted, strict=True))
    return (
        [
            Breach(
                table,
                "has no row-level security: it shows every tenant's rows to all",
                f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            )
            for table in open_tables()
        ]
        + [
            Breach(
                table,
                f"has no policy {policy}: it shows {_SHOWN_WITHOUT[policy]}",
                _statement(wanted[table, policy]),
            )
            for table, policy in _rows(_WITHOUT_POLICY, tables, policies)
        ]
        + [
            Breach(
                table,
                f"has a policy {policy} that no migration made: it lets more through",
                f"DROP POLICY {policy} ON {table}" + _made_anew(table, policy),
            )
            for table, policy in _rows(_WIDER, _wanted().walled, tables, policies)
        ]
    )


def _made_anew(table: str, policy: str) -> str:
    migration = _wanted().policies.get((table, policy))
    return f", then {_statement(migration)}" if migration else ""


def _statement(migration: str) -> str:
    return f"the CREATE POLICY that `manage.py sqlmigrate {migration}` prints"


def refusals() -> list[Breach]:
    """Find what migrations let this login do, and PostgreSQL does not."""
    wanted = [list(column) for column in zip(*_wanted().grants, strict=True)]
    refused: dict[str, list[str]] = {}
    for table, verb in _rows(_REFUSED, *wanted):
        refused.setdefault(table, []).append(verb)
    return [
        Breach(
            table,
            f"refuses this login {', '.join(verbs)}",
            f"GRANT {', '.join(verbs)} ON {table} TO {APPLICATION_ROLE}",
        )
        for table, verbs in refused.items()
    ]


@cache
def _wanted() -> _Wanted:
    policies: dict[tuple[str, str], str] = {}
    grants: list[tuple[str, str, str]] = []
    for (app, name), migration in MigrationLoader(None).disk_migrations.items():
        for operation in migration.operations:
            if isinstance(operation, TenantTable | ReferenceTable):
                grants += [
                    (operation.table, verb, part)
                    for verb, parts in _GRANT.findall(operation.grants)
                    for part in parts.split(", ")
                ]
            if isinstance(operation, TenantTable | PlatformTable | WorkspaceWall):
                policies.setdefault((operation.table, _policy_of(operation)), f"{app} {name}")
    return _Wanted(policies, grants)


def _policy_of(operation: TenantTable | PlatformTable | WorkspaceWall) -> str:
    match operation:
        case TenantTable():
            return "tenant"
        case PlatformTable():
            return "platform"
    return "workspace"


def _rows(query: str, *values: list[str]) -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
