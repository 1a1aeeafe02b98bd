"""Counters that processes share: exact together, and never waited for for long."""

import asyncio
import socket
import time

import fakeredis
import pytest
import redis
from redis.asyncio import Redis

from tenants.gateway.shared import PATIENCE, Shared, connect, gate, month, window


@pytest.fixture(params=["fakeredis", "redis"])
def make(request):
    """Make another process's hand on the same counters."""
    if request.param == "fakeredis":
        fake = fakeredis.FakeServer()
        return lambda: Shared(fakeredis.FakeAsyncRedis(server=fake))
    port = request.getfixturevalue("redis_server")
    with redis.Redis(port=port) as client:
        client.flushall()
    return lambda: Shared(Redis(port=port))


async def test_several_processes_together_take_exactly_the_limit(make):
    hands = [make() for _ in range(3)]
    part = window("w", 10, 60, 1)
    answers = await asyncio.gather(*(hand.take([part]) for hand in hands for _ in range(10)))
    assert [answer.lacking for answer in answers].count(None) == 10
    refused = [answer for answer in answers if answer.lacking is not None]
    assert all(50 < answer.wait <= 62 and answer.used == 10 for answer in refused)
    for hand in hands:
        await hand.take([])
    assert {hand.share for hand in hands} == {3}
    for hand in hands:
        await hand.stop()


async def test_many_calls_at_once_share_a_round_trip(make):
    hand = make()
    await asyncio.gather(*(hand.take([window("w", 1000, 60, 1)]) for _ in range(100)))
    assert hand.round_trips <= 2
    await hand.stop()


async def test_a_call_takes_all_its_parts_or_none(make):
    hand = make()
    tight, wide = window("tight", 1, 60, 1), window("wide", 100, 60, 1)
    assert (await hand.take([wide, tight])).lacking is None
    answer = await hand.take([wide, tight])
    assert (answer.lacking, answer.used) == (1, 1)
    assert (await hand.take([window("wide", 100, 60, 99)])).lacking is None  # one was taken
    await hand.stop()


async def test_a_window_opens_again_and_corrections_count_where_units_were_taken(make):
    hand = make()
    assert (await hand.take([window("w", 100, 1, 90)])).lacking is None
    assert (await hand.take([window("w", 100, 1, 20)])).lacking == 0
    hand.correct("w", "w", 1, 0.0, -80)
    answer = await hand.take([window("w", 100, 1, 90)])
    assert answer.lacking is None
    answer = await hand.take([window("w", 100, 1, 90)])
    assert 0 < answer.wait <= 1.1
    await asyncio.sleep(answer.wait + 0.05)
    assert (await hand.take([window("w", 100, 1, 90)])).lacking is None
    await hand.stop()


async def test_a_month_begins_with_what_the_ledger_knows(make):
    hand = make()
    assert (await hand.take([month("m", 100, 1000, 30, 60)])).lacking is None
    answer = await hand.take([month("m", 100, 1000, 30, 0)])
    assert (answer.lacking, answer.used, answer.wait) == (0, 90, 1000)
    hand.correct("m", "m", 1000, 0, -25)
    assert (await hand.take([month("m", 100, 1000, 30, 0)])).lacking is None
    await hand.stop()


async def test_a_gate_closed_by_one_is_closed_for_all_and_never_opened_earlier(make):
    one, other = make(), make()
    one.close_gate("g", 5)
    one.close_gate("g", 1)
    await one.take([])
    answer = await other.take([gate("g"), window("w", 10, 60, 1)])
    assert answer.lacking == 0
    assert 4 < answer.wait <= 5
    for hand in (one, other):
        await hand.stop()


async def test_a_redis_that_is_away_costs_a_moment_and_then_nothing():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hand = connect(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        began = time.monotonic()
        assert await hand.take([window("w", 10, 60, 1)]) is None
        assert time.monotonic() - began < 4 * PATIENCE
        assert hand.is_away
        trips = hand.round_trips
        assert await asyncio.gather(*(hand.take([]) for _ in range(50))) == [None] * 50
        assert hand.round_trips == trips
        await hand.stop()
