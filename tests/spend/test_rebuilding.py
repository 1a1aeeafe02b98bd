"""Rebuilding: what is like a true line in all but one respect goes, and nothing else does."""

from datetime import timedelta

import orjson
import psycopg
import pytest
from django.db import OperationalError, ProgrammingError, connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.models import new_id
from tenants.organizations import services as organizations
from tenants.spend import posting, rollups
from tenants.spend.calls import instant_of
from tenants.spend.models import Rollup
from tenants.spend.rows import event_row
from tests import factories
from tests.factories import ACTOR
from tests.postgres import owner_url
from tests.spend import made
from tests.spend.made import intent, settlement

COLUMNS = [str(field.column) for field in Rollup._meta.local_fields if field.column != "id"]


def lines(organization):
    with scope.tenant(organization.id):
        return set(Rollup.objects.values_list(*COLUMNS))


@pytest.fixture
def rolled(meter, organization, workspace):
    """Lines of two months and one that has no key and no model; returns them."""
    instants = (timezone.now() - timedelta(days=45), timezone.now())
    calls = [intent(organization, workspace, call_id=made.id_at(instant)) for instant in instants]
    meter.settle_calls([settlement(call) for call in calls])
    reported = event_row(settlement(intent(organization, workspace), "0.10"))
    own = {"digest": new_id(), "occurred_at": instant_of(reported["id"]), "source": "reported"}
    with scope.tenant(organization.id):
        posting.post([reported | own | {"key_id": None, "model_id": None}])
    made.roll_up(organization)
    found = lines(organization)
    assert len(found) == 3
    return found


def test_what_is_right_is_left_as_it_is(rolled, organization):
    done = rollups.rebuild(organization.id)
    assert (done.events, done.lines, done.changed) == (3, 3, 0)
    assert lines(organization) == rolled


def test_where_nothing_was_called_there_is_nothing_to_rebuild(stranger):
    assert rollups.rebuild(stranger.id) == rollups.Rebuilt(0, 0, 0)


def test_events_of_others_are_not_read_whatever_zones_they_had(
    rolled, meter, organization, stranger
):
    then = made.id_at(timezone.now() - timedelta(days=45))
    theirs = intent(stranger, factories.default_workspace(stranger), call_id=then)
    meter.settle_calls([settlement(theirs)])
    organizations.update_organization(
        actor=ACTOR, organization=stranger, changes={"timezone": "America/New_York"}
    )
    made.roll_up(stranger)
    assert rollups.rebuild(organization.id) == rollups.Rebuilt(3, 3, 0)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("period", "(SELECT min(period) FROM spend_rollup WHERE organization_id = %(mine)s)"),
        ("day", "day - 1"),
        ("workspace_id", "gen_random_uuid()"),
        ("key_id", "gen_random_uuid()"),
        ("key_id", "NULL"),
        ("model_id", "gen_random_uuid()"),
        ("model_id", "NULL"),
        ("mistral_model", "'another'"),
        ("category", "'ocr'"),
        ("source", "'correction'"),
        ("is_estimated", "true"),
        ("is_unpriced", "true"),
    ],
)
def test_a_line_that_no_event_is_behind_goes_and_is_told(rolled, organization, column, value):
    values = [value if name == column else name for name in COLUMNS]
    with psycopg.connect(owner_url()) as owner:
        owner.execute(
            f"INSERT INTO spend_rollup ({', '.join(COLUMNS)}) SELECT {', '.join(values)}"
            " FROM spend_rollup WHERE organization_id = %(mine)s AND source = 'gateway'"
            " ORDER BY period DESC LIMIT 1",
            {"mine": organization.id},
        )
    assert len(lines(organization)) == 4
    assert rollups.rebuild(organization.id).changed == 1
    assert lines(organization) == rolled


@pytest.mark.parametrize(
    ("change", "told"),
    [("events = 0, cost = 0", 0), ("events = 1, cost = 0", 1), ("events = 0, cost = 1", 1)],
)
def test_a_line_that_says_nothing_goes_without_a_word(rolled, organization, change, told):
    made.as_owner(
        f"UPDATE spend_rollup SET {change}, mistral_model = 'x' WHERE organization_id = %s"
        " AND source = 'reported'",
        organization.id,
    )
    assert rollups.rebuild(organization.id).changed == told + 1  # and the one that was missing
    assert lines(organization) == rolled


def test_lines_of_others_and_of_months_before_all_events_stay(rolled, organization, stranger):
    for owner, month in ((stranger, "2026-11-01"), (organization, "2019-01-01")):
        values = [
            {"organization_id": f"'{owner.id}'", "period": f"'{month}'"}.get(name, name)
            for name in COLUMNS
        ]
        made.as_owner(
            f"INSERT INTO spend_rollup ({', '.join(COLUMNS)}) SELECT {', '.join(values)}"
            " FROM spend_rollup WHERE organization_id = %s AND source = 'reported'",
            organization.id,
        )
    before = lines(organization), lines(stranger)
    assert [len(found) for found in before] == [4, 1]
    assert rollups.rebuild(organization.id).changed == 0
    assert (lines(organization), lines(stranger)) == before


def test_outside_a_tenants_scope_nothing_is_rebuilt(rolled, organization):
    made.as_owner(
        "UPDATE spend_rollup SET cost = cost + 1 WHERE organization_id = %s", organization.id
    )
    before = lines(organization)
    connection.close()  # the next one has not been anybody's yet
    with (
        pytest.raises(ProgrammingError, match="a rebuild of no organization"),
        connection.cursor() as cursor,
    ):
        cursor.execute("SELECT * FROM spend_rebuild()")
    assert lines(organization) == before


def test_nobody_rolls_up_meanwhile(organization):
    with psycopg.connect(owner_url()) as other, connection.cursor() as cursor:
        other.execute("SELECT FROM spend_rollupmark FOR UPDATE")
        cursor.execute("SET lock_timeout = '200ms'")
        try:
            with pytest.raises(OperationalError, match="lock timeout"):
                rollups.rebuild(organization.id)
        finally:
            cursor.execute("RESET lock_timeout")


def test_a_restart_tells_how_many_events_it_summed(rolled, meter, stranger):
    """Of all organizations, without months that were forgotten."""
    meter.settle_calls([settlement(intent(stranger, factories.default_workspace(stranger)))])
    with psycopg.connect(owner_url()) as owner:
        found = owner.execute(
            "SELECT count(*) FROM spend_usageevent e LEFT JOIN spend_retention r"
            " USING (organization_id) WHERE e.period >= coalesce(r.forgotten_before, '-infinity')"
        ).fetchone()
        assert owner.execute("SELECT spend_restart_rollups()").fetchone() == found
        owner.rollback()


def test_a_restart_waits_for_who_writes_events(organization, workspace):
    call = intent(organization, workspace)
    row = orjson.dumps([event_row(settlement(call))], default=str).decode()
    with psycopg.connect(owner_url()) as writer, psycopg.connect(owner_url()) as owner:
        writer.execute("SELECT spend_settle(%s::json)", [row])
        owner.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            owner.execute("SELECT spend_restart_rollups()")
