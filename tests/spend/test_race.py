"""Many writers against one limit: what is settled and held never passes it, at any commit."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from random import Random

import psycopg
import pytest

from tenants.spend import services
from tenants.spend.calls import OpenVerdict
from tenants.spend.meter import Meter
from tests import factories
from tests.factories import ACTOR
from tests.postgres import owner_url
from tests.spend.made import intent, ledger, recount, settlement

WRITERS = 8
BATCHES = 25
LIMIT = Decimal("12.00")

# One statement is one snapshot: what some commit left behind.
INVARIANT = """
    SELECT b.settled, b.held, b.limit_amount, b.excess, b.carried,
           (SELECT coalesce(sum(h.amount), 0) FROM spend_hold h
            WHERE h.organization_id = b.organization_id),
           (SELECT coalesce(sum(e.cost), 0) FROM spend_usageevent e
            WHERE e.organization_id = b.organization_id)
    FROM spend_balance b WHERE b.subject_kind = 'organization' AND b.organization_id = %s
"""


def worst(call):
    return call.worst_case.cost.amount


class Observer(threading.Thread):
    """Looks at the ledger as often as it can, and keeps what it must never see."""

    def __init__(self, organization):
        super().__init__(daemon=True)
        self.organization, self.done = organization, threading.Event()
        self.wrong, self.looks, self.highest = [], 0, Decimal(0)

    def run(self):
        with psycopg.connect(owner_url(), autocommit=True) as connection:
            while not self.done.is_set():
                for row in connection.execute(INVARIANT, (self.organization.id,)):
                    settled, held, ceiling, excess, carried, holds, events = row
                    self.highest = max(self.highest, settled + held)
                    if settled + held > ceiling or excess or carried:
                        self.wrong.append(("limit passed", row))
                    if holds != held or events != settled:
                        self.wrong.append(("balance is not the sum of its rows", row))
                self.looks += 1


@pytest.mark.slow
def test_no_race_passes_a_limit_at_any_commit(organization):
    workspaces = [factories.workspace(organization) for _ in range(3)]
    for subject, amount in ((organization, LIMIT), (workspaces[0], Decimal("3.00"))):
        services.set_limit(
            actor=ACTOR, organization=organization, subject=subject, monthly_spend=amount
        )
    observer = Observer(organization)
    observer.start()
    refused: list[OpenVerdict] = []

    def write(number):
        random, meter = Random(number), Meter()
        for _ in range(BATCHES):
            calls = [
                intent(organization, random.choice(workspaces), f"{random.randint(0, 60)}e-3")
                for _ in range(random.randint(1, 12))
            ]
            verdicts = meter.open_calls(calls)
            accepted = [
                call for call, verdict in zip(calls, verdicts, strict=True) if verdict.is_accepted
            ]
            refused.extend(verdict for verdict in verdicts if not verdict.is_accepted)
            random.shuffle(accepted)
            meter.settle_calls(
                [
                    settlement(call, Decimal(random.randint(0, 100)) / 100 * worst(call))
                    for call in accepted
                ]
            )
        meter.close()

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    observer.done.set()
    observer.join()

    assert observer.wrong == []
    assert observer.looks > 50
    assert refused, "the limit was never reached: this test would prove nothing"
    totals = ledger(organization)
    assert totals == recount(organization)
    assert totals["organization", organization.id][0] <= LIMIT
    assert totals["workspace", workspaces[0].id][0] <= Decimal("3.00")
    assert observer.highest > LIMIT * Decimal("0.95"), "headroom was left unused"


def test_one_last_place_is_given_to_exactly_one_of_many(organization, workspace):
    services.set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal(1)
    )
    start = threading.Barrier(10, timeout=30)

    def write(_number):
        meter = Meter()
        start.wait()
        verdict = meter.open_calls([intent(organization, workspace, "1.00")])[0]
        meter.close()
        return verdict.is_accepted

    with ThreadPoolExecutor(10) as pool:
        assert sum(pool.map(write, range(10))) == 1
    assert ledger(organization)["organization", organization.id] == (0, 1)


def test_a_limit_set_in_a_race_holds_from_its_commit_on(organization, workspace):
    stop = threading.Event()

    def write(_number):
        meter = Meter()
        while not stop.is_set():
            meter.open_calls([intent(organization, workspace, "0.01") for _ in range(5)])
        meter.close()

    with ThreadPoolExecutor(4) as pool:
        running = [pool.submit(write, number) for number in range(4)]
        try:
            for amount in ("3.00", "1.00", "2.00"):
                services.set_limit(
                    actor=ACTOR,
                    organization=organization,
                    subject=workspace,
                    monthly_spend=Decimal(amount),
                )
                before = ledger(organization)["workspace", workspace.id][1]
                stop.wait(0.3)
                after = ledger(organization)["workspace", workspace.id][1]
                assert after <= max(Decimal(amount), before)
        finally:
            stop.set()
        for future in running:
            future.result()
    assert ledger(organization) == recount(organization)
