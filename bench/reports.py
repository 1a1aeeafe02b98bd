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
#: What an organization with so many calls has: each model is of one workspace and one key.
_MODELS = 600
_MONTH = "2026-10"
#: Months that the events lie in, in UTC, where partitions are cut.
_PARTITIONS = (("2026-09-01", "2026-10-01"), ("2026-10-01", "2026-11-01"))
_SEED = """
INSERT INTO spend_usageevent (
    id, organization_id, workspace_id, key_id, model_id, occurred_at, period, source, category,
    endpoint, requested_model, answered_model, prompt_tokens, completion_tokens, cached_tokens,
    pages, annotated_pages, audio_seconds, characters, requests, duration_ms, http_status, currency,
    cost, excess, factor, price_ids, estimate, outcome, message_id, request_id, correlation_id
)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7000a'
           || lpad(to_hex(n), 15, '0'))::uuid,
       %(organization)s, (md5('w' || n %% 20))::uuid, (md5('k' || n %% 40))::uuid,
       (md5('m' || n %% %(models)s))::uuid, at, '2026-10-01', 'gateway',
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
#: The plainest queries that give the same groups, without what is not rolled up yet.
_BARE = """
SELECT {names}, sum(prompt_tokens), sum(completion_tokens), sum(cached_tokens), sum(pages),
       sum(audio_seconds), sum(characters), sum(requests), sum(cost)
FROM spend_rollup WHERE organization_id = %s AND period = '2026-10-01'
GROUP BY {names} ORDER BY {names}
"""
_BARE_MONTHS = """
SELECT period, sum(cost), sum(events) FROM spend_rollup WHERE organization_id = %s GROUP BY 1
"""
_BARE_CALLS = """
SELECT * FROM spend_usageevent WHERE organization_id = %s AND occurred_at < '2026-10-01 22:00Z'
ORDER BY occurred_at DESC, id DESC LIMIT 50
"""
_EVERYTHING = ("category", "day", "model", "workspace", "key", "source")
_COLUMNS = "category, day, model_id, mistral_model, workspace_id, key_id, source"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--models", type=int, default=_MODELS)
    arguments = parser.parse_args()
    with stage("http://127.0.0.1:9") as set_up:
        lines, seconds = seed(
            set_up.owner_url, set_up.organization_id, 0, arguments.events, arguments.models
        )
        print(
            f"{arguments.events:,} events in {lines:,} roll-up lines, and {TAIL} not rolled up yet"
        )
        print(f"rolled up at {arguments.events / seconds:,.0f} events a second")
        _measure(set_up.owner_url, set_up.organization_id, arguments.rounds)


def seed(
    url: str, organization_id: UUID, there: int, events: int, models: int = _MODELS
) -> tuple[int, float]:
    """Make events beyond those that are there, and roll them up but for a tail.

    Returns:
        How many lines the roll-ups have, and how many seconds rolling up took.
    """
    rolling, facts = 0.0, {"organization": organization_id, "models": models}
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
            owner.execute(_SEED, facts | {"first": first, "last": last})
            began = time.perf_counter()
            owner.execute("SELECT spend_roll()")
            rolling += time.perf_counter() - began
            print(f"\r{last + 1:,}", end="", file=sys.stderr)
        print(file=sys.stderr)
        owner.execute(_SEED, facts | {"first": events, "last": events + TAIL - 1})
        owner.execute("VACUUM ANALYZE")
        lines = owner.execute(
            "SELECT count(*) FROM spend_rollup WHERE organization_id = %s", (organization_id,)
        ).fetchone()
    assert lines is not None
    return lines[0], rolling


type Case = tuple[Callable[[], object], Callable[[], object]]


def cases(owner: psycopg.Connection, organization_id: UUID) -> dict[str, Case]:
    """Give what is measured, by its name: ours, and the bare query for the same."""
    from tenants.common import scope  # noqa: PLC0415 - Django is set up by the stage
    from tenants.common.months import Month  # noqa: PLC0415
    from tenants.organizations.models import Organization  # noqa: PLC0415
    from tenants.spend.drilldown import Choice, calls  # noqa: PLC0415
    from tenants.spend.reports import months, spend_report  # noqa: PLC0415

    with scope.tenant(organization_id):
        organization = Organization.objects.get()
    month = Month.parse(_MONTH, organization.timezone)

    def bare(query: str) -> Callable[[], object]:
        return lambda: owner.execute(query, (organization_id,)).fetchall()

    def report(*names: str) -> Callable[[], object]:
        return lambda: spend_report(organization=organization, month=month, group_by=names)

    day = Choice(month=month, day=month.first_day)
    return {
        "report by category and day": (
            report("category", "day"),
            bare(_BARE.format(names="category, day")),
        ),
        "report by everything": (report(*_EVERYTHING), bare(_BARE.format(names=_COLUMNS))),
        "months": (lambda: months(organization=organization), bare(_BARE_MONTHS)),
        "calls of a day": (
            lambda: calls(organization=organization, choice=day),
            bare(_BARE_CALLS),
        ),
    }


def timed(measured: dict[str, Case], enough: Callable[[], bool]) -> dict[str, list[list[float]]]:
    """Take each case and its bare query in turn, in ms, until it is enough."""
    taken: dict[str, list[list[float]]] = {name: [[], []] for name in measured}
    for pair in measured.values():
        for work in pair:
            work()
    while not enough():
        for name, pair in measured.items():
            for work, times in zip(pair, taken[name], strict=True):
                began = time.perf_counter()
                work()
                times.append((time.perf_counter() - began) * 1000)
    return taken


def _measure(url: str, organization_id: UUID, rounds: int) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        left = iter(range(rounds))
        taken = timed(cases(owner, organization_id), lambda: next(left, None) is None)
    print("| what | median ms | bare | p95 ms | bare |\n| --- | ---: | ---: | ---: | ---: |")
    for name, (ours, bare) in taken.items():
        figures = (
            figure
            for of in (statistics.median, p95)
            for figure in (f"{of(ours):.1f}", f"{of(bare):.1f}, {of(ours) / of(bare):.1f} x")
        )
        print(f"| {name} | {' | '.join(figures)} |")


def p95(times: list[float]) -> float:
    """Find what 95 of 100 took at most."""
    return statistics.quantiles(times, n=20)[-1]


if __name__ == "__main__":
    main()
