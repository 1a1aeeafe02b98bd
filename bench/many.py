"""`python -m bench.many`: many tenants at once, on 64 to 512 kept-alive connections.

Each tenant is an organization with a key of its own, a model and three limits, made through the
services; each question goes with the next tenant's token. For each number of connections it prints
rate, latency, the gateway's memory and work, and the connections to PostgreSQL. It fails if an
answer was no success, or if the ledger does not have every call once, with nothing held.
"""

import argparse
import os
import secrets
import subprocess
import sys
import time
from decimal import Decimal
from pathlib import Path

import orjson
import psycopg

from bench import wire
from bench.servers import ROOT, Server, describe_machine
from bench.stage import stage

_CONNECTIONS = (64, 128, 256, 512)
_BACKENDS = """
    SELECT count(*) FROM pg_stat_activity WHERE usename = 'aim_bench_app'
"""
_LEDGER = """
    SELECT count(*), count(DISTINCT id), count(DISTINCT organization_id),
           count(*) FILTER (WHERE estimate <> '' OR outcome <> 'completed'),
           (SELECT count(*) FROM spend_hold) FROM spend_usageevent
"""


def _make(count: int) -> list[str]:
    """Make so many tenants; give their models' tokens."""
    from aisuru_mistral.simulator.server import SimulatorServer  # noqa: PLC0415 - as in stage
    from bench import tenant  # noqa: PLC0415

    tokens = []
    with SimulatorServer() as simulator:
        for number in range(count):
            plain = secrets.token_hex(16)
            simulator.state.register(key=plain, name=f"bench {number}")
            tokens.append(tenant.make(plain, simulator.url, wire.MODEL, Decimal(1_000_000))[0])
    return tokens


def _measure(server: Server, url: str, tokens: Path, connections: int, seconds: float) -> int:
    command = [sys.executable, "-m", "bench.load", str(server.port), f"@{tokens}"]
    load = subprocess.Popen(
        [*command, str(connections), str(seconds), "plain"], cwd=ROOT, stdout=subprocess.PIPE
    )
    backends, worked = 0, server.usage.cpu
    with psycopg.connect(url, autocommit=True) as owner:
        while load.poll() is None:
            found = owner.execute(_BACKENDS).fetchone()
            backends = max(backends, found[0] if found else 0)
            time.sleep(0.2)
    if load.returncode or load.stdout is None:
        raise SystemExit(f"{connections} connections: an answer was no success")
    seen = orjson.loads(load.stdout.read())
    worked = (server.usage.cpu - worked) / seen["answers"] * 1e6
    print(
        f"{connections} connections: {seen['per_second']:,.0f} a second, median"
        f" {seen['median_ms']:.0f} ms, p99 {seen['p99_ms']:.0f} ms, 0 errors, RSS"
        f" {server.usage.memory / 2**20:.0f} MiB, {worked:.0f} µs of CPU each,"
        f" {backends} connections to PostgreSQL",
        flush=True,
    )
    return int(seen["answers"])


def main() -> None:
    """Make them, measure, and judge."""
    parser = argparse.ArgumentParser(prog="bench.many", description=__doc__)
    parser.add_argument("--tenants", type=int, default=2_000)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    arguments = parser.parse_args()
    print(describe_machine())
    here = dict(os.environ)  # noqa: TID251 - children inherit it
    with (
        Server("Mistral", ["-m", "bench.stub", "{port}"], here) as stub,
        stage(f"http://127.0.0.1:{stub.port}") as set_up,
    ):
        began = time.monotonic()
        tokens = Path(set_up.environment["DATA_DIR"]) / "tokens"
        tokens.write_text("\n".join(_make(arguments.tenants)), encoding="ascii")
        print(f"{arguments.tenants:,} tenants made in {time.monotonic() - began:.0f} s", flush=True)
        application = "aisuru_mistral.asgi:application"
        with Server.granian("gateway", application, set_up.environment) as server:
            url = set_up.owner_url
            answers = sum(
                _measure(server, url, tokens, connections, arguments.seconds)
                for connections in _CONNECTIONS
            )
        with psycopg.connect(url, autocommit=True) as owner:
            found = owner.execute(_LEDGER).fetchone()
    assert found is not None
    events, ids, organizations, doubtful, held = found
    print(
        f"{events:,} events of {organizations:,} organizations for {answers:,} answers and those of"
        f" the warm-up; {doubtful} not exact, {held} holds left"
    )
    is_exact = events == ids >= answers and not doubtful and not held
    print("exact" if is_exact else "not exact")
    sys.exit(not is_exact)


if __name__ == "__main__":
    main()
