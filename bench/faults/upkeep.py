"""`python -m bench.faults.upkeep`: old calls and their partitions go while calls are written.

An organization with twenty months of calls keeps thirteen. A long report reads the ledger all the
while, as a report or a backup does: whoever wants a strong lock waits for it, and whoever comes
later waits behind. The longest such wait of a gateway is measured; what could not be dropped is
dropped when the report is over. Months that are kept lose nothing, and all months keep their sums.
"""

import argparse
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench import crowd_sql
from bench.faults.ground import judge
from bench.faults.play import Scene, balance, scene, until

_MONTHS = 20
_KEPT = 13
_EACH = 400
_AHEAD = 18
_REPORT = 8.0
#: A call waits for its record for three seconds.
_MOST = 2.5
_OLD_CALLS = """
    INSERT INTO spend_usageevent (
        id, organization_id, workspace_id, key_id, model_id, occurred_at, period, source, category,
        endpoint, requested_model, answered_model, prompt_tokens, completion_tokens, cached_tokens,
        pages, annotated_pages, audio_seconds, characters, requests, duration_ms, http_status,
        currency, cost, excess, factor, price_ids, estimate, outcome, message_id, request_id,
        correlation_id
    )
    SELECT uuidv7(at - now()), %(organization)s, %(workspace)s, %(key)s, %(model)s, at,
           date_trunc('month', at AT TIME ZONE 'Europe/Rome')::date, 'reported', 'completion',
           '/v1/chat/completions', 'mistral-small-latest', 'mistral-small-latest', 52, 30, 0, 0, 0,
           0, 0, 1, 900, 200, 'EUR', 0.000123, 0, 1, '{}', '', 'completed', '', '', ''
    FROM generate_series(1, %(months)s) back, generate_series(1, %(each)s) number,
         LATERAL (SELECT date_trunc('month', now())
                         + make_interval(months => -back, days => 9, secs => number)) made (at);
    INSERT INTO spend_balance (
        organization_id, subject_kind, subject_id, period, currency, settled
    )
    SELECT e.organization_id, s.kind, s.subject, e.period, 'EUR', sum(e.cost)
    FROM spend_usageevent e,
         LATERAL spend_subjects(e.organization_id, e.workspace_id, e.model_id, e.key_id) s
    WHERE e.source = 'reported' GROUP BY 1, 2, 3, 4
    ON CONFLICT (organization_id, subject_kind, subject_id, period)
    DO UPDATE SET settled = spend_balance.settled + excluded.settled
"""
_CALLS = """
    SELECT period, count(*), sum(cost) FROM spend_usageevent
    WHERE source = 'reported' GROUP BY 1 ORDER BY 1
"""
_SUMS = """
    SELECT period, sum(events), sum(cost) FROM spend_rollup
    WHERE source = 'reported' GROUP BY 1 ORDER BY 1
"""
_PARTITIONS = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'spend_usageevent'::regclass"
_WAITS = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)
    FROM pg_stat_activity
    WHERE usename = 'aim_bench_app' AND wait_event_type = 'Lock' AND state = 'active'
"""


type _Rows = list[tuple[Any, ...]]


@dataclass
class Watch:
    """Looks all the while how long the service waits for locks."""

    url: str
    longest: float = 0.0
    is_over: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Look, until it is over."""
        with psycopg.connect(self.url, autocommit=True) as superuser:
            while not self.is_over.wait(0.02):
                found = superuser.execute(_WAITS).fetchone()
                self.longest = max(self.longest, float(found[0] if found else 0))


def _try(owner: psycopg.Connection, statement: str) -> str:
    """Run something as the task does; tell what became of it."""
    began = time.monotonic()
    try:
        found = owner.execute(statement.encode()).fetchall()
    except psycopg.errors.LockNotAvailable:
        return f"gave up after {time.monotonic() - began:.1f} s"
    return f"{len(found)} rows ({found[0][0] if found else '-'}), {time.monotonic() - began:.1f} s"


def _forget() -> str:
    """Do what the nightly task does; tell what became of it."""
    from django.db import OperationalError  # noqa: PLC0415 - Django is set up by the stage

    from tenants.spend import retention  # noqa: PLC0415 - Django is set up by the stage

    began = time.monotonic()
    try:
        told = f"{retention.forget_old_events():,} calls forgotten"
    except OperationalError as error:
        if not isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
            raise
        told = "calls forgotten, partitions left for later"
    return f"{told}, {time.monotonic() - began:.1f} s"


