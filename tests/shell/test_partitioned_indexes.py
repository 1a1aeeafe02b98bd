"""The ledger's indexes, whose migrations are cut off and repeated."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.postgres import TEMPLATE, new_database, service_environment

ROOT = Path(__file__).resolve().parents[2]
INDEX = "support_event_abandoned_idx"
OF = "(created_at, estimate) WHERE estimate IN ('process_died', 'never_settled')"
LEAVES = """
    SELECT relid::regclass::text FROM pg_partition_tree('spend_usageevent') WHERE isleaf ORDER BY 1
"""
PARTS = f"""
    SELECT indrelid::regclass::text, indisvalid FROM pg_inherits
    JOIN pg_index ON indexrelid = inhrelid WHERE inhparent = '{INDEX}'::regclass ORDER BY 1
"""
ALL = f"SELECT count(*) FROM pg_class WHERE starts_with(relname, '{INDEX}')"
NOT_VALID = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid"
IS_VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass"


@pytest.fixture
def ledger():
    """A migrated database, as its owner."""
    return new_database(f"partitioned_indexes_{os.getpid()}", TEMPLATE)


def migrate(ledger: str) -> None:
    """Make the index as a migration does that was not made before, as far as Django knows."""
    with psycopg.connect(ledger) as owner:
        owner.execute("DELETE FROM django_migrations WHERE name = '0008_abandoned_calls'")
    done = subprocess.run(
        [sys.executable, "manage.py", "migrate", "--no-input", "support", "0008"],
        cwd=ROOT,
        env=service_environment(DATABASE_URL=ledger),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def break_off(ledger: str, part: str, table: str) -> None:
    """Begin an index and give it up, as while some report reads for long."""
    with psycopg.connect(ledger) as report, psycopg.connect(ledger, autocommit=True) as owner:
        report.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        report.execute("SELECT 1")
        owner.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            owner.execute(f"CREATE INDEX CONCURRENTLY {part} ON {table} {OF}")


def test_an_index_that_was_cut_off_is_made_whole_and_what_is_whole_stays(ledger):
    with psycopg.connect(ledger, autocommit=True) as owner:
        owner.execute(f"DROP INDEX {INDEX}")
        owner.execute(f"CREATE INDEX {INDEX} ON ONLY spend_usageevent {OF}")
        [first, second, third, *_more] = leaves = [name for (name,) in owner.execute(LEAVES)]
        for number, table in enumerate((first, second)):
            owner.execute(f"CREATE INDEX {INDEX}_{number} ON {table} {OF}")
        owner.execute(f"ALTER INDEX {INDEX} ATTACH PARTITION {INDEX}_0")
        kept = owner.execute(f"SELECT '{INDEX}_0'::regclass::oid").fetchone()
        break_off(ledger, f"{INDEX}_2", third)
        invalid = owner.execute(NOT_VALID).fetchall()
        assert {name for (name,) in invalid} == {INDEX, f"{INDEX}_2"}
        for _time in range(2):
            migrate(ledger)
            assert owner.execute(PARTS).fetchall() == [(leaf, True) for leaf in leaves]
            assert owner.execute(ALL).fetchone() == (1 + len(leaves),), "nothing is left over"
            assert owner.execute(IS_VALID, [INDEX]).fetchone() == (True,)
            assert owner.execute(f"SELECT '{INDEX}_0'::regclass::oid").fetchone() == kept
