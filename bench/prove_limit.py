"""`make prove-limit`: 200 clients in several gateway-like processes race for the last of a budget.

Each process has the gateway's own writer and 50 clients who ask, wait and settle for part of what
was held, as fast as the ledger lets them. Meanwhile an observer looks at every commit it can catch
whether what is settled and held is within each limit and is the sum of its rows. Then one process
is killed and what it left open is recovered. It ends with status 1 if anything was wrong.
"""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from decimal import Decimal
from uuid import UUID

import orjson
import psycopg

from bench.servers import ROOT, describe_machine
from bench.stage import Stage, stage

PROCESSES, CLIENTS = 4, 50
SECONDS = 15
LIMITS = {"organization": Decimal(20), "workspace": Decimal(19), "key": Decimal(18)}
_WORST = (1, 60)  # thousandths of a euro
#: When so much is spent and held, one process is killed in the middle of its calls.
_KILL_AT = Decimal(6)
_CHILD = "--child"

# One statement is one snapshot: what some commit left behind.
_LOOK = """
    SELECT b.subject_kind, b.settled, b.held, b.limit_amount, b.excess,
           (SELECT coalesce(sum(h.amount), 0) FROM spend_hold h
            WHERE h.organization_id = b.organization_id) AS holds,
           (SELECT coalesce(sum(e.cost), 0) FROM spend_usageevent e
            WHERE e.organization_id = b.organization_id) AS events
    FROM spend_balance b WHERE b.organization_id = %s
"""


class Observer(threading.Thread):
    """Looks at the ledger as often as it can, and keeps what it must never see."""

    def __init__(self, owner_url: str, organization_id: UUID) -> None:
        super().__init__(daemon=True)
        self._url, self._organization_id = owner_url, organization_id
        self.done = threading.Event()
        self.looks, self.passed, self.unequal = 0, 0, 0
        self.highest: dict[str, Decimal] = {}

    def run(self) -> None:
        """Look until told to stop."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            while not self.done.is_set():
                rows = connection.execute(_LOOK, (self._organization_id,)).fetchall()
                for kind, settled, held, allowed, excess, holds, events in rows:
                    self.highest[kind] = max(self.highest.get(kind, Decimal(0)), settled + held)
                    self.passed += allowed is not None and settled + held > allowed
                    self.unequal += (settled, held) != (events, holds) or excess > 0
                self.looks += 1


def main() -> int:
    """Race, print what came of it, and say by the status whether it held."""
    parser = argparse.ArgumentParser(prog="bench.prove_limit", description=__doc__)
    parser.add_argument(_CHILD, nargs="+", help=argparse.SUPPRESS)  # a seed, and whose calls
    if child := parser.parse_args().child:
        asyncio.run(_serve(child))
        return 0
    began = time.monotonic()
    with stage("http://127.0.0.1:9") as set_up:
        from django.db import connection  # noqa: PLC0415 - Django is set up by the stage

        _set_limits(set_up)
        observer = Observer(set_up.owner_url, set_up.organization_id)
        observer.start()
        children = [_start(set_up, number) for number in range(PROCESSES)]
        while observer.highest.get("key", Decimal(0)) < _KILL_AT and not observer.done.wait(0.01):
            assert time.monotonic() - began < 120, "nobody spends anything"
        children[0].send_signal(signal.SIGKILL)
        tallies = [_outcome(child) for child in children[1:]]
        left = _holds(set_up)
        recovered = _recover(set_up)
        observer.done.set()
        observer.join()
        connection.close()
        return _tell(set_up, observer, tallies, left, recovered, time.monotonic() - began)


def _set_limits(set_up: Stage) -> None:
    from tenants.common import scope  # noqa: PLC0415 - Django is set up by the stage
    from tenants.keys.models import MistralKey  # noqa: PLC0415
    from tenants.organizations.audit import Actor  # noqa: PLC0415
    from tenants.organizations.models import Organization, Workspace  # noqa: PLC0415
    from tenants.registry.models import RegisteredModel  # noqa: PLC0415
    from tenants.spend import services  # noqa: PLC0415
    from tenants.spend.limits import Subject  # noqa: PLC0415

    actor = Actor(kind="command", id="prove", name="prove-limit")
    with scope.tenant(set_up.organization_id):
        organization = Organization.objects.get()
        model = RegisteredModel.objects.get(pk=set_up.model_id)
        subjects: dict[str, Subject] = {
            "organization": organization,
            "workspace": Workspace.objects.get(pk=set_up.workspace_id),
            "key": MistralKey.objects.get(pk=set_up.key_id),
        }
    services.set_limit(actor=actor, organization=organization, subject=model, monthly_spend=None)
    for kind in ("workspace", "key", "organization"):
        services.set_limit(
            actor=actor,
            organization=organization,
            subject=subjects[kind],
            monthly_spend=LIMITS[kind],
        )


def _start(set_up: Stage, seed: int) -> subprocess.Popen[bytes]:
    ids = (set_up.organization_id, set_up.workspace_id, set_up.key_id, set_up.model_id)
    return subprocess.Popen(
        [sys.executable, "-m", "bench.prove_limit", _CHILD, str(seed), *map(str, ids)],
        cwd=ROOT,
        env=set_up.environment,
        stdout=subprocess.PIPE,
    )


async def _serve(arguments: list[str]) -> None:
    """Be a gateway process: one writer and many clients, until the time is over."""
    import django  # noqa: PLC0415 - a process of its own

    django.setup()
    from tenants.gateway.bounds import Bounds  # noqa: PLC0415
    from tenants.gateway.writer import Writer  # noqa: PLC0415

    random.seed(int(arguments[0]))
    ids = [UUID(text) for text in arguments[1:]]
    writer = Writer(Bounds(open_wait=30))
    writer.start()
    until = time.monotonic() + SECONDS
    tally: Counter[str] = Counter()
    await asyncio.gather(*(_client(writer, ids, until, tally) for _ in range(CLIENTS)))
    await writer.stop()
    sys.stdout.buffer.write(orjson.dumps(tally))


async def _client(writer, ids, until, tally):  # noqa: ANN001, ANN202 - Django comes late here
    from tenants.common.problems import Unavailable  # noqa: PLC0415
    from tenants.spend.calls import Outcome, Settlement  # noqa: PLC0415
    from tenants.spend.pricing import Cost, PriceState, Quantities  # noqa: PLC0415

    while time.monotonic() < until:
        call = _intent(ids, Decimal(random.randint(*_WORST)) / 1000)
        try:
            verdict = await writer.open(call)
        except Unavailable:  # a busy machine: nothing was sent, and the hold is given back
            tally["unanswered"] += 1
            continue
        tally["accepted" if verdict.is_accepted else "refused"] += 1
        if not verdict.is_accepted:
            tally[f"by {verdict.refusal.subject_kind}"] += 1
            await asyncio.sleep(random.random() / 20)
            continue
        await asyncio.sleep(random.random() / 50)
        # Most of a worst case is never used; some calls use all of it.
        share = Decimal(random.choice((0, 0, 1, 1, 2, 5, 10, 100))) / 100
        spent = Cost(PriceState.PRICED, call.worst_case.cost.amount * share, "EUR", (1,))
        writer.settle(Settlement(call, Outcome.COMPLETED, Quantities(100, 50), spent, 200))


def _intent(ids, worst):  # noqa: ANN001, ANN202 - as above
    from tenants.common.models import new_id  # noqa: PLC0415
    from tenants.spend.calls import CallIntent, period_of  # noqa: PLC0415
    from tenants.spend.pricing import Cost, PriceState, Quantities, WorstCase  # noqa: PLC0415

    call_id = new_id()
    organization_id, workspace_id, key_id, model_id = ids
    return CallIntent(
        call_id=call_id,
        organization_id=organization_id,
        workspace_id=workspace_id,
        key_id=key_id,
        model_id=model_id,
        endpoint="/v1/chat/completions",
        requested_model="mistral-small-2603",
        period=period_of(call_id, "Europe/Rome"),
        worst_case=WorstCase(Quantities(1000, 500), Cost(PriceState.PRICED, worst, "EUR", (1,))),
    )


def _outcome(child: subprocess.Popen[bytes]) -> Counter[str]:
    out, _ = child.communicate(timeout=60)
    assert child.returncode == 0, "a process failed"
    return Counter(orjson.loads(out))


def _holds(set_up: Stage) -> int:
    with psycopg.connect(set_up.owner_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM spend_hold WHERE organization_id = %s", [set_up.organization_id]
        ).fetchone()
    assert row is not None
    return int(row[0])


def _recover(set_up: Stage) -> int:
    """Recover as beat does, once the dead process's calls are ten seconds old."""
    from tenants.spend import recovery  # noqa: PLC0415 - Django is set up by the stage

    recovered, until = 0, time.monotonic() + 30
    while _holds(set_up) and time.monotonic() < until:
        recovered += recovery.recover_orphans()
        time.sleep(0.5)
    return recovered


