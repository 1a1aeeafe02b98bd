"""Single calls go after the months that an organization chose; what they came to stays."""

from datetime import UTC, date, datetime, timedelta

import orjson
import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.months import Month
from tenants.common.turns import Turn
from tenants.organizations import walking
from tenants.spend import retention, rollups, services
from tenants.spend.models import Rollup, SpendLine, UsageEvent
from tenants.spend.rows import event_row
from tests.factories import ACTOR
from tests.postgres import owner_url
from tests.spend import made
from tests.spend.made import intent, settlement

LONG = timedelta(days=31 * 20)


@pytest.fixture(autouse=True)
def _short_walk(monkeypatch, organization, stranger):
    """Meet no organization of another test on the way."""
    monkeypatch.setattr(
        walking, "organization_ids", lambda _turn: iter([organization.pk, stranger.pk])
    )


@pytest.fixture
def called(meter, organization, workspace):
    """Make a call at an instant, settled; returns its id."""

    def call(at):
        wanted = intent(organization, workspace, call_id=made.id_at(at))
        meter.open_calls([wanted])
        meter.settle_calls([settlement(wanted, "0.25")])
        return wanted.call_id

    return call


def keep(organization, months):
    services.set_retention(actor=ACTOR, organization=organization, months=months)


def ids(organization):
    with scope.tenant(organization.pk):
        return set(UsageEvent.objects.values_list("id", flat=True))


def lines(organization, model=Rollup):
    with scope.tenant(organization.pk):
        rows = model.objects.filter(events__gt=0).order_by("period", "day")
        return list(rows.values_list("period", "day", "events", "cost"))


def test_old_calls_go_their_sums_stay_and_a_rebuild_leaves_them_alone(organization, called):
    old, young = called(timezone.now() - LONG), called(timezone.now())
    made.roll_up(organization)
    before = lines(organization)
    assert len(before) == 2
    retention.forget_old_events()
    assert ids(organization) == {old, young}, "nobody asked for it"
    keep(organization, 13)
    assert retention.forget_old_events() == 1
    assert ids(organization) == {young}
    assert lines(organization) == lines(organization, SpendLine) == before
    assert rollups.rebuild(organization.pk).changed == 0
    assert lines(organization) == before
    assert retention.forget_old_events() == 0


def test_a_call_that_comes_late_into_a_forgotten_month_is_added_and_survives_a_rebuild(
    organization, called, stranger
):
    called(timezone.now() - LONG)
    called(timezone.now() - LONG + timedelta(days=62))
    made.roll_up(organization)
    keep(stranger, 24)
    assert retention.forget_old_events() == 0
    keep(organization, 13)
    assert retention.forget_old_events() == 2
    called(timezone.now() - LONG)
    made.roll_up(organization)
    found = lines(organization)
    assert [events for _period, _day, events, _cost in found] == [2, 1]
    assert rollups.rebuild(organization.pk).changed == 0
    assert lines(organization) == found


def test_months_go_one_by_one_and_what_a_turn_leaves_is_there_for_the_next_day(
    organization, called, monkeypatch
):
    keep(organization, 13)
    months = [called(timezone.now() - LONG + timedelta(days=31 * month)) for month in range(3)]
    made.roll_up(organization)
    turn = Turn()
    monkeypatch.setattr(turn, "is_over", lambda: True)
    for gone in (1, 2, 3):
        assert retention.forget_old_events(turn) == 1
        assert ids(organization) == set(months[gone:])
    called(timezone.now() - LONG)
    made.roll_up(organization)
    assert retention.forget_old_events(turn) == 1, "what came late goes, too"
    assert ids(organization) == set()


def test_what_is_not_rolled_up_yet_stays(organization, called):
    keep(organization, 13)
    with psycopg.connect(owner_url()) as slow:
        slow.execute("SELECT txid_current()")
        old = called(timezone.now() - LONG)
        rollups.roll_up()
        assert retention.forget_old_events() == 0
        assert ids(organization) == {old}
    made.roll_up(organization)
    assert retention.forget_old_events() == 1


