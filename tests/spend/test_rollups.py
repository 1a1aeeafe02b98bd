"""Roll-ups: every event in exactly one line, whoever rolls up, whenever, and however often."""

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from random import Random
from zoneinfo import ZoneInfo

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection
from django.db.models import Sum
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tenants.common import scope
from tenants.organizations import services as organizations
from tenants.organizations.models import FormerTimeZone
from tenants.spend import recovery, rollups
from tenants.spend.calls import Estimate
from tenants.spend.meter import Meter
from tenants.spend.models import Rollup, SpendLine
from tenants.spend.pricing import Quantities
from tests import factories
from tests.factories import ACTOR
from tests.postgres import owner_url
from tests.spend import made
from tests.spend.made import intent, settlement

GRAIN = ("period", "day", "workspace_id", "key_id", "model_id", "mistral_model", "category")
FLAGS = ("source", "is_estimated", "is_unpriced")
QUANTITIES = (
    *("requests", "prompt_tokens", "completion_tokens", "cached_tokens", "pages"),
    *("annotated_pages", "audio_seconds", "characters", "connector_calls", "training_tokens"),
    "storage_months",
)
FIGURES = ("events", *QUANTITIES, "cost")
EVERYTHING = Quantities(
    **{name: 1000 - 60 * place for place, name in enumerate(QUANTITIES, start=1)},
)

# The same by other means: one statement over the events, the zone as it is now.
RECOUNT = f"""
    SELECT period, (occurred_at AT TIME ZONE 'Europe/Rome')::date, workspace_id, key_id, model_id,
           coalesce(nullif(answered_model, ''), requested_model), category, source,
           estimate <> '' AND NOT EXISTS (
               SELECT FROM spend_usageevent c WHERE c.corrects = e.id AND c.estimate = ''
               AND c.organization_id = e.organization_id),
           cost IS NULL AND NOT EXISTS (
               SELECT FROM spend_usageevent c WHERE c.corrects = e.id AND c.cost IS NOT NULL
               AND c.organization_id = e.organization_id),
           count(*), {", ".join(f"coalesce(sum({name}), 0)" for name in FIGURES[1:])}
    FROM spend_usageevent e WHERE organization_id = %s GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10
"""


def lines(organization, model=SpendLine):
    """Line → its figures, without lines that came to nothing."""
    with scope.tenant(organization.id):
        sums = {f"sum_{name}": Sum(name) for name in FIGURES}
        rows = model.objects.values_list(*GRAIN, *FLAGS).annotate(**sums)
        return {row[:10]: row[10:] for row in rows if any(row[10:])}


def recounted(organization):
    return {row[:10]: row[10:] for row in made.as_owner(RECOUNT, organization.id)}


def total(organization, model=SpendLine):
    return sum((figures[-1] for figures in lines(organization, model).values()), Decimal(0))


def test_a_line_is_fresh_before_it_is_rolled_up_and_the_same_afterwards(
    meter, organization, workspace
):
    for number in range(3):
        call = intent(organization, workspace)
        meter.settle_calls([settlement(call, f"0.{number + 1}", quantities=EVERYTHING)])
        assert lines(organization) == recounted(organization)
        if number:
            made.roll_up(organization)
        assert lines(organization) == recounted(organization)
    assert lines(organization, Rollup) == recounted(organization)
    assert total(organization) == Decimal("0.60")


def test_rolling_up_again_adds_nothing(meter, organization, workspace):
    meter.settle_calls([settlement(intent(organization, workspace))])
    made.roll_up(organization)
    before = lines(organization, Rollup)
    for _ in range(3):
        rollups.roll_up()
    assert lines(organization, Rollup) == before == recounted(organization)


def test_a_transaction_that_is_not_over_is_waited_for_and_not_lost(meter, organization, workspace):
    call = settlement(intent(organization, workspace), "0.25")
    late = settlement(intent(organization, workspace), "0.50")
    with psycopg.connect(owner_url()) as slow:
        slow.execute("SELECT txid_current()")
        meter.settle_calls([call])
        rollups.roll_up()
        assert total(organization) == Decimal("0.25")
        assert total(organization, Rollup) == 0, "rolled up past a transaction that may still write"
        assert 0 in {rollups.roll_up() for _ in range(20)}, "made anew, though nothing is new"
    meter.settle_calls([late])
    made.roll_up(organization)
    assert total(organization) == total(organization, Rollup) == Decimal("0.75")


