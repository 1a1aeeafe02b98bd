"""`python -m bench.faults.clock`: the clock of the gateway jumps by hours and by a month.

Its wall clock is set by libfaketime (Debian's package of that name) from a file; PostgreSQL and the
monotonic clock keep the right time, as when NTP or somebody's hand sets a machine's. Workers cannot
be played so: under libfaketime Celery's pool cannot sleep. Beat is tested by itself.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg

from bench.faults import ground
from bench.faults.play import Scene, balance, scene
from bench.servers import ROOT
from bench.stage import Stage

_JUMPS = ("+5h", "-5h", "+40d", "+0")
_EACH = 5.0
_SPREAD = """
    SELECT period, count(*), count(*) FILTER (WHERE occurred_at > created_at + interval '1 hour'),
           count(*) FILTER (WHERE occurred_at < created_at - interval '1 hour')
    FROM spend_usageevent GROUP BY 1 ORDER BY 1
"""


def _library() -> Path:
    found = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        ground.skip("no libfaketime on this machine")
    return found[0]


def _doctor(environment: dict[str, str]) -> Iterator[str]:
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return (line.strip() for line in done.stdout.splitlines() if "clock:" in line)


def _play(played: Scene, clock: Path, environment: dict[str, str]) -> list[str]:
    faults = []
    for jump in _JUMPS:
        clock.write_text(jump, encoding="ascii")
        played.wait(_EACH, f"clock {jump}")
        if jump in {"+5h", "-5h"}:
            said = list(_doctor(environment))
            print(f"the doctor at {jump}: {'; '.join(said)}")
            if not any("apart" in line for line in said):
                faults.append("the doctor does not say that clocks differ")
    return faults


def _months(played: Scene) -> list[str]:
    early = 0
    with psycopg.connect(played.set_up.owner_url, autocommit=True) as owner:
        for month, events, ahead, behind in owner.execute(_SPREAD):
            early += behind
            print(
                f"month {month:%Y-%m}: {events:,} events; {ahead:,} say they occurred more than an"
                f" hour after PostgreSQL took them, {behind:,} more than an hour before"
            )
    return [] if early else ["calls kept the time of a clock that was set back"]


def main() -> None:
    """Play it, print, and judge."""
    argparse.ArgumentParser(prog="bench.faults.clock", description=__doc__).parse_args()
    library = _library()
    environments: list[dict[str, str]] = []

    def change(set_up: Stage) -> dict[str, str]:
        clock = Path(set_up.environment["DATA_DIR"]) / "clock"
        clock.write_text("+0", encoding="ascii")
        faked = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        environments.append({**set_up.environment, **faked})
        return faked

    with scene(change=change) as played:
        clock = Path(environments[0]["FAKETIME_TIMESTAMP_FILE"])
        faults = _play(played, clock, environments[0])
        played.end_load()
        faults += balance(played)
        faults += _months(played)
    played.load.tell()
    faults += played.load.surprises()
    ground.judge(faults)


if __name__ == "__main__":
    main()
