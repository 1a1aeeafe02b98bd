"""Turns measurements into the tables that are printed and kept in docs/benchmarks.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PLAIN, STREAM = "plain", "stream"
DIRECT, HTTPX, AIOHTTP, GATEWAY = "stub itself", "bare httpx", "bare aiohttp", "gateway"


@dataclass(frozen=True)
class Cell:
    """One server at one load; the means of its rounds."""

    per_second: float
    median_ms: float
    p99_ms: float
    first_byte_ms: float
    server_cpu_us: float
    postgres_cpu_us: float


@dataclass(frozen=True)
class Throughput:
    """Milliseconds of one round trip, and calls a second at that batch size."""

    batch: int
    open_ms: float
    settle_ms: float

    @property
    def calls_per_second(self) -> float:
        """Opened and settled, one after the other on one connection each."""
        return self.batch * 1000 / (self.open_ms + self.settle_ms)


@dataclass(frozen=True)
class Run:
    """Everything that one run has measured."""

    machine: str
    versions: str
    cells: Mapping[tuple[str, str, int], Cell]
    memory: Mapping[str, int]
    start_up: Mapping[str, float]
    ledger: Sequence[Throughput]
    bare_commits_per_second: float
    seconds: float


def write(run: Run) -> str:
    """Write the report as Markdown."""
    parts = [
        _INTRODUCTION.format(machine=run.machine, versions=run.versions, seconds=run.seconds),
        "## Requests, not streamed\n",
        _loads(run, PLAIN),
        "## Streams of 30 chunks\n",
        _loads(run, STREAM),
        "## Ratios\n",
        _ratios(run),
        "## Memory and start-up\n",
        _processes(run),
        "## The ledger alone\n",
        _ledger(run),
    ]
    return "\n".join(parts)


_INTRODUCTION = """\
# Benchmarks

Written by `python -m bench --write` (`make bench` prints the same). Machine: {machine}.
{versions}. The run took {seconds:.0f} s; the load generator, the stub, PostgreSQL and whatever else
ran then shared the same cores, so read ratios before figures.

One stub answers every question with fixed bytes, all on loopback. *bare httpx* and *bare aiohttp*
are ASGI applications of forty lines without token check, limits or metering; the *gateway* has
everything on: token, three limits, a hold in PostgreSQL before each call and a settlement after
it. Every server runs under granian (uvloop, one worker). *CPU* is what server and PostgreSQL used
for one request: it depends less on what else the machine does.
"""


def _loads(run: Run, kind: str) -> str:
    rows = [
        [
            server,
            str(connections),
            f"{cell.per_second:,.0f}",
            f"{cell.median_ms:.2f}",
            f"{cell.p99_ms:.1f}",
            f"{cell.first_byte_ms:.2f}",
            f"{cell.server_cpu_us:.0f}" if cell.server_cpu_us else "",
            f"{cell.postgres_cpu_us:.0f}" if server == GATEWAY else "",
        ]
        for (server, of_kind, connections), cell in run.cells.items()
        if of_kind == kind
    ]
    head = ["server", "connections", "per second", "median ms", "p99 ms", "first byte ms"]
    if kind == PLAIN:
        head.remove("first byte ms")
        rows = [[*row[:5], *row[6:]] for row in rows]
    return _table([*head, "server CPU µs", "PostgreSQL CPU µs"], rows)


def _ratios(run: Run) -> str:
    rows = []
    for server, kind, connections in run.cells:
        if server != GATEWAY:
            continue
        ours = run.cells[server, kind, connections]
        row = [kind, str(connections)]
        for other in (AIOHTTP, HTTPX):
            bare = run.cells[other, kind, connections]
            row += [
                f"{ours.per_second / bare.per_second:.0%}",
                f"{ours.median_ms - bare.median_ms:+.2f}",
            ]
        rows.append(row)
    head = ["kind", "connections", "rate of bare aiohttp", "median ms over it"]
    return _table([*head, "rate of bare httpx", "median ms over it"], rows)


def _processes(run: Run) -> str:
    rows = [
        [name, f"{size / 2**20:.0f}", f"{run.start_up[name]:.1f}"]
        for name, size in run.memory.items()
    ]
    return _table(["server", "RSS after the run, MiB", "start-up s"], rows)


def _ledger(run: Run) -> str:
    rows = [
        [
            str(entry.batch),
            f"{entry.open_ms:.2f}",
            f"{entry.settle_ms:.2f}",
            f"{entry.calls_per_second:,.0f}",
        ]
        for entry in run.ledger
    ]
    note = (
        f"One row inserted and committed at a time, bare psycopg, same database:"
        f" {run.bare_commits_per_second:,.0f} a second.\n"
    )
    head = ["calls in a batch", "open ms", "settle ms", "calls opened and settled a second"]
    return _table(head, rows) + "\n" + note


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"
