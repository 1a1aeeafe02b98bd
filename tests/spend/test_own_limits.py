"""A limit is in the balances of its own subject from its month on, also in those just being made.

Balances are made by calls and limits written into them by others: each waits for the other.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import orjson
import psycopg
import pytest
from django.db import IntegrityError, connection
from django.utils import timezone

from tenants.common import scope
from tenants.common.months import Month
from tenants.spend import limits
from tenants.spend.calls import LimitMode
from tenants.spend.models import Limit
from tenants.spend.rows import hold_row
from tests import factories
from tests.postgres import owner_url
from tests.spend import made
from tests.spend.made import intent, limit


def limited(*organizations, column="limit_amount"):
    """(organization, kind, subject, month) → limit, of the balances that have one."""
    rows = made.as_owner(
        f"SELECT organization_id, subject_kind, subject_id, period, {column} FROM spend_balance"
        f" WHERE organization_id = ANY (%s) AND {column} IS NOT NULL",
        [organization.id for organization in organizations],
    )
    return {tuple(subject): amount for *subject, amount in rows}


@pytest.fixture
def months(organization):
    """An instant in the last month, now, and one in the next."""
    month = Month.of(timezone.now(), organization.timezone)
    return (
        month.starts_at - timedelta(hours=1),
        timezone.now(),
        month.ends_at + timedelta(hours=1),
    )


def test_a_limit_is_written_where_it_belongs_and_nowhere_else(
    meter, organization, workspace, stranger, months
):
    other = factories.workspace(organization)
    for instant in months:
        for owner, one in ((organization, workspace), (organization, other), (stranger, workspace)):
            meter.open_calls([intent(owner, one, call_id=made.id_at(instant))])
    # Of subjects that have the same id, though they are others.
    for owner, kind in ((stranger, "workspace"), (organization, "model")):
        with scope.tenant(owner.id):
            Limit.objects.create(
                organization=owner,
                subject_kind=kind,
                subject_id=workspace.id,
                monthly_spend=Decimal("90.00"),
            )
    limit(organization, workspace, "7.00")
    periods = [intent(organization, workspace, call_id=made.id_at(at)).period for at in months]
    own = [(organization.id, "workspace", workspace.id, period) for period in periods]
    assert limited(organization, stranger) == dict.fromkeys(own, 7)
    assert limited(organization, stranger, column="shadow_limit") == {}
    limit(organization, workspace, "8.00", LimitMode.SHADOW)
    assert limited(organization, stranger) == {}
    assert limited(organization, stranger, column="shadow_limit") == dict.fromkeys(own, 8)


def test_a_new_balance_has_the_limit_of_its_own_subject_and_no_other(
    meter, organization, workspace, months
):
    seven, nine, none = workspace, *(factories.workspace(organization) for _ in range(2))
    limit(organization, seven, "7.00")
    limit(organization, nine, "9.00")
    soon = [intent(organization, one, call_id=made.id_at(months[2])) for one in (nine, none, seven)]
    assert all(verdict.is_accepted for verdict in meter.open_calls(soon))
    found = limited(organization)
    assert {key[2]: amount for key, amount in found.items() if key[3] == soon[0].period} == {
        seven.id: 7,
        nine.id: 9,
    }


def test_a_limit_is_set_by_nobody_but_a_tenant(organization):
    connection.close()  # the next one has not been anybody's yet
    with pytest.raises(IntegrityError):
        limits.apply(
            Limit(subject_kind="organization", subject_id=organization.id),
            timezone.now().date().replace(day=1),
            "EUR",
        )


@contextmanager
def waiting(work):
    """Do some work elsewhere, and go on when it waits for a lock or is done."""

    def done():
        try:
            return work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(done)
        for _ in range(500):
            locked = made.as_owner(
                "SELECT l.pid FROM pg_locks l JOIN pg_database d ON d.oid = l.database"
                " WHERE d.datname = current_database() AND l.locktype = 'advisory'"
                " AND NOT l.granted"
            )
            if locked or future.done():
                break
            time.sleep(0.01)
        yield future


def test_a_limit_waits_for_balances_that_are_being_made(organization, workspace, months):
    soon = intent(organization, workspace, call_id=made.id_at(months[2]))
    with psycopg.connect(owner_url()) as opening:
        opening.execute(
            "SELECT spend_ensure_balances(%s::json)",
            [orjson.dumps([hold_row(soon)], default=str).decode()],
        )
        with waiting(lambda: limit(organization, workspace, "3.00")) as setting:
            opening.commit()
            setting.result()
    assert limited(organization)[organization.id, "workspace", workspace.id, soon.period] == 3


def test_balances_that_are_made_wait_for_a_limit_that_is_being_set(
    meter, organization, workspace, months
):
    soon = intent(organization, workspace, "5.00", call_id=made.id_at(months[2]))
    with psycopg.connect(owner_url()) as setting:
        setting.execute("SELECT set_config('aim.organization', %s, true)", [str(organization.id)])
        setting.execute(
            "INSERT INTO spend_limit (id, created_at, updated_at, organization_id, subject_kind,"
            " subject_id, monthly_spend, mode, alert_thresholds) VALUES"
            " (gen_random_uuid(), now(), now(), %s, 'workspace', %s, 3, 'enforce', '{}')",
            [organization.id, workspace.id],
        )
        setting.execute(
            "SELECT spend_apply_limit('workspace', %s, %s, 'EUR')",
            [workspace.id, timezone.now().date().replace(day=1)],
        )
        with waiting(lambda: meter.open_calls([soon])) as opening:
            setting.commit()
            (verdict,) = opening.result()
    assert not verdict.is_accepted
    assert limited(organization)[organization.id, "workspace", workspace.id, soon.period] == 3


def test_only_calls_of_balances_that_are_full_are_judged_one_by_one(
    meter, organization, workspace, stranger, months
):
    other = factories.workspace(organization)
    elsewhere: Any = {"model_id": other.id, "key_id": made.key_of(other)}
    limit(organization, workspace, "1.00")
    limit(organization, other, "5.00")
    first = [
        intent(organization, workspace, "1.00"),
        intent(organization, workspace, "0.50", call_id=made.id_at(months[2])),
        intent(organization, other, "1.00", model_id=workspace.id),
        intent(stranger, workspace, "1.00"),
    ]
    assert all(verdict.is_accepted for verdict in meter.open_calls(first))
    calls = {
        "full": intent(organization, workspace, "0.10", **elsewhere),
        "free": intent(organization, workspace, "0", **elsewhere),
        "of another month": intent(organization, workspace, "0.10", call_id=made.id_at(months[2])),
        "of another workspace": intent(organization, other, "0.10"),
        "of a model with that id": intent(organization, other, "0.10", model_id=workspace.id),
        "of another tenant": intent(stranger, workspace, "0.10"),
        "open already": first[0],
    }
    rows = orjson.dumps([hold_row(call) for call in calls.values()], default=str).decode()
    ((calm, crowded),) = made.as_owner("SELECT calm, crowded FROM spend_sort(%s::json)", rows)
    names = {str(call.call_id): name for name, call in calls.items()}
    assert [names[one["id"]] for one in crowded] == ["full", "free"]
    assert [names[one["id"]] for one in calm] == list(calls)[2:]


def test_in_one_batch_each_currency_is_judged_by_itself(meter, organization, workspace):
    first, euros, dollars = (
        intent(organization, workspace, "0.10", currency=currency)
        for currency in ("EUR", "EUR", "USD")
    )
    assert meter.open_calls([first])[0].is_accepted
    verdicts = meter.open_calls([euros, dollars])
    assert [verdict.is_accepted for verdict in verdicts] == [True, False]
    assert made.holds(organization) == sorted([first.call_id, euros.call_id])


@pytest.mark.parametrize(
    ("worst", "counted"),
    [(("0.60", "0.60"), ("1.20", 1, "0.60")), (("0.10", None), ("0.10", 1, 0))],
)
def test_calls_that_pass_a_limit_in_shadow_only_together_are_judged_one_by_one(
    worst, counted, meter, organization, workspace
):
    for subject in (organization, workspace):
        limit(organization, subject, "1.00", LimitMode.SHADOW)
    calls = [intent(organization, workspace, amount) for amount in worst]
    assert all(verdict.is_accepted for verdict in meter.open_calls(calls))
    found = made.as_owner(
        "SELECT held, shadow_calls, shadow_spend FROM spend_balance WHERE organization_id = %s"
        " AND subject_kind IN ('organization', 'workspace')",
        organization.id,
    )
    assert found == [tuple(Decimal(figure) for figure in counted)] * 2


def test_a_tenant_at_its_limit_waits_for_no_balance_of_another(
    meter, organization, workspace, stranger
):
    limit(organization, workspace, "1.00")
    meter.open_calls([intent(stranger, factories.default_workspace(stranger))])
    meter._connection.execute("SET lock_timeout = '1s'")
    with psycopg.connect(owner_url()) as other:
        other.execute(
            "SELECT FROM spend_balance WHERE organization_id = %s FOR UPDATE", [stranger.id]
        )
        assert not meter.open_calls([intent(organization, workspace, "2.00")])[0].is_accepted
