"""`python -m bench.footprint`: what a call leaves behind, in the write-ahead log and on disk.

Calls of one tenant are opened and settled in batches, as the gateway's writer does, against the
limits of the bench's stage. What was written ahead is the difference of two positions;
what is kept is the size of the ledger's partitions with all their indexes, after a vacuum.
"""

import argparse
import time

import psycopg

from bench.servers import describe_machine, postgres_cpu
from bench.stage import Stage, stage
from bench.wire import MODEL

_KEPT = """
    SELECT sum(pg_relation_size(inhrelid)), sum(pg_total_relation_size(inhrelid)),
           (SELECT count(*) FROM spend_usageevent)
    FROM pg_inherits WHERE inhparent = 'spend_usageevent'::regclass
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="bench.footprint", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    asked = parser.parse_args().calls
    print(describe_machine())
    print("| calls in a batch | WAL bytes a call | PostgreSQL CPU µs a call | calls a second |")
    print("| ---: | ---: | ---: | ---: |")
    # Nobody listens there: the meter is driven directly, no call leaves.
    with (
        stage("http://127.0.0.1:9") as set_up,
        psycopg.connect(set_up.owner_url, autocommit=True) as owner,
    ):
        for batch in (1, 16, 256):
            print(_row(set_up, owner, batch, asked if batch > 1 else asked // 10), flush=True)
        owner.execute("VACUUM ANALYZE spend_usageevent")
        heap, total, events = owner.execute(_KEPT).fetchone() or (0, 0, 1)
        each, whole = heap / events, total / events
        print(f"\n{events:,} events: {each:.0f} bytes each, {whole:.0f} with indexes")


def _row(set_up: Stage, owner: psycopg.Connection, batch: int, calls: int) -> str:
    from bench import ledger  # noqa: PLC0415 - Django is set up by the stage
    from tenants.spend.meter import Meter  # noqa: PLC0415 - same

    meter = Meter()
    start, cpu, began = (
        _position(owner),
        postgres_cpu(set_up.postgres.data_dir),
        time.perf_counter(),
    )
    for _ in range(calls // batch):
        intents = [ledger.intent_of(set_up, MODEL) for _ in range(batch)]
        assert all(verdict.is_accepted for verdict in meter.open_calls(intents))
        meter.settle_calls([ledger.settlement_of(one) for one in intents])
    took = time.perf_counter() - began
    done = calls // batch * batch
    written, used = _position(owner) - start, postgres_cpu(set_up.postgres.data_dir) - cpu
    meter.close()
    return f"| {batch} | {written / done:,.0f} | {used * 1e6 / done:,.0f} | {done / took:,.0f} |"


def _position(owner: psycopg.Connection) -> int:
    row = owner.execute("SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn").fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    main()
