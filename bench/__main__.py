"""`python -m bench`: the gateway against bare pass-throughs, in one run and on one stub.

The other parts, each a module with options of its own (`python -m bench.keys --help`):

- `api`, `desk`, `pages`: server time of the API's lists, the support desk and the console;
- `paint`: a newcomer's way in a browser, and how soon pages are painted there;
- `custody`, `keys`, `leaks`: sealing, rotation, checks and search of keys, the leak tripwire;
- `footprint`, `path`, `pacing`, `soak`: one call's bytes and CPU, rate limits, memory in time;
- `many`: thousands of tenants on hundreds of connections;
- `spend`, `webhooks`: the ledger as it grows, fanning out and delivering.

It prints tables; `--write` also puts them into docs/benchmarks.md. It takes a few minutes
and touches nothing but loopback and a folder that it removes.
"""

import argparse
import importlib.metadata
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path

import orjson
import psycopg

from bench import report
from bench.report import DIRECT, GATEWAY, PACED, PAIR, PLAIN, STREAM, Cell, Run
from bench.servers import ROOT, Cores, Server, describe_machine, postgres_cpu
from bench.stage import Stage, stage
from bench.wire import MODEL

_LOADS = (
    *((PLAIN, 1), (PLAIN, 16), (PLAIN, 64)),
    *((STREAM, 1), (STREAM, 16), (PACED, 16), (PACED, 64)),
)
_ROUNDS = 2
_PARTS = (
    *("api", "desk", "pages", "paint", "custody", "keys", "leaks"),
    *("footprint", "many", "path", "pacing", "soak", "spend", "webhooks"),
)
_VERSIONS = (
    *("granian", "uvicorn", "uvloop", "httptools", "aiohttp", "pyreqwest", "httpx"),
    *("orjson", "psycopg", "Django"),
)
_CLIENTS = ("httpx", "aiohttp", "pyreqwest", "ours")
_SERVICE = "aisuru_mistral.asgi:application"


def main() -> None:
    """Measure, print, and write if asked."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--write", action="store_true", help="also write docs/benchmarks.md")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each single measurement")
    parser.add_argument(
        "part",
        nargs="?",
        choices=("gateway", "all", *_PARTS),
        default="gateway",
        help="what to measure",
    )
    arguments = parser.parse_args()
    wanted = _PARTS if arguments.part == "all" else {arguments.part} & set(_PARTS)
    failed = [part for part in wanted if not _passes(part)]
    if arguments.part in _PARTS:
        sys.exit(bool(failed))
    written = report.write(_run(arguments.seconds))
    print(written)
    if arguments.write:
        (ROOT / "docs" / "benchmarks.md").write_text(written, encoding="utf-8")
    if failed:
        sys.exit(f"not as promised: {', '.join(failed)}")


def _passes(part: str) -> bool:
    """Run a part of its own; tell whether it kept what it promises."""
    print(f"\n== {part}", flush=True)
    return (
        subprocess.run([sys.executable, "-m", f"bench.{part}"], cwd=ROOT, check=False).returncode
        == 0
    )


def _run(seconds: float) -> Run:
    began = time.monotonic()
    machine = describe_machine()
    cores = Cores.here()
    with ExitStack() as stack:
        if cores is not None:  # whatever is started from here on keeps away from the measured one
            stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
            os.sched_setaffinity(0, cores.others)
        one, all_cores = (cores.one, cores.all) if cores is not None else (None, None)
        here = dict(os.environ)  # noqa: TID251 - children inherit it
        stub = stack.enter_context(Server(DIRECT, ["-m", "bench.stub", "{port}"], here))
        set_up = stack.enter_context(stage(f"http://127.0.0.1:{stub.port}"))
        environment = set_up.environment
        servers = [stub]
        for client in _CLIENTS:
            bare = f"bench.passthrough:with_{client}"
            granian = Server.granian(f"granian + {client}", bare, environment, inside=one)
            uvicorn = Server.uvicorn(f"uvicorn + {client}", bare, environment, inside=one)
            servers += [stack.enter_context(granian), stack.enter_context(uvicorn)]
        gateway = Server.granian(GATEWAY, _SERVICE, environment, inside=one)
        pair = Server.granian(PAIR, _SERVICE, environment, workers=2, inside=all_cores)
        servers += [stack.enter_context(gateway), stack.enter_context(pair)]
        cells = dict(_cells(servers, set_up, seconds))
        if cores is not None:
            os.sched_setaffinity(0, {cores.measured})  # the servers have nothing more to do
        from bench import ledger  # noqa: PLC0415 - Django is set up by the stage

        return Run(
            machine=machine,
            versions=", ".join(f"{name} {importlib.metadata.version(name)}" for name in _VERSIONS),
            cells=cells,
            memory={server.name: server.usage.memory for server in servers[1:]},
            start_up={server.name: server.seconds_to_start for server in servers[1:]},
            ledger=ledger.measure(set_up, MODEL, seconds),
            load_after=" ".join(f"{value:.1f}" for value in os.getloadavg()),
            bare_commits_per_second=_bare_commits(set_up.owner_url, seconds),
            seconds=time.monotonic() - began,
        )


def _cells(
    servers: list[Server], set_up: Stage, seconds: float
) -> Iterator[tuple[tuple[str, str, int], Cell]]:
    """Measure each load on all servers in turn, twice: what disturbs one disturbs its rival too.

    Those whose turn it is not are stopped; the stub, which is the first, answers for all of them.
    """
    data_dir = Path(set_up.environment["DATA_DIR"]) / "postgres"
    for server in servers[1:]:
        server.halt()
    for kind, connections in _LOADS:
        rounds: dict[str, list[Cell]] = {server.name: [] for server in servers}
        for _ in range(_ROUNDS):
            for server in servers:
                print(f"{kind}, {connections}: {server.name}", file=sys.stderr)
                with server.awake() if server is not servers[0] else nullcontext():
                    cell = _measure(server, set_up.token, kind, connections, seconds, data_dir)
                rounds[server.name].append(cell)
        for server in servers:
            yield (server.name, kind, connections), _mean(rounds[server.name])


def _measure(  # noqa: PLR0917 - one measurement's facts
    server: Server, token: str, kind: str, connections: int, seconds: float, data_dir: Path
) -> Cell:
    cpu, postgres = server.usage.cpu, postgres_cpu(data_dir)
    command = [sys.executable, "-m", "bench.load", str(server.port), token]
    done = subprocess.run(
        [*command, str(connections), str(seconds), kind],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        timeout=seconds + 60,
        check=True,
    )
    seen = orjson.loads(done.stdout)
    per_request = 1e6 / max(seen["per_second"] * seconds, 1)
    return Cell(
        seen["per_second"],
        seen["median_ms"],
        seen["p99_ms"],
        seen["first_byte_ms"],
        (server.usage.cpu - cpu) * per_request,
        (postgres_cpu(data_dir) - postgres) * per_request,
    )


def _mean(cells: list[Cell]) -> Cell:
    columns = zip(*(vars(cell).values() for cell in cells), strict=True)
    return Cell(*(statistics.fmean(column) for column in columns))


def _bare_commits(url: str, seconds: float) -> float:
    """Insert and commit one row at a time: what a commit for each call would cost."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare (id bigserial PRIMARY KEY, note text)")
        until = time.perf_counter() + seconds
        count = 0
        while time.perf_counter() < until:
            connection.execute("INSERT INTO bare (note) VALUES ('x')")
            count += 1
        return count / seconds


if __name__ == "__main__":
    main()
