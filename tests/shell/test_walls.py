"""A wall that somebody took down, or rights that somebody took away, are named, with the mend."""

import re
from contextlib import contextmanager
from io import StringIO

import psycopg
import pytest
from django.core.management import call_command

from aisuru_mistral import walls
from aisuru_mistral.doctor import database
from aisuru_mistral.doctor.findings import State
from tests.architecture.test_wall import TABLES
from tests.postgres import owner_url

TABLE = "keys_spentenvelope"


@contextmanager
def tampered(statement, mend):
    """What an owner has done to the database, and takes back."""
    with psycopg.connect(owner_url(), autocommit=True) as owner:
        owner.execute("SET lock_timeout = '10s'")
        owner.execute(statement)
        try:
            yield
        finally:
            owner.execute(mend)


def told(look):
    return [(one.state, one.said, one.remedy) for one in database.looks()[look]()]


def test_the_suites_wall_stands():
    assert set(TABLES) <= set(walls._wanted().walled)
    assert {table for table, _verb, _part in walls._wanted().grants} >= set(TABLES)
    assert (walls.open_tables(), walls.breaches(), walls.refusals()) == ([], [], [])
    assert [state for look in ("wall", "privileges") for state, *_ in told(look)] == [State.OK] * 2


def test_a_table_without_row_level_security_stops_the_service_and_is_named(client):
    mend = f"ALTER TABLE {TABLE} ENABLE ROW LEVEL SECURITY"
    with tampered(f"ALTER TABLE {TABLE} DISABLE ROW LEVEL SECURITY", mend):
        [(state, said, remedy)] = told("wall")
        answer = client.get("/health/ready")
    assert state is State.FAIL
    assert said == f"{TABLE} has no row-level security: it shows every tenant's rows to all"
    assert remedy.endswith(mend)
    assert (answer.status_code, answer.json()["failing"]) == (503, ["row_level_security"])
    assert client.get("/health/ready").status_code == 200


@pytest.mark.parametrize(
    ("table", "policy", "printed"),
    [
        ("keys_spentenvelope", "tenant", "keys "),
        ("keys_mistralkey", "workspace", "access "),
        ("organizations_intakekey", "platform", "organizations "),
    ],
)
def test_a_policy_that_is_gone_is_named_with_what_prints_it(table, policy, printed):
    rename = f"ALTER POLICY {{}} ON {table} RENAME TO {{}}"
    with tampered(rename.format(policy, "another"), rename.format("another", policy)):
        [(state, said, remedy), *_] = told("wall")
    assert (state, said.startswith(f"{table} has no policy {policy}")) == (State.FAIL, True)
    [migration] = re.findall(rf"`manage.py sqlmigrate ({printed}\w+)`", remedy)
    printed_sql = StringIO()
    call_command("sqlmigrate", *migration.split(), stdout=printed_sql)
    assert f"CREATE POLICY {policy} ON {table} " in printed_sql.getvalue()


def test_a_policy_that_lets_more_through_is_named():
    with tampered(
        f"CREATE POLICY support ON {TABLE} USING (organization_id IS NOT NULL)",
        f"DROP POLICY support ON {TABLE}",
    ):
        [(state, said, remedy)] = told("wall")
    assert (state, said.startswith(f"{TABLE} has a policy support that no")) == (State.FAIL, True)
    assert remedy.endswith(f"DROP POLICY support ON {TABLE}")


def test_a_policy_that_lets_everything_through_is_named():
    with psycopg.connect(owner_url()) as owner:
        as_it_was = owner.execute(
            "SELECT pg_get_expr(polqual, polrelid) FROM pg_policy"
            " WHERE polrelid = %s::regclass AND polname = 'tenant'",
            [TABLE],
        ).fetchone()
    assert as_it_was is not None
    alter = f"ALTER POLICY tenant ON {TABLE} USING ({{}})"
    with tampered(alter.format("true"), alter.format(as_it_was[0])):
        [(state, said, remedy)] = told("wall")
    assert (state, "policy tenant that no migration made" in said) == (State.FAIL, True)
    assert "sqlmigrate keys " in remedy


@pytest.mark.parametrize(
    ("table", "verbs"),
    [(TABLE, "SELECT"), ("spend_limitextension", "UPDATE (ended_at)")],
    ids=["table", "column"],
)
def test_a_right_that_was_taken_away_is_named_with_its_grant(table, verbs, client):
    mend = f"GRANT {verbs} ON {table} TO aim_app"
    with tampered(f"REVOKE {verbs} ON {table} FROM aim_app", mend):
        [(state, said, remedy)] = told("privileges")
        assert client.get("/health/ready").status_code == 200, "what is refused is not shown"
    assert (state, said) == (State.FAIL, f"{table} refuses this login {verbs}, or is not there")
    assert remedy.endswith(mend)