def test_who_comes_second_leaves_it_to_the_first(organization):
    with psycopg.connect(owner_url()) as other:
        other.execute("SELECT FROM spend_rollupmark FOR UPDATE")
        assert rollups.roll_up() is None


@pytest.mark.slow
def test_many_who_roll_up_at_once_while_calls_settle_count_each_event_once(organization):
    workspaces = [factories.workspace(organization) for _ in range(2)]
    stop = threading.Event()
    wrong: list[tuple[Decimal, Decimal]] = []

    def write(number):
        random, meter = Random(number), Meter()
        for _ in range(12):
            calls = [intent(organization, random.choice(workspaces)) for _ in range(5)]
            meter.open_calls(calls)
            entries = [settlement(call, f"{random.randint(0, 99)}e-4") for call in calls]
            meter.settle_calls(entries)
            meter.settle_calls(entries[:2])
        meter.close()

    def roll(_number):
        while not stop.is_set():
            rollups.roll_up()
        connection.close()

    def watch():
        with psycopg.connect(owner_url(), autocommit=True) as eye:
            while not stop.is_set():
                both = eye.execute(
                    "SELECT (SELECT coalesce(sum(cost), 0) FROM spend_usageevent"
                    "        WHERE organization_id = %(id)s), "
                    "(SELECT coalesce(sum(cost), 0) FROM spend_rollup"
                    "  WHERE organization_id = %(id)s)"
                    " + (SELECT coalesce(sum(cost), 0) FROM spend_usageevent"
                    "    WHERE organization_id = %(id)s AND transaction_id >="
                    "    (SELECT transaction_id FROM spend_rollupmark))",
                    {"id": organization.id},
                ).fetchone()
                assert both is not None
                if both[0] != both[1]:
                    wrong.append(both)

    with ThreadPoolExecutor(8) as pool:
        watching = pool.submit(watch)
        rolling = [pool.submit(roll, number) for number in range(3)]
        for writing in [pool.submit(write, number) for number in range(4)]:
            writing.result()
        stop.set()
        for future in (watching, *rolling):
            future.result()
    assert wrong == []
    made.roll_up(organization)
    assert lines(organization, Rollup) == recounted(organization)
    assert rollups.rebuild(organization.id).changed == 0


def test_a_correction_makes_an_estimate_exact_wherever_the_roll_ups_stood(
    meter, organization, workspace
):
    for rolls in (0, 1, 2):
        call = intent(organization, workspace, "1.00")
        meter.open_calls([call])
        made.as_owner("SELECT spend_recover('0', '0', 1000)")
        if rolls:
            made.roll_up(organization)
        estimated = {key[8]: figures[-1] for key, figures in lines(organization).items()}
        assert estimated[True] == 1
        meter.settle_calls([settlement(call, "0.30", quantities=EVERYTHING)])
        assert lines(organization) == recounted(organization)
        if rolls == 2:
            made.roll_up(organization)
        assert lines(organization) == recounted(organization)
        assert not any(key[8] for key in lines(organization))
    made.roll_up(organization)
    assert lines(organization, Rollup) == recounted(organization)
    assert rollups.rebuild(organization.id).changed == 0
    assert total(organization) == Decimal("0.90")


