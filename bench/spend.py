"""`python -m bench.spend`: the ledger beside what PostgreSQL can do at most, as it grows.

At each size, in one run and on one durable PostgreSQL:

- *ingest*: `POST /usage` batches of a thousand, priced and checked, beside a COPY of the same rows
  into a bare table with the ledger's columns and indexes;
- *hot row*: a call held and settled against three limits, alone and sixteen at a time, beside the
  barest transactions that could do it: an update of one row, committed, twice;
- *rebuild*: all roll-ups made anew, beside one scan that adds the same events up;
- the month's report, beside the plainest query of the roll-ups that has the same groups.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg

from bench import reports
from bench.servers import describe_machine
from bench.stage import Stage, stage

_SIZES = (100_000, 1_000_000, 10_000_000)
_BATCH = 1000
_SCAN = """
SELECT period, (occurred_at AT TIME ZONE 'Europe/Rome')::date, workspace_id, key_id, model_id,
       answered_model, category, source, count(*), sum(requests), sum(prompt_tokens),
       sum(completion_tokens), sum(cached_tokens), sum(cost)
FROM spend_usageevent WHERE organization_id = %s GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=10_000_000, help="events, at the last size")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each single measurement")
    arguments = parser.parse_args()
    print(describe_machine(), end="\n\n")
    print("| events | what | ours | at most | ratio |\n| ---: | --- | ---: | ---: | ---: |")
    with stage("http://127.0.0.1:9") as set_up:
        there = 0
        for size in (one for one in _SIZES if one <= arguments.most):
            reports.seed(set_up.owner_url, set_up.organization_id, there, size)
            there = size + reports.TAIL
            for what, ours, bare, unit in _measured(set_up, arguments.seconds):
                print(f"| {size:,} | {what} | {ours:,.0f} {unit} | {bare:,.0f} {unit} |", end="")
                print(f" {ours / bare:.2f} |", flush=True)


def _measured(set_up: Stage, seconds: float) -> list[tuple[str, float, float, str]]:
    with psycopg.connect(set_up.owner_url, autocommit=True) as owner:
        return [
            _ingest(set_up, owner, seconds),
            *_hot_row(set_up, owner, seconds),
            _rebuild(set_up, owner),
            *_report(set_up, owner, seconds),
        ]


def _rate(work: Callable[[], int], seconds: float) -> float:
    """Tell how many a second some work does, once it has been done once."""
    work()
    began, done = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        done += work()
    return done / (time.perf_counter() - began)


def _ingest(set_up: Stage, owner: Any, seconds: float) -> tuple[str, float, float, str]:
    from django.utils import timezone  # noqa: PLC0415 - Django is set up by the stage

    from tenants.common import scope  # noqa: PLC0415
    from tenants.common.models import new_id  # noqa: PLC0415
    from tenants.organizations.audit import Actor  # noqa: PLC0415
    from tenants.organizations.models import Organization  # noqa: PLC0415
    from tenants.spend.reporting import ReportedCall, report_usage  # noqa: PLC0415

    with scope.tenant(set_up.organization_id):
        organization = Organization.objects.get()
    actor = Actor(kind="worker", id="bench", name="bench")
    usage = {"prompt_tokens": 52, "completion_tokens": 30, "total_tokens": 82}

    def report() -> int:
        at = timezone.now() - timedelta(seconds=1)
        calls = [
            ReportedCall(
                event_id=new_id().hex,
                workspace_id=set_up.workspace_id,
                model="mistral-small-2603",
                endpoint="/v1/chat/completions",
                occurred_at=at,
                usage=usage,
            )
            for _ in range(_BATCH)
        ]
        taken = report_usage(actor=actor, organization=organization, calls=calls)
        assert taken.accepted == _BATCH
        return _BATCH

    report()
    rows = owner.execute("SELECT * FROM spend_usageevent LIMIT %s", [_BATCH]).fetchall()
    owner.execute("CREATE TABLE IF NOT EXISTS bench_copy (LIKE spend_usageevent INCLUDING ALL)")

    def copy() -> int:
        with owner.transaction(), owner.cursor() as cursor:
            cursor.execute("TRUNCATE bench_copy")
            with cursor.copy("COPY bench_copy FROM STDIN") as into:
                for row in rows:
                    into.write_row(row)
        return len(rows)

    return "ingest, a thousand at a time", _rate(report, seconds), _rate(copy, seconds), "rows/s"


def _hot_row(set_up: Stage, owner: Any, seconds: float) -> list[tuple[str, float, float, str]]:
    from bench import ledger, wire  # noqa: PLC0415

    owner.execute("CREATE TABLE IF NOT EXISTS bench_hot (id int PRIMARY KEY, sum numeric)")
    owner.execute("INSERT INTO bench_hot VALUES (1, 0) ON CONFLICT DO NOTHING")

    def twice() -> int:
        for _ in range(2):
            owner.execute("UPDATE bench_hot SET sum = sum + 1 WHERE id = 1")
        return 1

    bare = _rate(twice, seconds)
    found = {one.batch: one for one in ledger.measure(set_up, wire.MODEL, seconds)}
    return [
        ("hot row, one call at a time", found[1].calls_per_second, bare, "calls/s"),
        ("hot row, sixteen at a time", found[16].calls_per_second, bare, "calls/s"),
    ]


def _rebuild(set_up: Stage, owner: Any) -> tuple[str, float, float, str]:
    from tenants.spend import rollups  # noqa: PLC0415

    rollups.roll_up()
    began = time.perf_counter()
    done = rollups.rebuild(set_up.organization_id)
    ours = done.events / (time.perf_counter() - began)
    began = time.perf_counter()
    owner.execute(_SCAN, [set_up.organization_id]).fetchall()
    return "rebuild", ours, done.events / (time.perf_counter() - began), "events/s"


def _report(set_up: Stage, owner: Any, seconds: float) -> list[tuple[str, float, float, str]]:
    # The burst before has left pages that no index of the tail knows yet; autovacuum sums them up
    # within a minute.
    owner.execute("VACUUM ANALYZE spend_usageevent, spend_rollup")
    until = time.perf_counter() + 5 * seconds
    cases = reports.cases(owner, set_up.organization_id)
    taken = reports.timed(cases, lambda: time.perf_counter() > until)
    return [
        (f"{name}, {word}", of(ours) * 1000, of(bare) * 1000, "µs")
        for name, (ours, bare) in taken.items()
        for word, of in (("median", statistics.median), ("p95", reports.p95))
    ]


if __name__ == "__main__":
    main()
