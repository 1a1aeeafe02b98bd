"""Whoever needs several balances locks them in their order, so that nobody waits in a circle."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.utils import timezone
from psycopg import sql

from tenants.common.months import Month
from tenants.organizations.models import Organization
from tenants.spend import extensions, limits, recovery
from tenants.spend.meter import Meter
from tenants.spend.models import Limit
from tests import factories
from tests.postgres import owner_url
from tests.spend import made
from tests.spend.made import events, intent, settlement

ONE = "organization_id = %s AND subject_kind = %s AND subject_id = %s AND period = %s"


def lock(owner: psycopg.Connection, *balance: Any) -> None:
    owner.execute(f"SELECT FROM spend_balance WHERE {ONE} FOR NO KEY UPDATE NOWAIT", balance)


@contextmanager
def held_back(work: Callable[[], Any], first: Any) -> Iterator[psycopg.Connection]:
    """Let some work wait for the first of its balances, and see there what it has locked."""

    def done() -> None:
        try:
            work()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool, psycopg.connect(owner_url()) as owner:
        lock(owner, *first)
        future = pool.submit(done)
        for _ in range(500):
            if future.done() or made.as_owner(
                "SELECT pid FROM pg_locks WHERE NOT granted AND %s = ANY (pg_blocking_pids(pid))",
                owner.info.backend_pid,
            ):
                break
            time.sleep(0.01)
        try:
            assert not future.done(), "it waits for nothing"
            yield owner
        finally:
            owner.rollback()
        future.result()


def test_a_limit_locks_the_month_before_first_wherever_the_rows_lie(meter, organization, workspace):
    month = Month.of(timezone.now(), organization.timezone)
    before = intent(
        organization, workspace, call_id=made.id_at(month.starts_at - timedelta(hours=1))
    )
    now = intent(organization, workspace)
    # The present month lies before the other one in the table, which is read as it lies.
    for call in (now, before):
        meter.open_calls([call])

    def apply() -> None:
        with psycopg.connect(owner_url()) as tenant:
            for setting in ("indexscan", "bitmapscan", "indexonlyscan"):
                tenant.execute(sql.SQL("SET enable_{} = off").format(sql.SQL(setting)))
            tenant.execute(
                "SELECT set_config('aim.organization', %s, true),"
                " spend_apply_limit('organization', %s, %s, 'EUR')",
                [str(organization.id), organization.id, month.first_day],
            )

    whole = (organization.id, "organization", organization.id)
    with held_back(apply, (*whole, before.period)) as owner:
        lock(owner, *whole, now.period)


def test_late_and_present_settlements_of_one_batch_lock_balances_in_one_order(meter):
    first, second = sorted((factories.organization() for _ in range(2)), key=lambda one: one.pk)
    late = intent(
        first,
        factories.default_workspace(first),
        call_id=made.id_at(timezone.now() - timedelta(minutes=1)),
    )
    present = intent(second, factories.default_workspace(second))
    dead = Meter()
    dead.open_calls([late])
    made.die(dead)
    recovery.recover_orphans_of(first.pk)
    meter.open_calls([present])

    def settle() -> None:
        meter.settle_calls([settlement(late, "0.25"), settlement(present, "0.25")])

    with held_back(settle, (first.pk, "organization", first.pk, late.period)) as owner:
        lock(owner, second.pk, "organization", second.pk, present.period)
    assert [event["source"] for event in events(first)] == ["gateway", "correction"]


@pytest.fixture
def extended(organization, workspace):
    """Limits of a workspace and of its organization, extended in this order; both are over."""

    def extend(subject: limits.Subject) -> Limit:
        made.limit(organization, subject, "1")
        limit = limits.read_limit(organization=organization, subject=subject)
        extensions.extend_limit(
            actor=factories.ACTOR,
            organization=organization,
            limit_id=limit.pk,
            monthly_spend=Decimal(3),
            until=timezone.now() + timedelta(days=1),
        )
        return limit

    found = [extend(subject) for subject in (workspace, organization)]
    made.as_owner(
        "UPDATE spend_limitextension SET ends_at = now() WHERE organization_id = %s",
        organization.pk,
    )
    return found


def test_limits_that_go_back_together_lock_balances_in_one_order(
    organization: Organization, workspace, extended
):
    period = Month.of(timezone.now(), organization.timezone).first_day
    whole = (organization.pk, "organization", organization.pk, period)
    with held_back(extensions.end_due, whole) as owner:
        lock(owner, organization.pk, "workspace", workspace.pk, period)
    assert [
        limits.read_limit(organization=organization, subject=one).monthly_spend
        for one in (workspace, organization)
    ] == [1, 1]