def _furnish(played: Scene, owner: psycopg.Connection) -> None:
    """Give the organization old calls that are rolled up, of which it keeps the younger ones."""
    from tenants.common import scope  # noqa: PLC0415 - Django is set up by the stage
    from tenants.organizations.audit import Actor  # noqa: PLC0415
    from tenants.organizations.models import Organization  # noqa: PLC0415
    from tenants.spend import services  # noqa: PLC0415

    set_up = played.set_up
    owner.execute(crowd_sql.PARTITIONS, {"months": _MONTHS})
    owner.execute(
        _OLD_CALLS,
        {
            "organization": set_up.organization_id,
            "workspace": set_up.workspace_id,
            "key": set_up.key_id,
            "model": set_up.model_id,
            "months": _MONTHS,
            "each": _EACH,
        },
    )
    until(lambda: _rolled(owner) == _MONTHS * _EACH, "calls were not rolled up")
    with scope.tenant(set_up.organization_id):
        organization = Organization.objects.get(pk=set_up.organization_id)
    actor = Actor(kind="command", id="bench", name="bench")
    services.set_retention(actor=actor, organization=organization, months=_KEPT)


def _rolled(owner: psycopg.Connection) -> int:
    owner.execute("SELECT spend_roll()")
    return sum(events for _period, events, _cost in owner.execute(_SUMS))


def _play(played: Scene) -> list[str]:
    faults = []
    drop, make = "SELECT * FROM spend_drop_partitions()", f"SELECT spend_make_partitions({_AHEAD})"
    with (
        psycopg.connect(
            played.set_up.owner_url, autocommit=True, cursor_factory=psycopg.ClientCursor
        ) as owner,
        psycopg.connect(played.set_up.owner_url) as report,
    ):
        _furnish(played, owner)
        calls, sums = owner.execute(_CALLS).fetchall(), owner.execute(_SUMS).fetchall()
        [[partitions]] = owner.execute(_PARTITIONS).fetchall()
        played.wait(2, "report")
        report.execute("SELECT count(*) FROM spend_usageevent")  # and its transaction stays open
        ends = time.monotonic() + _REPORT
        print("beside a report:", _forget(), f"{make}: {_try(owner, make)}", sep="\n  ")
        left = owner.execute(_PARTITIONS).fetchall()
        if left != [(partitions,)]:
            faults.append("a partition was taken from a report")
        played.wait(max(ends - time.monotonic(), 0))
        with suppress(psycopg.Error):
            report.rollback()
        played.load.phase = "upkeep"
        told = [_forget()]
        [[kept]] = owner.execute(_PARTITIONS).fetchall()
        told += [f"{what}: {_try(owner, what)}" for what in (make, "SELECT spend_roll()")]
        print("without one:", *told, sep="\n  ")
        played.wait(3)
        if owner.execute(drop).fetchall():
            faults.append("partitions were left over")
        faults += _compare(played, owner, calls, sums)
    print(f"{partitions - kept} partitions were dropped")
    if partitions - kept != _MONTHS - _KEPT:
        faults.append("not the partitions of the forgotten months were dropped")
    return faults


def _compare(played: Scene, owner: psycopg.Connection, calls: _Rows, sums: _Rows) -> list[str]:
    """See that only the oldest months lost their calls, and none its sums, rebuilt or not."""
    from tenants.spend import rollups  # noqa: PLC0415 - Django is set up by the stage

    gone = len(calls) - _KEPT
    changed = rollups.rebuild(played.set_up.organization_id).changed
    print(
        f"{sum(count for _period, count, _cost in calls[:gone]):,} calls of {gone} months are gone,"
        f" {sum(count for _period, count, _cost in calls[gone:]):,} of {_KEPT} months kept;"
        f" a rebuild changed {changed} lines"
    )
    return [
        *([] if owner.execute(_CALLS).fetchall() == calls[gone:] else ["other calls are gone"]),
        *([] if owner.execute(_SUMS).fetchall() == sums else ["a month has other sums"]),
        *(["a rebuild changed what was rolled up"] if changed else []),
    ]


def main() -> None:
    """Play it, print, and judge."""
    argparse.ArgumentParser(prog="bench.faults.upkeep", description=__doc__).parse_args()
    with scene() as played:
        watch = Watch(played.postgres.superuser_url())
        watching = threading.Thread(target=watch.run)
        watching.start()
        try:
            faults = _play(played)
        finally:
            watch.is_over.set()
            watching.join()
        played.end_load()
        faults += balance(played)
    played.load.tell()
    print(f"the longest wait of the service for a lock: {watch.longest:.2f} s")
    if watch.longest > _MOST:
        faults.append("the gateway waited for upkeep")
    faults += played.load.surprises()
    judge(faults)


if __name__ == "__main__":
    main()
