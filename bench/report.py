"""Turns measurements into the tables that are printed and kept in docs/benchmarks.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

PLAIN, STREAM, PACED = "plain", "stream", "paced"
DIRECT, GATEWAY, PAIR = "stub itself", "gateway", "gateway, 2 processes"


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
    load_after: str
    bare_commits_per_second: float
    seconds: float


def write(run: Run) -> str:
    """Write the report as Markdown."""
    parts = [
        _INTRODUCTION.format(
            machine=run.machine,
            after=run.load_after,
            pair=PAIR,
            versions=run.versions,
            seconds=run.seconds,
        ),
        "## Requests, not streamed\n",
        _loads(run, PLAIN),
        "## Streams of 30 chunks\n",
        _loads(run, STREAM),
        "## Streams of 30 chunks, one each 10 ms\n",
        "As a model writes them, asked for one after the other: waiting is for Mistral.\n",
        _loads(run, PACED),
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

Written by `python -m bench --write` (`make bench` prints the same). Machine: {machine}, after it
{after}. {versions}. The run took {seconds:.0f} s. Where there are two cores, each server under
measurement had one to itself; the load generator, the stub, PostgreSQL and whatever else ran shared
the others, and servers whose turn it was not were stopped. Two processes share all cores with
everybody else.

One stub answers every question with fixed bytes, all on loopback. A *server + client* is a bare
pass-through, an ASGI application of forty lines without token check, limits or metering; the
*gateway* has everything on: token, caps, three limits, a hold in PostgreSQL before each call and a
settlement after it. One process each, uvloop, but for *{pair}*. *CPU* is what server
and PostgreSQL used for one request: it depends less on what else the machine does.
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
            f"{cell.postgres_cpu_us:.0f}" if server in {GATEWAY, PAIR} else "",
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
    """Set the gateway beside the pass-through that was the fastest at each load."""
    rows = []
    for server, kind, connections in run.cells:
        if server != GATEWAY:
            continue
        ours = run.cells[server, kind, connections]
        bare = {
            name: cell
            for (name, *load), cell in run.cells.items()
            if load == [kind, connections] and name not in {DIRECT, GATEWAY, PAIR}
        }
        fastest = max(bare, key=lambda name: bare[name].per_second)
        cheapest = min(bare, key=lambda name: bare[name].server_cpu_us)
        both = run.cells[PAIR, kind, connections]
        rows.append(
            [
                kind,
                str(connections),
                fastest,
                f"{ours.per_second / bare[fastest].per_second:.0%}",
                f"{ours.median_ms - bare[fastest].median_ms:+.2f}",
                f"{ours.first_byte_ms - bare[fastest].first_byte_ms:+.2f}",
                cheapest,
                f"{bare[cheapest].server_cpu_us / ours.server_cpu_us:.0%}",
                f"{both.per_second / ours.per_second:.2f}",
                f"{ours.server_cpu_us / both.server_cpu_us:.2f}",
            ]
        )
    head = ["kind", "connections", "fastest bare", "rate of it", "median ms over it"]
    head += ["first byte ms over it", "cheapest bare", "its CPU of ours"]
    head += ["2 processes: rate", "2 processes: requests per CPU second"]
    return _table(head, rows)


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
