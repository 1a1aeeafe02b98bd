"""`python -m bench.faults.upkeep`: partitions are made and dropped while calls are written.

A long report reads the ledger all the while, as a report or a backup does: whoever wants a strong
lock waits for it, and whoever comes later waits behind. The longest such wait of a gateway is
measured, and a partition that could not be dropped is dropped when the report is over.
"""

import argparse
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field

import psycopg

from bench import crowd_sql
from bench.faults.ground import judge
from bench.faults.play import Scene, balance, scene

_MONTHS = 8
_AHEAD = 18
_REPORT = 8.0
#: A call waits for its record for three seconds.
_MOST = 2.5
_WAITS = """
    SELECT coalesce(max(extract(epoch FROM clock_timestamp() - query_start)), 0)
    FROM pg_stat_activity
    WHERE usename = 'aim_bench_app' AND wait_event_type = 'Lock' AND state = 'active'
"""


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


def _play(played: Scene) -> list[str]:
    faults = []
    drop, make = "SELECT * FROM spend_drop_partitions()", f"SELECT spend_make_partitions({_AHEAD})"
    with (
        psycopg.connect(
            played.set_up.owner_url, autocommit=True, cursor_factory=psycopg.ClientCursor
        ) as owner,
        psycopg.connect(played.set_up.owner_url) as report,
    ):
        owner.execute(crowd_sql.PARTITIONS, {"months": _MONTHS})
        played.wait(2, "report")
        report.execute("SELECT count(*) FROM spend_usageevent")  # and its transaction stays open
        until = time.monotonic() + _REPORT
        told = [f"{what}: {_try(owner, what)}" for what in (drop, make)]
        print("beside a report:", *told, sep="\n  ")
        played.wait(max(until - time.monotonic(), 0))
        with suppress(psycopg.Error):
            report.rollback()
        played.load.phase = "upkeep"
        told = [f"{what}: {_try(owner, what)}" for what in (drop, make, "SELECT spend_roll()")]
        print("without one:", *told, sep="\n  ")
        played.wait(3)
        left = owner.execute(drop).fetchall()
        if left:
            faults.append("partitions were left over")
    return faults


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
