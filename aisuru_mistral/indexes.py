"""The indexes and extensions that migrations have made: whether they are there, and whole.

An index that is gone is missed by no query; each only takes as long as if there had never been one.
"""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from django.contrib.postgres.operations import CreateExtension
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader

from tenants.common.partitioned_indexes import PartitionedIndex
from tenants.common.row_security import TenantTable

_MADE = re.compile(r"CREATE (?:UNIQUE )?INDEX (?:CONCURRENTLY )?(?!ON\b)(\w+)")
_DROPPED = re.compile(r"DROP INDEX (?:CONCURRENTLY )?(?:IF EXISTS )?(\w+)")
_MISSING = """
    SELECT name FROM unnest(%s::text[]) name WHERE to_regclass(name) IS NULL ORDER BY name
"""
_NOT_VALID = """
    SELECT relname FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE NOT indisvalid
    ORDER BY relname
"""
_NOT_INSTALLED = """
    SELECT name FROM unnest(%s::text[]) name
    WHERE name NOT IN (SELECT extname FROM pg_extension) ORDER BY name
"""


def missing() -> dict[str, str]:
    """Name the indexes that are gone, each with the migration that makes it."""
    names, _extensions = wanted()
    return {name: names[name] for name in _column(_MISSING, list(names))}


def not_valid() -> list[str]:
    """Name the indexes that no query uses, as making them was cut off."""
    return _column(_NOT_VALID)


def extensions_missing() -> list[str]:
    """Name the extensions that are gone, and with them the indexes that need them."""
    _names, extensions = wanted()
    return _column(_NOT_INSTALLED, sorted(extensions))


@cache
def wanted() -> tuple[dict[str, str], frozenset[str]]:
    """Read from the migrations of this code which indexes and extensions there are."""
    names: dict[str, str] = {}
    extensions = set()
    for (app, label), migration in sorted(MigrationLoader(None).disk_migrations.items()):
        for operation in _flat(migration.operations):
            if isinstance(operation, CreateExtension):
                extensions.add(operation.name)
            for name in _dropped_by(operation):
                names.pop(name, None)
            names |= dict.fromkeys(_made_by(operation), f"{app} {label}")
    return names, frozenset(extensions)


def _flat(operations: Sequence[Any]) -> Iterator[Any]:
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from _flat(operation.database_operations)
        else:
            yield operation


def _made_by(operation: Any) -> list[str]:
    match operation:
        case (
            migrations.AddIndex(index=named)
            | migrations.AddConstraint(constraint=models.UniqueConstraint() as named)
            | (PartitionedIndex() as named)
        ):
            return [named.name]
        case migrations.CreateModel(options=options):
            constraints = options.get("constraints", ())
            return [index.name for index in options.get("indexes", ())] + [
                one.name for one in constraints if isinstance(one, models.UniqueConstraint)
            ]
        case migrations.RunSQL():
            return _MADE.findall(str(operation.sql))
        case TenantTable(referenced=True):
            return [f"{operation.table}_tenant_uniq"]
    return []


def _dropped_by(operation: Any) -> list[str]:
    match operation:
        case migrations.RemoveIndex() | migrations.RemoveConstraint():
            return [operation.name]
        case migrations.RunSQL():
            return _DROPPED.findall(str(operation.sql))
    return []


def _column(query: str, *values: list[str]) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [name for (name,) in cursor.fetchall()]