@pytest.mark.parametrize("rolls", [0, 1, 2])
def test_an_event_is_mended_by_its_own_correction_as_far_as_that_goes(
    rolls, meter, organization, workspace, stranger
):
    minute_ago = timezone.now() - timedelta(minutes=1)
    ids = [made.id_at(minute_ago) for _ in range(4)]
    theirs, mine = (
        [intent(owner, workspace, None, call_id=call_id) for call_id in ids]
        for owner in (stranger, organization)
    )
    for owner, calls in ((stranger, theirs), (organization, mine)):
        dead = Meter()
        dead.open_calls(calls)
        made.die(dead)
        assert recovery.recover_orphans_of(owner.id) == 4
    meter.settle_calls([settlement(theirs[0], "0.10")])
    if rolls:
        made.roll_up(organization)
    assert lines(organization) == recounted(organization)
    assert {key[8:] for key in lines(organization)} == {(True, True)}
    late = [
        settlement(mine[1], "0.20"),
        settlement(mine[2], None),
        settlement(mine[3], "0.30", estimate=Estimate.DISCONNECTED),
    ]
    meter.settle_calls(late)
    meter.settle_calls([settlement(theirs[1], "0.40")])
    if rolls == 2:
        made.roll_up(organization)
    for owner in (organization, stranger):
        assert lines(owner) == recounted(owner)
    flags = {key[8:] for key in lines(organization) if key[7] == "gateway"}
    assert flags == {(True, True), (False, False), (False, True), (True, False)}
    made.roll_up(organization)
    assert rollups.rebuild(organization.id).changed == 0


def test_rebuilding_mends_what_was_wrong_and_tells_how_much(meter, organization, workspace):
    meter.settle_calls(
        [settlement(intent(organization, workspace), f"0.{one}") for one in range(1, 4)]
        + [settlement(intent(organization, workspace), None, answered_model="")]
    )
    made.roll_up(organization)
    right = lines(organization)
    made.as_owner(
        "UPDATE spend_rollup SET cost = cost + 1 WHERE organization_id = %s AND NOT is_unpriced",
        organization.id,
    )
    made.as_owner(
        "UPDATE spend_rollup SET mistral_model = 'gone' WHERE organization_id = %s AND is_unpriced",
        organization.id,
    )
    done = rollups.rebuild(organization.id)
    assert (done.events, done.lines) == (4, 2)
    assert done.changed == 3  # one was wrong, one was missing, one was too much
    assert lines(organization, Rollup) == right
    assert rollups.rebuild(organization.id).changed == 0


def test_the_command_rebuilds_and_says_what_it_found(meter, organization, workspace):
    meter.settle_calls([settlement(intent(organization, workspace))])
    made.roll_up(organization)
    out = StringIO()
    call_command("rebuild_rollups", organization=organization.id, stdout=out)
    assert f"{organization.id}: 1 events in 1 lines, 0 of them changed" in out.getvalue()
    assert "0 lines had been wrong" in out.getvalue()


def test_a_day_stays_in_the_zone_that_the_organization_had_then(meter, organization, workspace):
    now = timezone.now()
    call = intent(organization, workspace, call_id=made.id_at(now - timedelta(days=40)))
    at_night = datetime(2026, 10, 12, 22, 30, tzinfo=UTC)  # the 13th in Rome
    night = intent(organization, workspace, call_id=made.id_at(at_night))
    meter.settle_calls([settlement(call), settlement(night)])
    before = lines(organization)
    assert date(2026, 10, 13) in {key[1] for key in before}
    organizations.update_organization(
        actor=ACTOR, organization=organization, changes={"timezone": "America/New_York"}
    )
    with scope.tenant(organization.id):
        assert FormerTimeZone.objects.get().timezone == "Europe/Rome"
    assert lines(organization) == before
    made.roll_up(organization)
    assert rollups.rebuild(organization.id).changed == 0
    assert lines(organization, Rollup) == before
    today = intent(organization, workspace)
    meter.settle_calls([settlement(today)])
    day = (set(lines(organization)) - set(before)).pop()[1]
    assert day == timezone.now().astimezone(ZoneInfo("America/New_York")).date()


