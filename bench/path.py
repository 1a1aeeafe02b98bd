"""`python -m bench.path`: what a request costs the gateway's process, without a server around it.

The whole application runs in this process, as a server would call it: real ledger, real clients,
the stub, and callers that are two coroutines. Counted is CPU of the process, and of the event loop
in it: the least of several rounds, which a busy machine changes less than rates. Beside it stand
bare pass-throughs. `--profile N` shows the N dearest functions instead.
"""

import argparse
import asyncio
import cProfile
import os
import pstats
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import uvloop

from bench import wire
from bench.report import PLAIN, STREAM
from bench.servers import Server
from bench.stage import stage

_ROUNDS = 7
_LOADS = ((PLAIN, 1), (PLAIN, 16), (PLAIN, 64), (STREAM, 1), (STREAM, 16))


class Caller:
    """Asks an application the benchmark's question, without a connection between them."""

    def __init__(self, application: Any, token: str, kind: str) -> None:
        self._application = application
        self._body = wire.question(stream=kind == STREAM)
        self._scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/chat/completions",
            "query_string": b"",
            "headers": [
                (b"host", b"127.0.0.1"),
                (b"authorization", f"Bearer {token}".encode()),
                (b"accept", b"application/json"),
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(self._body)),
            ],
        }

    async def ask(self) -> None:
        """Ask once."""
        is_read, status = False, 0

        async def receive() -> dict[str, Any]:
            nonlocal is_read
            if is_read:  # there is nothing more to receive: the caller stays
                await asyncio.get_running_loop().create_future()
            is_read = True
            return {"type": "http.request", "body": self._body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            nonlocal status
            status = message.get("status", status)

        await self._application({**self._scope}, receive, send)
        if status != HTTPStatus.OK:
            raise SystemExit(f"unexpected status {status}")

    async def ask_often(self, connections: int, requests: int) -> None:
        """Ask so many times together, each request in a task of its own, as servers do it."""

        async def one_after_the_other() -> None:
            for _ in range(requests // connections):
                await asyncio.create_task(self.ask())

        await asyncio.gather(*(one_after_the_other() for _ in range(connections)))


async def measure(caller: Caller, connections: int, requests: int) -> tuple[float, float]:
    """Give the microseconds of one request: of the process, and of the event loop in it."""
    process, loop = [], []
    await caller.ask_often(connections, requests // 2)
    for _ in range(_ROUNDS):
        began = time.process_time(), time.thread_time()
        await caller.ask_often(connections, requests)
        process.append(time.process_time() - began[0])
        loop.append(time.thread_time() - began[1])
    asked = requests // connections * connections
    return min(process) * 1e6 / asked, min(loop) * 1e6 / asked


@asynccontextmanager
async def alive(application: Any) -> AsyncIterator[None]:
    """Start an application as a server does, and stop it."""
    events: asyncio.Queue[str] = asyncio.Queue()
    told: asyncio.Queue[str] = asyncio.Queue()

    async def receive() -> dict[str, str]:
        return {"type": await events.get()}

    async def send(message: dict[str, str]) -> None:
        await told.put(message["type"])

    life = asyncio.create_task(application({"type": "lifespan"}, receive, send))
    await events.put("lifespan.startup")
    await told.get()
    yield
    await events.put("lifespan.shutdown")
    await told.get()
    await life


async def _profile(caller: Caller, connections: int, requests: int, most: int) -> None:
    await caller.ask_often(connections, requests)
    # Of all threads: a clock of one of them would run backwards in the others.
    with cProfile.Profile(time.process_time) as profile:
        await caller.ask_often(connections, requests)
    pstats.Stats(profile).sort_stats("tottime").print_stats(most)


async def _run(token: str, arguments: argparse.Namespace) -> None:
    from aisuru_mistral.asgi import application  # noqa: PLC0415 - the environment comes first
    from bench import passthrough  # noqa: PLC0415

    bare = {
        "aiohttp": passthrough.with_aiohttp,
        "ours": passthrough.with_ours,
        "pyreqwest": passthrough.with_pyreqwest,
    }
    async with alive(application):
        for kind, connections in _LOADS:
            if arguments.only not in {None, f"{kind}-{connections}"}:
                continue
            requests = arguments.requests if kind == PLAIN else arguments.requests // 3
            if arguments.profile:
                caller = Caller(application, token, kind)
                await _profile(caller, connections, requests, arguments.profile)
                continue
            for name, served in {"gateway": application, **bare}.items():
                process, loop = await measure(Caller(served, token, kind), connections, requests)
                print(f"{kind:6} {connections:2} {name:9} {process:5.0f} µs, loop {loop:5.0f} µs")
    await passthrough.with_aiohttp.close()
    await passthrough.with_ours.close()


def main() -> None:
    """Set the stage and measure."""
    parser = argparse.ArgumentParser(prog="bench.path", description=__doc__)
    parser.add_argument("--requests", type=int, default=1500, help="in each round")
    parser.add_argument("--only", help="one load, such as plain-16")
    parser.add_argument("--profile", type=int, default=0, metavar="N")
    arguments = parser.parse_args()
    here = dict(os.environ)  # noqa: TID251 - the stub inherits it
    with (
        Server("stub", ["-m", "bench.stub", "{port}"], here) as stub,
        stage(f"http://127.0.0.1:{stub.port}") as set_up,
    ):
        os.environ.update(set_up.environment)  # noqa: TID251 - the application's, here
        uvloop.run(_run(set_up.token, arguments))


if __name__ == "__main__":
    main()
