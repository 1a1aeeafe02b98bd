"""Fills a database with a crowd: organizations, people, keys, models, and months of their calls.

Everything is made inside PostgreSQL and is as consistent as the service would have left it: events
lie in monthly partitions, roll-ups are rolled up by the service's own function, balances are the
sums of the roll-ups, the audit trail is chained by its trigger. One organization, *ours*, was made
by ``bench.stage``: it gets a tenth of the keys and models and half of the calls.
"""

import sys
import time
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg

from bench import crowd_sql

MONTHS = 6
_KEYS_PER_MODEL = 50
_CHUNK = 500_000
_AUDITED_AT_ONCE = 1_000
_WORKSPACES = {"ours": 20, "others": 3}
_MEMBERS = {"ours": 200, "others": 4}
_AUDITED = {"ours": 20_000, "others": 20}
_TOLD = 5_000


@dataclass(frozen=True, slots=True)
class Crowd:
    """What was made; ``lines`` of the roll-ups, ``rolled`` events rolled up in a second."""

    organizations: int
    keys: int
    models: int
    events: int
    lines: int
    rolled: float

    def __str__(self) -> str:
        return (
            f"{self.organizations:,} organizations, {self.keys:,} keys, {self.models:,} models,"
            f" {self.events:,} events of {MONTHS} months in {self.lines:,} roll-up lines"
            f" ({self.rolled:,.0f} events rolled up a second); one organization has a tenth of the"
            " keys and half of the events"
        )


def seed(
    url: str,
    ours: UUID,
    *,
    keys: int = 100_000,
    events: int = 10_000_000,
    organizations: int = 500,
    audited: int = _AUDITED["others"],
) -> Crowd:
    """Fill the database; ``url`` is its owner's, ``ours`` the organization of the stage.

    ``audited`` is how many audit events each of the others gets.
    """
    facts: dict[str, Any] = {
        "ours": ours,
        "organizations": organizations,
        "keys": keys,
        "events": events,
        "months": MONTHS,
        "told": _TOLD,
        # One less than the keys that a model should have: so it goes through all residues of ten.
        "model_every": _KEYS_PER_MODEL - 1,
        **{f"{whose}_workspaces": many for whose, many in _WORKSPACES.items()},
        **{f"{whose}_members": many for whose, many in _MEMBERS.items()},
    }
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.ClientCursor) as owner:
        owner.execute("SET synchronous_commit = off")
        owner.execute("SET work_mem = '64MB'")
        for statement in (
            crowd_sql.PARTITIONS,
            crowd_sql.ORGANIZATIONS,
            crowd_sql.WORKSPACES,
            crowd_sql.PEOPLE,
            crowd_sql.KEYS,
            crowd_sql.MODELS,
            crowd_sql.TOLD,
        ):
            owner.execute(statement, facts)
        for _ in range(0, _AUDITED["ours"], _AUDITED_AT_ONCE):
            owner.execute(crowd_sql.AUDIT, {"many": _AUDITED_AT_ONCE, "first": 0, "last": 0})
        others = {"many": audited, "first": 1, "last": organizations}
        owner.execute(crowd_sql.AUDIT, others)
        _tell("organizations, people, keys and models are there")
        models, seconds = _calls(owner, facts)
        owner.execute(crowd_sql.BALANCES)
        owner.execute("VACUUM ANALYZE")
        # Autovacuum had to give way to that; workers mend every few minutes what this leaves.
        owner.execute("SELECT spend_sum_up_pages()")
        lines = owner.execute("SELECT count(*) FROM spend_rollup").fetchone()
    assert lines is not None
    return Crowd(organizations, keys, models, events, lines[0], events / max(seconds, 1e-9))


def _calls(owner: psycopg.Connection, facts: dict[str, Any]) -> tuple[int, float]:
    """Make the events and roll them up.

    Returns:
        How many models there are, and the seconds that rolling up took.
    """
    owner.execute("ANALYZE crowd_model")
    models: dict[bool, int] = dict(
        owner.execute("SELECT owner = 0, count(*) FROM crowd_model GROUP BY 1")
    )
    span = owner.execute(crowd_sql.SPAN, {"days": 30 * (MONTHS - 1)}).fetchone()
    assert span is not None
    facts = facts | {"models_ours": models[True], "models_others": models[False]}
    facts |= {"until": span[0], "span": span[1]}
    events, seconds = facts["events"], 0.0
    for first in range(0, events, _CHUNK):
        last = min(first + _CHUNK, events) - 1
        owner.execute(crowd_sql.EVENTS, facts | {"first": first, "last": last})
        began = time.perf_counter()
        owner.execute("SELECT spend_roll()")
        seconds += time.perf_counter() - began
        _tell(f"{last + 1:,} events")
    return sum(models.values()), seconds


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
