"""A migration that finds a table in use: it keeps nobody waiting, and is not given up at once."""

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.postgres import TEMPLATE, new_database, service_environment

ROOT = Path(__file__).resolve().parents[2]
READ = "SELECT count(*) FROM organizations_organization"
COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = 'organizations_organization'::regclass AND attname LIKE 'patience%'
"""
WAITS = """
    SELECT wait_event FROM pg_stat_activity
    WHERE wait_event_type = 'Lock' AND query LIKE 'CREATE INDEX CONCURRENTLY patience%'
"""
INDEXED = "organizations_organization (patience_too)"
INDEXES = """
    SELECT relname || CASE WHEN indisvalid THEN '' ELSE ' broken' END
    FROM pg_index JOIN pg_class ON oid = indexrelid
    WHERE relname LIKE 'patience%idx' AND relname <> 'patience_idx'
"""


@pytest.fixture
def database(request):
    """A database of its own, migrated but for the app with its two migrations."""
    return new_database(f"patience_{os.getpid()}_{request.node.name[:20]}", TEMPLATE)


@contextmanager
def migrating(database, upto, **variables):
    """Run `manage.py migrate` beside the test; its error output is a pipe."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", "migrate", "--no-input", "patience", upto],
        cwd=ROOT,
        env=service_environment(
            DATABASE_URL=database,
            DJANGO_SETTINGS_MODULE="tests.shell.patience.settings",
            MIGRATION_LOCK_SECONDS="1",
            **variables,
        ),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def reading(database):
    """Have a transaction open that has read the table, as a long report has."""
    with psycopg.connect(database) as report:
        report.execute(READ)
        yield report
        report.rollback()


def first_lines(process):
    """Wait until the migration says that it waited; give what it says."""
    told = ""
    while "Others go first" not in told:
        line = process.stderr.readline()
        assert line, told
        told += line
    return told


def names(database, statement):
    with psycopg.connect(database) as owner:
        return {name for (name,) in owner.execute(statement)}


@pytest.mark.rehearsal
def test_it_tries_again_and_others_go_first_meanwhile(database):
    with reading(database) as report, migrating(database, "0001") as process:
        told = first_lines(process)
        assert "patience.0001_whole waited 1 s for a lock, in vain (attempt 1 of 30)" in told
        assert f"process {report.info.backend_pid} of " in told
        assert "(idle in transaction)" in told
        with psycopg.connect(database) as caller:
            caller.execute("SET statement_timeout = '500ms'")
            caller.execute(READ)
        assert names(database, "SELECT 1 WHERE to_regclass('patience_first') IS NOT NULL") == set()
        report.rollback()
        assert process.wait(30) == 0
    assert names(database, COLUMNS) == {"patience"}


def test_it_ends_where_the_lock_is_never_to_be_had(database):
    variables = {"MIGRATION_ATTEMPTS": "1"}
    with reading(database) as report, migrating(database, "0001", **variables) as process:
        told = process.communicate(timeout=30)[1]
        assert process.returncode == 1
        assert "CommandError: patience.0001_whole waited 1 s for a lock, in vain" in told
        assert f"process {report.info.backend_pid}" in told
        assert "pg_terminate_backend" in told
    assert names(database, COLUMNS) == set()


@pytest.mark.rehearsal
def test_outside_a_transaction_one_statement_is_tried_again_and_an_index_is_waited_for(database):
    with migrating(database, "0001") as process:
        assert process.wait(30) == 0
    with reading(database) as report, migrating(database, "0002") as process:
        assert "patience.0002_in_pieces waited 1 s" in first_lines(process)
        report.rollback()
        # The table is free; but an index is whole only when whoever sees the old rows is gone.
        report.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        report.execute("SELECT 1")
        until = time.monotonic() + 30
        while names(database, WAITS) != {"virtualxid"}:
            assert time.monotonic() < until
            time.sleep(0.05)
        time.sleep(1.5)
        assert names(database, WAITS) == {"virtualxid"}, "it was given up"
        report.rollback()
        assert "in vain" not in process.communicate(timeout=30)[1]
        assert process.returncode == 0
    assert names(database, COLUMNS) == {"patience", "patience_too"}
    valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'patience_idx'::regclass"
    assert names(database, valid) == {True}


def test_where_it_was_cut_off_between_indexes_it_goes_on_with_what_is_not_whole(database):
    with migrating(database, "0003") as process:
        assert process.wait(30) == 0
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute("DELETE FROM django_migrations WHERE name = '0003_indexes'")
        owner.execute("DROP INDEX patience_broken_idx, patience_missing_idx")
        owner.execute("SET statement_timeout = '300ms'")
        with reading(database) as writer:
            writer.execute("LOCK TABLE organizations_organization IN ROW EXCLUSIVE MODE")
            with pytest.raises(psycopg.errors.QueryCanceled):
                owner.execute(f"CREATE INDEX CONCURRENTLY patience_broken_idx ON {INDEXED}")
    (made,) = names(database, "SELECT 'patience_made_idx'::regclass::oid")
    assert names(database, INDEXES) == {"patience_made_idx", "patience_broken_idx broken"}
    with migrating(database, "0003") as process:
        assert process.wait(30) == 0, process.stderr.read()
    assert names(database, INDEXES) == {
        "patience_made_idx",
        "patience_broken_idx",
        "patience_missing_idx",
    }
    assert names(database, "SELECT 'patience_made_idx'::regclass::oid") == {made}
