"""The ledger's tables: walled, append-only, partitioned, and as the models say."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import uuid4

import orjson
import psycopg
import pytest
from django.db import IntegrityError, ProgrammingError, connection, transaction

from tenants.common import scope
from tenants.spend import recovery
from tenants.spend.models import Balance, Hold, Limit, UsageEvent
from tenants.spend.rows import event_row, hold_row
from tests import factories
from tests.postgres import owner_url
from tests.spend import made
from tests.spend.made import events, holds, intent, ledger, settlement


def execute(query, *values):
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def metered(meter, organization, workspace):
    """One call settled, one going on."""
    calls = [intent(organization, workspace) for _ in range(2)]
    meter.open_calls(calls)
    meter.settle_calls([settlement(calls[0])])
    return calls


@pytest.mark.parametrize("table", ["spend_usageevent", "spend_hold", "spend_balance"])
@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO {} SELECT * FROM {}",
        "UPDATE {} SET currency = 'USD'",
        "DELETE FROM {}",
        "TRUNCATE {}",
        "ALTER TABLE {} DISABLE ROW LEVEL SECURITY",
    ],
)
def test_the_application_can_write_the_ledger_only_through_its_functions(
    table, statement, metered, organization
):
    with (
        pytest.raises(ProgrammingError, match=r"permission denied|must be owner"),
        scope.tenant(organization.id),
    ):
        execute(statement.replace("{}", table))
    assert len(events(organization)) == 1
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 1)


def test_a_limit_can_not_be_deleted_and_its_history_not_forged(organization):
    with pytest.raises(ProgrammingError, match="permission denied"), scope.tenant(organization.id):
        execute("DELETE FROM spend_limit")


def test_partitions_are_no_way_around_the_wall(metered, organization):
    partitions = made.as_owner(
        "SELECT relname FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid"
        " WHERE i.inhparent = 'spend_usageevent'::regclass"
    )
    assert len(partitions) > recovery.MONTHS_AHEAD
    for (partition,) in partitions:
        with (
            pytest.raises(ProgrammingError, match="permission denied"),
            scope.tenant(organization.id),
        ):
            execute(f"SELECT * FROM {partition}")


@pytest.mark.parametrize("model", [UsageEvent, Hold, Balance])
def test_a_tenant_sees_its_own_rows_and_no_others(model, metered, organization, stranger):
    with scope.tenant(organization.id):
        assert model.objects.count() > 0
        assert not model.objects.exclude(organization=organization).exists()
    with scope.tenant(stranger.id):
        assert model.objects.count() == 0
    assert model.objects.count() == 0


def test_the_functions_tell_each_tenant_its_own_figures_only(
    meter, metered, organization, workspace, stranger
):
    """A call of the stranger's that names Alice's workspace is judged by nothing of Alice's."""
    with scope.tenant(organization.id):
        Limit.objects.create(
            organization=organization,
            subject_kind="workspace",
            subject_id=workspace.id,
            monthly_spend=Decimal("1.50"),
        )
    before = ledger(organization)
    foreign = intent(stranger, workspace, "9.00")
    (verdict,) = meter.open_calls([foreign])
    assert verdict.refusal is None
    meter.settle_calls([settlement(foreign, "8.00")])
    assert ledger(organization) == before
    assert len(events(organization)) == 1
    assert ledger(stranger)["organization", stranger.id] == (8, 0)


def test_no_settlement_can_release_or_post_into_another_tenants_call(
    meter, metered, organization, stranger
):
    """The same call id under another organization is another call; nobody's hold is released."""
    open_call = metered[1]
    theirs = factories.default_workspace(stranger)
    meter.settle_calls([settlement(intent(stranger, theirs, call_id=open_call.call_id))])
    assert holds(organization) == [open_call.call_id]
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 1)


@pytest.mark.parametrize(
    "function",
    [
        "spend_place('00000000-0000-0000-0000-000000000000', '[]', true)",
        "spend_ensure_balances('[]')",
        "spend_sort('[]')",
        "spend_correct('[]', '{}')",
    ],
)
def test_the_ledgers_own_helpers_cannot_be_called(function):
    with pytest.raises(ProgrammingError, match="permission denied"):
        execute(f"SELECT {function}")


