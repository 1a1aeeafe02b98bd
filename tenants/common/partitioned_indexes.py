"""A migration operation that indexes a partitioned table while it is written to.

It is no transaction, so it may be cut off anywhere. When it is repeated, what is whole stays, and
what was left half-made is dropped and made anew.
"""

from collections.abc import Iterator
from typing import Any

from django.db import connection

from tenants.common.row_security import SqlOperation

_LEFT_OVER = """
    SELECT oid::regclass::text FROM pg_class
    WHERE relkind = 'i' AND starts_with(relname, %s)
      AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = oid)
"""
_WITHOUT = """
    SELECT relid::regclass::text, relname
    FROM pg_partition_tree(%s) JOIN pg_class ON oid = relid
    WHERE isleaf AND NOT EXISTS (
        SELECT FROM pg_inherits JOIN pg_index ON indexrelid = inhrelid
        WHERE inhparent = to_regclass(%s) AND indrelid = relid
    )
"""


class PartitionedIndex(SqlOperation):
    """Index one partition after the other; those to come have the index from their beginning.

    Its migration says ``atomic = False``.

    Args:
        name: the index's; each part's begins with it.
        table: whose partitions have no partitions.
        of: columns in brackets, and a condition.
    """

    reduces_to_sql = False  # what is to be done, the database has to be asked

    def __init__(self, name: str, table: str, of: str) -> None:
        self.name = name
        self.table = table
        self.of = of

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Describe the operation for a squashed migration."""
        return type(self).__name__, [self.name, self.table, self.of], {}

    def forwards(self) -> Iterator[str]:
        """Make what there is not yet."""
        yield f"CREATE INDEX IF NOT EXISTS {self.name} ON ONLY {self.table} {self.of}"
        for (left,) in _rows(_LEFT_OVER, f"{self.name}_"):
            yield f"DROP INDEX CONCURRENTLY {left}"
        for partition, called in _rows(_WITHOUT, self.table, self.name):
            part = f"{self.name}_{called.removeprefix(f'{self.table}_')}"
            yield f"CREATE INDEX CONCURRENTLY {part} ON {partition} {self.of}"
            yield f"ALTER INDEX {self.name} ATTACH PARTITION {part}"

    def backwards(self) -> list[str]:
        """Drop it with its parts."""
        return [f"DROP INDEX {self.name}"]

    def describe(self) -> str:
        """Say it in the migration's log."""
        return f"Index the partitions of {self.table} ({self.name})"


def _rows(query: str, *values: str) -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
