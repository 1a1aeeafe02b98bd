"""Answers that are large or slowly taken: each is bounded, and leaves room for the others."""

import asyncio
import json
import select
import socket
from contextlib import ExitStack, closing
from typing import Any
from unittest.mock import Mock
from uuid import UUID

import httpx
import pytest

from tenants.gateway.bounds import Bounds
from tenants.gateway.departures import Departure, Departures
from tenants.gateway.exchange import Exchange
from tenants.gateway.outlet import Outlet
from tenants.gateway.relay import Relay
from tenants.mistral.connection import Connection
from tenants.mistral.upstream import UpstreamResponse
from tests.gateway import tenancy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import Tenant, ask, eventually, question
from tests.mistral.far_side import FarSide, answering

KILO = 1024
FIRST, SECOND = UUID(int=1), UUID(int=2)
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
LARGE = {"choices": [{"message": {"content": "x" * 20_000 * KILO}}], "usage": USAGE}


async def begun(departure: Departure, size: int) -> "asyncio.Task[None]":
    task = asyncio.create_task(departure.keep(size))
    await asyncio.sleep(0)
    return task


async def test_large_answers_share_a_budget_of_which_everybody_has_a_part():
    room = Departures(Bounds(answers=1000 * KILO, answers_of_one=600 * KILO))
    first, more, beyond, second, third = (
        Departure(room, whose) for whose in (FIRST, FIRST, FIRST, SECOND, SECOND)
    )
    with first, second, third, beyond, ExitStack() as freed:
        freed.enter_context(more)
        assert (await begun(first, 500 * KILO)).done()
        assert (await begun(more, 200 * KILO)).done(), "one goes beyond what there is"
        assert (await begun(more, 300 * KILO)).done(), "and on"
        waiting = await begun(beyond, 200 * KILO)
        assert not waiting.done()
        assert (await begun(second, 64 * KILO)).done(), "little needs no room"
        another = await begun(third, 300 * KILO)
        assert not another.done()
        freed.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert waiting.done(), "now it goes beyond"
        assert another.done()
    assert (room._all, room._kept, room._beyond) == (0, {}, None)


async def test_one_that_is_given_up_while_it_waits_keeps_nothing():
    room = Departures(Bounds(answers=100 * KILO, answers_of_one=100 * KILO))
    with Departure(room, FIRST) as first, Departure(room, FIRST) as second:
        await first.keep(200 * KILO)
        waiting = await begun(second, 200 * KILO)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    assert (room._all, room._kept, room._beyond) == (0, {}, None)


async def test_what_may_come_at_once_is_not_fetched_before_there_is_room_for_it():
    bounds = Bounds(answers=1000 * KILO, answers_of_one=1000 * KILO)
    relay, room, fetched = Relay(Mock(), bounds, Mock()), Departures(bounds), list[int]()

    class Answer(UpstreamResponse):
        async def next_chunk(self) -> bytes:
            fetched.append(800 * KILO)
            return b"x" * 800 * KILO if len(fetched) == 1 else b""

    answer = Answer(Connection())
    answer.headers = {"content-length": str(800 * KILO)}
    with Departure(room, FIRST) as taken, Departure(room, SECOND) as kept:
        with Departure(room, SECOND) as beyond:
            await taken.keep(900 * KILO)
            await beyond.keep(200 * KILO)
            reading = asyncio.create_task(relay._read(answer, bounds.answer, kept))
            await asyncio.sleep(0)
            assert fetched == []
        assert len(await reading) == 800 * KILO
        assert room._kept[SECOND] == 800 * KILO
    assert (room._all, room._kept, room._beyond) == (0, {}, None)