def test_what_is_written_while_it_is_rolled_up_stays(organization, workspace, meter):
    keep(organization, 13)
    old = intent(organization, workspace, call_id=made.id_at(timezone.now() - LONG))
    meter.open_calls([old])
    with psycopg.connect(owner_url()) as slow:
        slow.execute("SELECT txid_current()")
        rollups.roll_up()
        row = orjson.dumps([event_row(settlement(old))], default=str).decode()
        slow.execute("SELECT spend_settle(%s::json)", [row])
    assert retention.forget_old_events() == 0
    assert ids(organization) == {old.call_id}


def test_a_month_is_forgotten_to_its_last_hour_and_the_next_kept_from_its_first(
    organization, called
):
    month = Month.of(timezone.now(), organization.timezone)
    for _ in range(13):
        month = Month.of(month.starts_at - timedelta(days=1), organization.timezone)
    called(month.starts_at - timedelta(hours=1))
    first = called(month.starts_at + timedelta(hours=1))
    made.roll_up(organization)
    keep(organization, 13)
    assert retention.forget_old_events() == 1
    assert ids(organization) == {first}
    before = lines(organization)
    made.as_owner(
        "UPDATE spend_rollup SET cost = cost + 1 WHERE organization_id = %s AND period = %s",
        organization.id,
        month.first_day,
    )
    assert rollups.rebuild(organization.pk).changed == 1
    assert lines(organization) == before


def test_a_month_once_forgotten_is_never_summed_again_however_long_calls_are_kept_later(
    organization, called
):
    for months in (24, 13, 24):
        called(timezone.now() - LONG)
        made.roll_up(organization)
        keep(organization, months)
        retention.forget_old_events()
    found = lines(organization)
    assert [events for _period, _day, events, _cost in found] == [3]
    assert rollups.rebuild(organization.pk).changed == 0
    assert lines(organization) == found


def test_a_stranger_keeps_his_calls(organization, called, stranger):
    old = called(timezone.now() - LONG)
    made.roll_up(organization)
    keep(stranger, 13)
    assert retention.forget_old_events() == 0
    assert ids(organization) == {old}


def test_outside_a_tenants_scope_nothing_is_forgotten(organization, called):
    old = called(timezone.now() - LONG)
    made.roll_up(organization)
    connection.close()  # the next one has not been anybody's yet
    with connection.cursor() as cursor:
        cursor.execute("SELECT spend_forget(%s)", [date(2999, 1, 1)])
        assert cursor.fetchone() == (0,)
    assert ids(organization) == {old}


def test_two_months_stay_whatever_the_database_is_asked(organization, called):
    recent = called(timezone.now() - timedelta(days=40))
    made.roll_up(organization)
    with scope.tenant(organization.pk), connection.cursor() as cursor:
        cursor.execute("SELECT spend_forget(%s)", [date(2999, 1, 1)])
        assert cursor.fetchone() == (0,)
    assert ids(organization) == {recent}


def test_an_empty_old_partition_is_dropped_and_one_with_rows_is_not(organization, called):
    month = timezone.now() - LONG
    used = called(month)
    with psycopg.connect(owner_url(), autocommit=True) as owner:
        owner.execute("SET timezone = 'UTC'")
        names = [
            made.partition(owner, start)
            for start in (date(2019, 1, 1), month.date().replace(day=1))
        ]
        retention.forget_old_events()
        there = [owner.execute("SELECT to_regclass(%s)", [name]).fetchone() for name in names]
    assert there == [(None,), (names[1],)]
    assert used in ids(organization)


@pytest.mark.parametrize(
    ("months", "expected"),
    [(13, date(2025, 10, 1)), (24, date(2024, 11, 1)), (11, date(2025, 12, 1))],
)
def test_the_oldest_month_that_is_kept(organization, monkeypatch, months, expected):
    noon = datetime(2026, 11, 26, 12, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: noon)
    assert retention.kept_from(organization, months) == expected