def test_setting_a_limit_on_balances_needs_a_tenants_scope(organization):
    with pytest.raises(IntegrityError), transaction.atomic():
        execute(
            "SELECT spend_apply_limit('organization', %s, '2026-11-01', 'EUR')", organization.id
        )


def test_the_partitioned_table_has_the_columns_of_its_model():
    found = {
        name: (kind, nullable == "YES")
        for name, kind, nullable in made.as_owner(
            "SELECT a.attname, format_type(a.atttypid, a.atttypmod),"
            " CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END FROM pg_attribute a"
            " WHERE attrelid = 'spend_usageevent'::regclass AND attnum > 0 AND NOT attisdropped"
        )
    }
    expected = {
        field.column: (field.db_type(connection), field.null)
        for field in UsageEvent._meta.local_concrete_fields
    }
    words = {"varchar": "character varying", "numeric(20, 9)": "numeric(20,9)"}

    def spelled(kind):
        for short, long in words.items():
            kind = kind.replace(short, long)
        return kind.replace("numeric(8, 4)", "numeric(8,4)")

    assert found == {name: (spelled(kind), null) for name, (kind, null) in expected.items()}


def test_rows_for_the_functions_name_every_column_they_must(organization, workspace):
    call = intent(organization, workspace)
    own = {"writer_id"}
    assert set(hold_row(call)) | own == {field.column for field in Hold._meta.local_fields}
    made_by_function = {
        *("occurred_at", "created_at", "source", "excess", "corrects", "transaction_id"),
    }
    fields = {field.column for field in UsageEvent._meta.local_concrete_fields}
    assert set(event_row(settlement(call))) | made_by_function == fields


def test_calls_of_a_month_without_a_partition_are_caught_and_move_when_it_is_made(
    meter, organization, workspace
):
    far = datetime(2031, 5, 20, tzinfo=UTC)
    call = intent(organization, workspace, call_id=made.id_at(far))
    meter.open_calls([call])
    meter.settle_calls([settlement(call)])

    def where():
        return made.as_owner(
            "SELECT tableoid::regclass::text FROM spend_usageevent WHERE id = %s", call.call_id
        )

    assert where() == [("spend_usageevent_default",)]
    with psycopg.connect(owner_url()) as owner:
        # Seen from then, the month is near; the rest of the transaction is rolled back.
        owner.execute(
            made.as_owner("SELECT pg_get_functiondef('spend_make_partitions'::regproc)")[0][0]
            .replace("public.spend_make_partitions", "pg_temp.made_then")
            .replace("now()", "'2031-05-02'::timestamptz")
            .replace("SET search_path TO 'public', 'pg_temp'", "")
        )
        assert owner.execute("SELECT pg_temp.made_then(1)").fetchone() == (2,)
        assert owner.execute(
            "SELECT tableoid::regclass::text FROM spend_usageevent WHERE id = %s", [call.call_id]
        ).fetchall() == [("spend_usageevent_2031_05",)]
        owner.rollback()
    assert recovery.prepare_partitions() == 0
    assert len(events(organization)) == 1


def test_a_batch_of_many_tenants_is_one_round_trip(meter, organization, workspace, stranger):
    theirs = factories.default_workspace(stranger)
    calls = [intent(organization, workspace), intent(stranger, theirs, model_id=uuid4())]
    sent = []
    execute_once = meter._execute

    def counted(query, values):
        sent.append(orjson.loads(values[-1]))
        return execute_once(query, values)

    meter._execute = counted
    meter.open_calls(calls)
    meter.settle_calls([settlement(call) for call in calls])
    assert [len(batch) for batch in sent] == [2, 2]
    assert ledger(organization)["organization", organization.id] == (Decimal("0.40"), 0)
    assert ledger(stranger)["organization", stranger.id] == (Decimal("0.40"), 0)
