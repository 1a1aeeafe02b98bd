"""`python -m bench.reports`: a month's report over many events, beside the bare roll-up query.

Seeds events inside PostgreSQL and rolls them up as the service does, then asks for the same month
many times: through `spend_report`, and by the plainest query of the roll-ups that has these groups.
Both run on one machine in one run, in turn; read the ratio before the figures.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from uuid import UUID

import psycopg

from bench.stage import stage

_CHUNK = 500_000
TAIL = 500
_MONTH = "2026-10"
#: Months that the events lie in, in UTC, where partitions are cut.
_PARTITIONS = (("2026-09-01", "2026-10-01"), ("2026-10-01", "2026-11-01"))
BARE = "bare roll-up query"
_SEED = """
INSERT INTO spend_usageevent (
    id, organization_id, workspace_id, key_id, model_id, occurred_at, period, source, category,
    endpoint, requested_model, answered_model, prompt_tokens, completion_tokens, cached_tokens,
    pages, annotated_pages, audio_seconds, characters, requests, duration_ms, http_status, currency,
    cost, excess, factor, price_ids, estimate, outcome, message_id, request_id, correlation_id
)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000a'
           || lpad(to_hex(n), 15, '0'))::uuid,
       %(organization)s, (md5('w' || n %% 5))::uuid, (md5('k' || n %% 10))::uuid,
       (md5('m' || n %% 12))::uuid, at, '2026-10-01', 'gateway',
       (ARRAY['completion', 'completion', 'completion', 'embeddings', 'ocr'])[1 + n %% 5],
       '/v1/chat/completions', 'mistral-small-latest',
       (ARRAY['mistral-small-2603', 'mistral-medium-3-5', 'mistral-large-2512'])[1 + n %% 3],
       1000, 100, 64, 0, 0, 0, 0, 1, 900, 200, 'EUR', 0.000123, 0, 1, '{1,2}', '', 'completed', '',
       '', ''
FROM (
    SELECT n, '2026-10-01 00:00+02'::timestamptz + (n %% 2592000) * interval '1 second' AS at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) n
) made
"""
_BARE = """
SELECT category, day, sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(pages),
       sum(audio_seconds), sum(characters), sum(requests), sum(cost)
FROM spend_rollup WHERE organization_id = %s AND period = '2026-10-01' GROUP BY 1, 2 ORDER BY 1, 2
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=100)
    arguments = parser.parse_args()
    with stage("http://127.0.0.1:9") as set_up:
        lines, seconds = seed(set_up.owner_url, set_up.organization_id, 0, arguments.events)
        print(
            f"{arguments.events:,} events in {lines:,} roll-up lines, and {TAIL} not rolled up yet"
        )
        print(f"rolled up at {arguments.events / seconds:,.0f} events a second")
        _measure(set_up.owner_url, set_up.organization_id, arguments.rounds)


def seed(url: str, organization_id: UUID, there: int, events: int) -> tuple[int, float]:
    """Make events beyond those that are there, and roll them up but for a tail.

    Returns:
        How many lines the roll-ups have, and how many seconds rolling up took.
    """
    rolling = 0.0
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("SET synchronous_commit = off")
        for since, until in _PARTITIONS:
            # As the beat makes them ahead; nobody makes those of months that are over.
            owner.execute(
                f"CREATE TABLE IF NOT EXISTS spend_usageevent_{since[:7].replace('-', '_')}"
                f" PARTITION OF spend_usageevent FOR VALUES FROM ('{since} 00:00Z')"
                f" TO ('{until} 00:00Z')"
            )
        for first in range(there, events, _CHUNK):
            last = min(first + _CHUNK, events) - 1
            owner.execute(_SEED, {"organization": organization_id, "first": first, "last": last})
            began = time.perf_counter()
            owner.execute("SELECT spend_roll()")
            rolling += time.perf_counter() - began
            print(f"\r{last + 1:,}", end="", file=sys.stderr)
        print(file=sys.stderr)
        tail = {"organization": organization_id, "first": events, "last": events + TAIL - 1}
        owner.execute(_SEED, tail)
        owner.execute("VACUUM ANALYZE")
        lines = owner.execute(
            "SELECT count(*) FROM spend_rollup WHERE organization_id = %s", (organization_id,)
        ).fetchone()
    assert lines is not None
    return lines[0], rolling


def cases(owner: psycopg.Connection, organization_id: UUID) -> dict[str, Callable[[], object]]:
    """Give what is measured, by its name; the bare query first."""
    from tenants.common import scope  # noqa: PLC0415 - Django is set up by the stage
    from tenants.common.months import Month  # noqa: PLC0415
    from tenants.organizations.models import Organization  # noqa: PLC0415
    from tenants.spend.drilldown import Choice, calls  # noqa: PLC0415
    from tenants.spend.reports import months, spend_report  # noqa: PLC0415

    with scope.tenant(organization_id):
        organization = Organization.objects.get()
    month = Month.parse(_MONTH, organization.timezone)
    return {
        BARE: lambda: owner.execute(_BARE, (organization_id,)).fetchall(),
        "report by category and day": lambda: spend_report(
            organization=organization, month=month, group_by=["category", "day"]
        ),
        "report by everything": lambda: spend_report(
            organization=organization,
            month=month,
            group_by=["category", "day", "model", "workspace", "key", "source"],
        ),
        "months": lambda: months(organization=organization),
        "calls of a day": lambda: calls(
            organization=organization, choice=Choice(month=month, day=month.first_day)
        ),
    }


def _measure(url: str, organization_id: UUID, rounds: int) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        measured = cases(owner, organization_id)
        taken: dict[str, list[float]] = {name: [] for name in measured}
        for _ in range(rounds):
            for name, work in measured.items():
                began = time.perf_counter()
                work()
                taken[name].append((time.perf_counter() - began) * 1000)
    print("| what | median ms | p95 ms | of the bare query |\n| --- | ---: | ---: | ---: |")
    bare = statistics.median(taken[BARE])
    for name, times in taken.items():
        middle, p95 = statistics.median(times), statistics.quantiles(times, n=20)[-1]
        print(f"| {name} | {middle:.1f} | {p95:.1f} | {middle / bare:.1f} |")


if __name__ == "__main__":
    main()
