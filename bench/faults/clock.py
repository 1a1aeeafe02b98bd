"""`python -m bench.faults.clock`: the clock of the gateway jumps by hours, a month and years.

It jumps over the ends of a token and of a key, and to seconds before ends of months that fall on
the day when summer time begins or ends, and before such an hour; calls go on across all of them.
Its wall clock is set by libfaketime (Debian's package of that name) from a file; PostgreSQL and the
monotonic clock keep the right time, as when NTP or somebody's hand sets a machine's. Workers cannot
be played so: under libfaketime Celery's pool cannot sleep. Beat is tested by itself.
"""

import argparse
import asyncio
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg
from django.utils import timezone

from bench import wire
from bench.faults import ground
from bench.faults.play import Scene, ask, balance, scene
from bench.servers import ROOT
from bench.stage import Stage

_JUMPS = ("+5h", "-5h", "+40d", "+0")
_EACH = 5.0
_ATTEMPTS = 5
#: In Rome: summer time ends, in the night of a month's last day, which is over at midnight; a last
#: day of 23 hours.
_INSTANTS = (
    datetime(2027, 10, 31, 1, tzinfo=UTC),
    datetime(2027, 10, 31, 23, tzinfo=UTC),
    datetime(2030, 3, 31, 22, tzinfo=UTC),
)
_FAR_MONTHS = ["2027-10", "2027-11", "2030-03", "2030-04"]
_ALL_WELL = ("200", "200")
_TOKEN_IS_OVER, _KEY_IS_OVER = "401 invalid_token", "409 model_blocked"
_SPREAD = """
    SELECT period, count(*), count(*) FILTER (WHERE occurred_at > created_at + interval '1 hour'),
           count(*) FILTER (WHERE occurred_at < created_at - interval '1 hour')
    FROM spend_usageevent GROUP BY 1 ORDER BY 1
"""
#: Events beside the month of their own instant, and days whose roll-ups are not their sums.
_MISPLACED = """
    WITH event AS (
        SELECT e.organization_id, e.period, (e.occurred_at AT TIME ZONE o.timezone)::date AS day
        FROM spend_usageevent e JOIN organizations_organization o ON o.id = e.organization_id
    )
    SELECT (SELECT count(*) FROM event WHERE period <> date_trunc('month', day)::date),
           (SELECT count(*) FROM (SELECT organization_id, day, count(*) AS events FROM event
                                  GROUP BY 1, 2) e
            FULL JOIN (SELECT organization_id, day, sum(events) AS events FROM spend_rollup
                       GROUP BY 1, 2) r USING (organization_id, day)
            WHERE e.events IS DISTINCT FROM r.events)
"""