def _tell(  # noqa: PLR0917 - all that is to be told
    set_up: Stage,
    observer: Observer,
    tallies: list[Counter[str]],
    left: int,
    recovered: int,
    seconds: float,
) -> int:
    total = sum(tallies, Counter[str]())
    with psycopg.connect(set_up.owner_url) as connection:
        rows = connection.execute(_LOOK, (set_up.organization_id,)).fetchall()
    print(f"{describe_machine()}; {os.cpu_count()} cores; {seconds:.0f} s in all")
    print(f"{PROCESSES * CLIENTS} clients in {PROCESSES} processes for {SECONDS} s, one killed")
    print(f"told by the {len(tallies)} that lived: {total['accepted']:,} calls accepted,")
    refusals = ", ".join(
        f"{many:,} {name}" for name, many in sorted(total.items()) if name.startswith("by ")
    )
    print(f"  {total['refused']:,} refused ({refusals}), {total['unanswered']:,} unanswered")
    print(f"left open by the killed one: {left}; recovered as estimates: {recovered}")
    for kind, settled, held, allowed, _excess, _holds, events in sorted(rows, key=str):
        limit = "no limit" if allowed is None else f"limit {allowed:.2f}"
        print(
            f"{kind:13} {limit:12} settled {settled:.9f} held {held:.9f}"
            f" events {events:.9f} highest settled + held seen {observer.highest[kind]:.9f}"
        )
    print(f"looks at the ledger: {observer.looks:,}")
    print(f"limit passed: {observer.passed} times; sums that differed: {observer.unequal} times")
    used = observer.highest["key"] / LIMITS["key"]
    print(f"of the narrowest limit {used:.2%} was in use at the highest")
    sums = all((row[1], row[2]) == (row[6], row[5]) for row in rows)
    held = not observer.passed and not observer.unequal and sums and left == recovered
    proved = held and total["refused"] > 0 and observer.looks > 100
    print("HELD" if proved else "NOT PROVED")
    return 0 if proved else 1


if __name__ == "__main__":
    sys.exit(main())
