"""The load generator, a process of its own, for a bounded time; it prints what it saw as JSON.

Each of N kept-alive connections asks again as soon as it was answered. Where a file of tokens is
named (`@file`), each question goes with the next of them.
"""

import argparse
import asyncio
import sys
import time
from array import array
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import cast

import orjson
import uvloop

from bench import wire

_HEAD_END = b"\r\n\r\n"


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._parts: list[bytes] = []
        self._wanted: int | None = None
        self._have = 0
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass
        self.ask()

    def ask(self) -> None:
        """Ask once more."""
        self._parts.clear()
        self._wanted, self._have, self._chunked, self._first = None, 0, False, 0.0
        self._asked = time.perf_counter()
        self._transport.write(next(self._load.requests))

    def data_received(self, data: bytes) -> None:
        """Look for the end of the answer."""
        self._parts.append(data)
        self._have += len(data)
        if self._wanted is None and not self._chunked:
            self._read_head()
        if self._chunked:
            if not self._first and self._have > self._head:
                self._first = time.perf_counter()
            tail = data if len(data) >= 5 else b"".join(self._parts[-5:])
            if tail.endswith(wire.STREAM_END):
                self._answered()
        elif self._wanted is not None and self._have >= self._wanted:
            self._answered()

    def _read_head(self) -> None:
        received = b"".join(self._parts)
        self._parts = [received]
        end = received.find(_HEAD_END)
        if end < 0:
            return
        head = received[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            self._load.fail(received[:400])
            return
        at = head.find(b"content-length:")
        self._head = end + 4
        if at >= 0:
            self._wanted = end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])
        else:
            self._chunked = True

    def _answered(self) -> None:
        now = time.perf_counter()
        self._load.note(now - self._asked, (self._first or now) - self._asked)
        if now < self._load.until:
            self.ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count it."""
        self._load.left()


class Load:
    """All connections of one measurement."""

    def __init__(self, requests: Iterable[bytes], connections: int, seconds: float) -> None:
        self.requests = cycle(requests)
        self.latencies = array("d")
        self.firsts = array("d")
        self._open = connections
        self._started = time.perf_counter()
        self._warm = self._started + min(0.5, seconds / 4)
        self.until = self._started + seconds
        self._done = asyncio.get_running_loop().create_future()
        self._last = self._warm

    def note(self, latency: float, first: float) -> None:
        """Keep one answer, unless it belongs to the warm-up."""
        now = time.perf_counter()
        if now >= self._warm:
            self.latencies.append(latency)
            self.firsts.append(first)
            self._last = now

    def left(self) -> None:
        """One connection has ended."""
        self._open -= 1
        if not self._open and not self._done.done():
            self._done.set_result(None)

    def fail(self, answer: bytes) -> None:
        """Stop at the first answer that is no success: the figures would be worthless."""
        if not self._done.done():
            self._done.set_exception(SystemExit(f"unexpected answer: {answer!r}"))

    async def wait(self) -> dict[str, float]:
        """Wait for the end and sum up; milliseconds."""
        await asyncio.wait_for(self._done, self.until - self._started + 30)
        latencies = sorted(self.latencies)
        seconds = self._last - self._warm
        return {
            "answers": len(latencies),
            "per_second": len(latencies) / seconds if seconds else 0.0,
            "median_ms": _at(latencies, 0.5) * 1000,
            "p99_ms": _at(latencies, 0.99) * 1000,
            "first_byte_ms": _at(sorted(self.firsts), 0.5) * 1000,
        }


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


async def run(
    port: int, tokens: Iterable[str], connections: int, seconds: float, kind: str
) -> dict[str, float]:
    """Load one server."""
    body = wire.question(stream=kind != "plain", paced=kind == "paced")
    requests = [wire.request("/v1/chat/completions", body, one) for one in tokens]
    load = Load(requests, connections, seconds)
    loop = asyncio.get_running_loop()
    for _ in range(connections):
        await loop.create_connection(lambda: Caller(load), "127.0.0.1", port)
        if kind == "paced":  # people do not all ask at once, and these would go on doing so
            await asyncio.sleep(wire.PACE * wire.CHUNKS / connections)
    return await load.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.load", description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("token", help="or @file")
    parser.add_argument("connections", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("kind", choices=("plain", "stream", "paced"))
    told = parser.parse_args()
    tokens = Path(told.token[1:]).read_text().split() if told.token[0] == "@" else [told.token]
    seen = uvloop.run(run(told.port, tokens, told.connections, told.seconds, told.kind))
    sys.stdout.buffer.write(orjson.dumps(seen))


if __name__ == "__main__":
    main()