def test_each_day_has_the_zone_of_its_time_however_often_that_changed(
    meter, organization, workspace
):
    for zone in ("America/New_York", "Asia/Tokyo"):
        organizations.update_organization(
            actor=ACTOR, organization=organization, changes={"timezone": zone}
        )
    made.as_owner(
        "UPDATE organizations_formertimezone SET until = CASE timezone"
        " WHEN 'Europe/Rome' THEN '2026-10-01 00:00+00'::timestamptz ELSE '2026-11-01' END"
        " WHERE organization_id = %s",
        organization.id,
    )
    instants = [datetime(2026, month, 10, 22, 30, tzinfo=UTC) for month in (9, 10, 11)]
    for instant in (*instants, datetime(2026, 10, 1, tzinfo=UTC)):
        call = intent(organization, workspace, call_id=made.id_at(instant))
        meter.settle_calls([settlement(call)])
    assert sorted((key[1], figures[0]) for key, figures in lines(organization).items()) == [
        (date(2026, 9, 11), 1),
        (date(2026, 10, 1), 1),  # of a month that began with that change
        (date(2026, 10, 10), 1),
        (date(2026, 11, 11), 1),
    ]


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2026, 10, 24, 21, 59, tzinfo=UTC), date(2026, 10, 24)),  # the clock goes back
        (datetime(2026, 10, 24, 22, 0, tzinfo=UTC), date(2026, 10, 25)),  # on the 25th
        (datetime(2026, 10, 25, 22, 59, tzinfo=UTC), date(2026, 10, 25)),
        (datetime(2026, 10, 25, 23, 0, tzinfo=UTC), date(2026, 10, 26)),
        (datetime(2026, 3, 28, 23, 0, tzinfo=UTC), date(2026, 3, 29)),  # and forth on the 29th
        (datetime(2026, 3, 29, 22, 0, tzinfo=UTC), date(2026, 3, 30)),
        (datetime(2026, 9, 30, 22, 0, tzinfo=UTC), date(2026, 10, 1)),
    ],
)
def test_days_follow_the_clock_of_the_organization(meter, organization, workspace, instant, day):
    meter.settle_calls([settlement(intent(organization, workspace, call_id=made.id_at(instant)))])
    ((period, found, *_),) = lines(organization)
    assert (period, found) == (day.replace(day=1), day)


def test_a_server_restored_from_a_dump_has_its_roll_ups_made_anew(meter, organization, workspace):
    meter.settle_calls([settlement(intent(organization, workspace), "0.10")])
    made.roll_up(organization)
    meter.settle_calls([settlement(intent(organization, workspace), "0.20")])
    # As if all of it had been written by a server that had seen many more transactions.
    made.as_owner("UPDATE spend_usageevent SET transaction_id = transaction_id + 1000000000000")
    made.as_owner("UPDATE spend_rollupmark SET transaction_id = transaction_id + 1000000000000")
    meter.settle_calls([settlement(intent(organization, workspace), "0.40")])
    rollups.roll_up()
    made.roll_up(organization)
    assert total(organization) == total(organization, Rollup) == Decimal("0.70")
    assert lines(organization) == recounted(organization)
    assert rollups.rebuild(organization.id).changed == 0


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.integers(0, 59 * 24),
            st.one_of(st.none(), st.decimals(0, 5, places=9)),
            st.sampled_from([Estimate.EXACT, Estimate.DISCONNECTED, Estimate.PROCESS_DIED]),
            st.sampled_from(["mistral-small-2603", "mistral-medium-3-5", ""]),
            st.booleans(),
        ),
        min_size=1,
        max_size=12,
    )
)
def test_the_sum_of_events_is_the_sum_of_lines_however_they_are_written(meter, calls):
    organization = factories.organization()
    workspace = factories.default_workspace(organization)
    begin = datetime(2026, 9, 25, tzinfo=UTC)
    for hours, amount, estimate, model, rolls in calls:
        call = intent(organization, workspace, call_id=made.id_at(begin + timedelta(hours=hours)))
        entry = settlement(call, amount, estimate=estimate, answered_model=model)
        meter.settle_calls([entry, entry])
        if estimate is Estimate.PROCESS_DIED:
            meter.settle_calls([settlement(call, "0.000000001", answered_model=model)])
        if rolls:
            rollups.roll_up()
    expected = recounted(organization)
    assert lines(organization) == expected
    months = Counter[date]()
    for key, figures in expected.items():
        months[key[0]] += figures[-1]
    balances = dict(
        made.as_owner(
            "SELECT period, settled FROM spend_balance"
            " WHERE organization_id = %s AND subject_kind = 'organization'",
            organization.id,
        )
    )
    assert balances == dict(months)
    made.roll_up(organization)
    assert rollups.rebuild(organization.id).changed == 0
    assert lines(organization, Rollup) == expected
