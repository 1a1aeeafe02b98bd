"""Partitions of the ledger: made ahead of time, gone when old and empty, and by one at a time."""

import psycopg
import pytest
from django.utils import timezone

from tests.postgres import owner_url
from tests.spend import made

MAKE = "SELECT spend_make_partitions(3)"
DROP = "SELECT spend_drop_partitions()"


@pytest.fixture
def owner():
    """A transaction of the tables' owner; what it makes and drops is rolled back."""
    with psycopg.connect(owner_url()) as connection:
        connection.execute("SET timezone = 'UTC'")
        yield connection
        connection.rollback()


def partitions(owner):
    """Name → whether row security is on."""
    return dict(
        owner.execute(
            "SELECT c.relname, c.relrowsecurity FROM pg_inherits i"
            " JOIN pg_class c ON c.oid = i.inhrelid"
            " WHERE i.inhparent = 'spend_usageevent'::regclass"
        ).fetchall()
    )


def months_on(count):
    """The first day of the month that many months from now, negative: ago, in UTC."""
    now = timezone.now()
    months = now.year * 12 + now.month - 1 + count
    return now.date().replace(year=months // 12, month=months % 12 + 1, day=1)


def test_no_more_than_three_years_are_made_and_each_behind_a_wall(owner):
    before = partitions(owner)
    (count,) = owner.execute("SELECT spend_make_partitions(1000)").fetchone()
    new = {name: wall for name, wall in partitions(owner).items() if name not in before}
    assert count == len(new)
    assert max(new) == f"spend_usageevent_{months_on(36):%Y_%m}"
    assert all(new.values())
    assert owner.execute("SELECT spend_make_partitions(1000)").fetchone() == (0,)


def test_what_ended_two_months_ago_goes_and_what_is_younger_stays(owner):
    names = [made.partition(owner, months_on(-ago)) for ago in (3, 2, 1)]
    for name in names:
        owner.execute(f"TRUNCATE {name}")
    before = set(partitions(owner))
    dropped = {name for (name,) in owner.execute(DROP).fetchall()}
    assert before - set(partitions(owner)) == dropped
    assert dropped & {*names, f"spend_usageevent_{months_on(3):%Y_%m}"} == {names[0]}


def test_what_is_named_like_a_partition_and_is_none_stays(owner):
    owner.execute("CREATE TABLE spend_usageevent_2018_01 ()")
    owner.execute("CREATE TABLE another ()")
    owner.execute("CREATE TABLE spend_usageevent_2018_02 () INHERITS (another)")
    dropped = {name for (name,) in owner.execute(DROP).fetchall()}
    assert not dropped & {"spend_usageevent_2018_01", "spend_usageevent_2018_02"}


def advisory_locks(owner, statement):
    """What a statement holds until its transaction ends."""
    owner.execute(statement)
    held = owner.execute(
        "SELECT classid, objid, objsubid FROM pg_locks"
        " WHERE locktype = 'advisory' AND pid = pg_backend_pid()"
    ).fetchall()
    owner.rollback()
    return held


def test_who_makes_partitions_and_who_drops_them_wait_for_each_other(owner):
    assert len(advisory_locks(owner, MAKE)) == 1
    assert advisory_locks(owner, MAKE) == advisory_locks(owner, DROP)
