"""`python -m bench.soak`: is memory flat, and nothing lost, after minutes of every kind of caller?

One gateway process on loopback, everything switched on, and callers of all kinds at once: for JSON,
for streams, for long streams that they read slowly, and for streams that they leave after the first
bytes; a third of the slow ones gives up half-way. It prints the resident memory of the process as
it goes on, and ends with an error if that passes the ceiling, if it grew from the first third to
the last, or if the ledger has not one event for each call.
"""

import argparse
import asyncio
import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

import psycopg
import uvloop

from bench import wire
from bench.servers import Server, describe_machine
from bench.soak_upstream import LONG
from bench.stage import Stage, stage

#: For one process; each long stream that is taken slowly has its share of it, some 5 MiB.
CEILING = 256 * 2**20
GROWTH = 1.10
_JSON, _STREAMS, _SLOW, _LEAVERS = 8, 8, 24, 8
#: Seconds between the calls of one caller, and between two looks of a slow one.
_PAUSE = 0.02
_WARM_UP = 15.0
_HALF = 6_000_000
_PATH = "/v1/chat/completions"
_COUNT = """
    SELECT (SELECT count(*) FROM spend_usageevent WHERE model_id = %(model)s),
           (SELECT count(*) FROM spend_hold WHERE model_id = %(model)s)
"""


@dataclass
class Soak:
    """One run: who calls, until when, and what became of it."""

    port: int
    token: str
    until: float
    begun: Counter[str] = field(default_factory=Counter)
    whole: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Call until the time is over; calls under way end as they end."""
        kinds: list[tuple[int, Callable[[], Coroutine[None, None, None]]]] = [
            (_JSON, self._json),
            (_STREAMS, self._stream),
            (_SLOW, self._slow),
            (_LEAVERS, self._leave),
        ]
        async with asyncio.TaskGroup() as group:
            for count, kind in kinds:
                for _ in range(count):
                    group.create_task(self._again(kind))

    async def _again(self, kind: Callable[[], Coroutine[None, None, None]]) -> None:
        while time.monotonic() < self.until:
            await kind()
            await asyncio.sleep(_PAUSE)

    async def _json(self) -> None:
        await self._call("json", wire.question(stream=False))

    async def _stream(self) -> None:
        await self._call("stream", wire.question(stream=True))

    async def _slow(self) -> None:
        """Take twelve megabytes a little at a time; some give up half-way."""
        body = wire.question(stream=True).replace(b"The quick brown", LONG, 1)
        reader, writer = await self._ask("slow", body)
        is_patient = self.begun["slow"] % 3 > 0
        taken, pause = 0, 2 * _PAUSE
        while part := await reader.read(16_384):
            taken += len(part)
            if time.monotonic() > self.until:
                pause = 0
            await asyncio.sleep(pause)
            if taken > _HALF and not is_patient:
                break
        else:
            self.whole["slow"] += 1
        await _close(writer)

    async def _leave(self) -> None:
        reader, writer = await self._ask("leaver", wire.question(stream=True))
        await reader.read(100)
        await _close(writer)

    async def _call(self, kind: str, body: bytes) -> None:
        reader, writer = await self._ask(kind, body)
        while await reader.read(65_536):
            pass
        self.whole[kind] += 1
        await _close(writer)

    async def _ask(
        self, kind: str, body: bytes
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Send a request on a connection of its own, and read the head of the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=65_536)
        request = wire.request(_PATH, body, self.token)
        writer.write(request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1))
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise SystemExit(f"unexpected answer: {head!r}")
        self.begun[kind] += 1
        return reader, writer


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    await asyncio.sleep(0)


@dataclass(frozen=True)
class Sample:
    """What was seen at an instant: seconds since the start, bytes of memory, calls so far."""

    at: float
    memory: int
    calls: int


async def _watch(server: Server, soak: Soak, every: float) -> list[Sample]:
    began = time.monotonic()
    samples = []
    while time.monotonic() < soak.until:
        await asyncio.sleep(every)
        sample = Sample(time.monotonic() - began, server.usage.memory, soak.begun.total())
        samples.append(sample)
        print(
            f"{sample.at:6.0f} s  {sample.memory / 2**20:6.1f} MiB  {sample.calls:8,} calls",
            flush=True,
        )
    return samples


async def _soak(server: Server, token: str, seconds: float) -> tuple[Soak, list[Sample]]:
    warm_up = Soak(server.port, token, time.monotonic() + _WARM_UP)
    await warm_up.run()
    print(
        f"after {_WARM_UP:.0f} s of warming up: {server.usage.memory / 2**20:.1f} MiB", flush=True
    )
    soak = Soak(server.port, token, time.monotonic() + seconds, begun=warm_up.begun)
    watching = asyncio.create_task(_watch(server, soak, max(seconds / 12, 1)))
    await soak.run()
    return soak, await watching


def _posted(set_up: Stage, calls: int) -> tuple[int, int]:
    """Wait until the ledger has everything; tell how many events and how many holds it has."""
    until = time.monotonic() + 60
    with psycopg.connect(set_up.owner_url, autocommit=True) as owner:
        while True:
            found = owner.execute(_COUNT, {"model": set_up.model_id}).fetchone()
            posted, held = found or (0, 0)
            if (posted >= calls and not held) or time.monotonic() > until:
                return posted, held
            time.sleep(0.5)


def main() -> None:
    """Soak, print, and judge."""
    parser = argparse.ArgumentParser(prog="bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0)
    arguments = parser.parse_args()
    print(describe_machine())
    here = dict(os.environ)  # noqa: TID251 - children inherit it
    with (
        Server("Mistral", ["-m", "bench.soak_upstream", "{port}"], here) as upstream,
        stage(f"http://127.0.0.1:{upstream.port}") as set_up,
        Server.granian("gateway", "aisuru_mistral.asgi:application", set_up.environment) as server,
    ):
        fresh = server.usage.memory
        soak, samples = uvloop.run(_soak(server, set_up.token, arguments.minutes * 60))
        posted, held = _posted(set_up, soak.begun.total())
    third = max(len(samples) // 3, 1)
    start, middle, end = (
        statistics.median(sample.memory for sample in part)
        for part in (samples[:third], samples[third:-third] or samples, samples[-third:])
    )
    peak = max(sample.memory for sample in samples)
    print(
        f"RSS: {fresh / 2**20:.1f} MiB before the first call; first third {start / 2**20:.1f},"
        f" middle {middle / 2**20:.1f}, last third {end / 2**20:.1f}, peak {peak / 2**20:.1f}"
        f" (ceiling {CEILING / 2**20:.0f})"
    )
    print(f"calls {dict(soak.begun)}, {posted:,} events, {held} holds left")
    faults = [
        *(["the ceiling was passed"] if peak > CEILING else []),
        *(["memory grew"] if end > start * GROWTH else []),
        *(["the ledger is not exact"] if posted != soak.begun.total() or held else []),
    ]
    print("; ".join(faults) or "flat, and exact")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