class Caller:
    """Somebody who takes pieces until told otherwise."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.takes = asyncio.Event()
        self.left = asyncio.get_running_loop().create_future()
        self.exchange = Exchange(self._receive, self._send, "id")

    async def _receive(self) -> dict[str, Any]:
        await self.left
        return {"type": "http.disconnect"}

    async def _send(self, message) -> None:
        await self.takes.wait()
        self.taken.append(message["body"])


async def test_a_caller_who_takes_nothing_for_too_long_counts_as_gone():
    caller, gone = Caller(), []
    caller.takes.set()
    outlet = Outlet(caller.exchange, 0.02, lambda: gone.append(True))
    await outlet.give(b"a")
    assert not outlet.is_gone
    caller.takes.clear()
    await outlet.give(b"b")
    assert (caller.taken, outlet.is_gone, gone) == ([b"a"], True, [True])
    task = asyncio.current_task()
    assert task is not None
    assert not task.cancelling()
    outlet.close()


async def test_one_who_leaves_is_gone_at_once_and_one_who_pauses_between_pieces_is_not():
    caller, gone = Caller(), []
    caller.takes.set()
    outlet = Outlet(caller.exchange, 0.01, lambda: gone.append(True))
    await asyncio.sleep(0.05)
    assert not outlet.is_gone
    caller.left.set_result(None)
    await asyncio.sleep(0.01)
    assert (outlet.is_gone, gone) == (True, [True])
    outlet.close()


async def test_to_be_given_up_from_outside_is_no_callers_fault():
    caller = Caller()

    async def give() -> None:
        outlet = Outlet(caller.exchange, 10)
        try:
            await outlet.give(b"a")
        finally:
            outlet.close()

    task = asyncio.create_task(give())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_to_be_given_up_while_the_caller_takes_nothing_is_no_less_so():
    caller = Caller()

    async def give() -> None:
        task = asyncio.current_task()
        assert task is not None

        def give_up() -> None:
            task.cancel()

        outlet = Outlet(caller.exchange, 0.01, give_up)
        try:
            await outlet.give(b"a")
        finally:
            outlet.close()

    with pytest.raises(asyncio.CancelledError):
        await asyncio.create_task(give())


def asked(server: GatewayServer, tenant: Tenant, **more: Any) -> socket.socket:
    """Ask, and take nothing of the answer."""
    body = json.dumps(question(**more)).encode()
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    wire.connect(("127.0.0.1", server.port))
    wire.sendall(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: %d\r\n" % len(body)
        + f"authorization: Bearer {tenant.token}\r\n\r\n".encode()
        + body
    )
    return wire


def stream(_request, connection: socket.socket) -> None:
    event = b"data: " + json.dumps({"choices": [{"delta": {"content": "x" * 9000}}]}).encode()
    told = b"data: " + json.dumps({"choices": [], "usage": USAGE}).encode()
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    for _ in range(2000):
        connection.sendall(event + b"\n\n")
    connection.sendall(told + b"\n\n")
    connection.close()


@pytest.mark.usefixtures("_database")
@pytest.mark.parametrize("is_stream", [False, True])
def test_an_answer_that_is_not_taken_holds_its_callers_place_until_it_is_given_up(
    made_up, is_stream
):
    tenant = tenancy.make(made_up)
    scripts = [stream if is_stream else answering(200, LARGE)]

    def play(request, connection: socket.socket) -> None:
        scripts[-1](request, connection)

    with (
        FarSide(play) as far,
        GatewayServer(far.url, calls_of_one=2, lag=3, slowest=10**9, drain_time=0) as server,
        ExitStack() as wires,
    ):
        ends = select.poll()
        for _ in range(2):
            wire = wires.enter_context(closing(asked(server, tenant, stream=is_stream)))
            ends.register(wire, 0)
        eventually(lambda: len(far.requests) == 2)
        assert ask(server.url, tenant).json()["code"] == "too_many_at_once"
        scripts.append(answering(200, {"choices": [], "usage": USAGE}))
        eventually(lambda: ask(server.url, tenant).is_success, seconds=15)
        eventually(lambda: tenant.holds() == [])
        eventually(lambda: len(ends.poll(0)) == 2, seconds=30)  # the connection, too


def test_a_large_answer_comes_whole(scripted, tenant):
    scripted.script = answering(200, LARGE)
    got = httpx.post(
        f"{scripted.url}/v1/chat/completions",
        json=question(),
        headers=tenant.headers,
        trust_env=False,
        timeout=60,
    )
    assert got.json() == LARGE
    assert "x-aim-cost" in got.headers