@dataclass
class Ending:
    """Two tenants beside the load's: the token of one ends, and the key of the other."""

    played: Scene
    token: str
    key: str
    organization: UUID

    @classmethod
    def make(cls, played: Scene) -> "Ending":
        """Make them; the token ends in two hours, the key with tomorrow."""
        from aisuru_mistral.simulator.server import SimulatorServer  # noqa: PLC0415 - as in stage
        from bench import tenant  # noqa: PLC0415

        made = []
        with SimulatorServer() as simulator:
            for name in ("token", "key"):
                plain = secrets.token_hex(16)
                simulator.state.register(key=plain, name=name)
                made.append(tenant.make(plain, simulator.url, wire.MODEL, Decimal(1_000)))
        ending = cls(played, made[0][0], made[1][0], made[0][1])
        ending._owner(
            "UPDATE registry_modeltoken SET expires_at = now() + interval '2 hours'"
            " WHERE organization_id = %s",
            made[0][1],
        )
        ending._owner(
            "UPDATE keys_mistralkey SET expires_on = ((now() AT TIME ZONE 'Europe/Rome')"
            " + interval '1 day')::date WHERE organization_id = %s",
            made[1][1],
        )
        return ending

    def answers(self) -> tuple[str, ...]:
        """Ask with both; what was known of them is at most a second old."""
        return self._answer(self.token), self._answer(self.key)

    def _answer(self, token: str) -> str:
        """Ask until it is no refusal that says to come again, as a busy machine gives them."""
        load, body = self.played.load, wire.question(stream=False)
        request = wire.request("/v1/chat/completions", body, token)
        request = request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
        for _ in range(_ATTEMPTS):
            answer = asyncio.run(ask(load.host, load.ports[0], request))
            if not answer.startswith("503"):
                break
        return answer

    def end_token(self) -> tuple[str, ...]:
        """Let its end come in a second, by PostgreSQL's clock; give what they answer then."""
        self._owner(
            "UPDATE registry_modeltoken SET expires_at = now() + interval '1 second'"
            " WHERE organization_id = %s",
            self.organization,
        )
        until = time.monotonic() + _EACH * 2
        time.sleep(2)
        while (answers := self.answers()) != (_TOKEN_IS_OVER, "200") and time.monotonic() < until:
            time.sleep(0.5)
        return answers

    def _owner(self, statement: str, *values: object) -> None:
        with psycopg.connect(self.played.set_up.owner_url, autocommit=True) as owner:
            owner.execute(statement.encode(), values)


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
    ending = Ending.make(played)
    for jump in _JUMPS:
        clock.write_text(jump, encoding="ascii")
        played.wait(_EACH, f"clock {jump}")
        answers = ending.answers()
        print(f"a token with two hours to go, a key with a day, at {jump}: {', '.join(answers)}")
        if answers != (_ALL_WELL if jump != "+40d" else ("200", _KEY_IS_OVER)):
            faults.append(f"at {jump} a token or a key ended, or did not")
        if jump in {"+5h", "-5h"}:
            said = list(_doctor(environment))
            print(f"the doctor at {jump}: {'; '.join(said)}")
            if not any("apart" in line for line in said):
                faults.append("the doctor does not say that clocks differ")
    clock.write_text("-5h", encoding="ascii")
    answers = ending.end_token()
    print(f"the token ended, by PostgreSQL's clock, at -5h: {answers[0]}")
    if answers != (_TOKEN_IS_OVER, "200"):
        faults.append("a token outlived its end")
    for instant in _INSTANTS:
        _cross(played, clock, instant)
    clock.write_text("+0", encoding="ascii")
    played.wait(1, "right again")
    return faults


def _cross(played: Scene, clock: Path, instant: datetime) -> None:
    """Have calls on both sides of an instant; a busy machine may need another attempt."""
    sides = [f"{side} {instant:%Y-%m-%d %H:%M} UTC" for side in ("before", "after")]
    for _ in range(_ATTEMPTS):
        ahead = instant - timedelta(seconds=_EACH) - timezone.now()
        clock.write_text(f"+{ahead.total_seconds():.0f}", encoding="ascii")
        for side in sides:
            played.wait(_EACH, side)
        if all(played.load.count("200", side) for side in sides):
            return


def _months(played: Scene) -> list[str]:
    early, months = 0, set[str]()
    with psycopg.connect(played.set_up.owner_url, autocommit=True) as owner:
        for month, events, ahead, behind in owner.execute(_SPREAD):
            early += behind
            print(
                f"month {month:%Y-%m}: {events:,} events; {ahead:,} say they occurred more than an"
                f" hour after PostgreSQL took them, {behind:,} more than an hour before"
            )
            months.add(f"{month:%Y-%m}")
        for _ in range(10):
            owner.execute("SELECT spend_roll()")
        misplaced = owner.execute(_MISPLACED).fetchone()
    print(f"events beside their month, days that are not their sums: {misplaced}")
    return [
        *([] if early else ["calls kept the time of a clock that was set back"]),
        *([] if months >= set(_FAR_MONTHS) else ["no calls on one side of a month's end"]),
        *([] if misplaced == (0, 0) else ["events are in a month or a day that is not theirs"]),
    ]


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

    with scene(change=change, callers=6) as played:
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
