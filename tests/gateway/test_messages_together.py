"""Chat messages whose calls reach several processes: begun ones are finished before new ones."""

import asyncio
import random
from decimal import Decimal

import fakeredis
import pytest
import redis
from redis.asyncio import Redis

from tenants.common.problems import TooMany
from tenants.gateway.shared import Caller, Shared, window
from tests.gateway.paced import go, pacer, picture


@pytest.fixture(params=["fakeredis", "redis"])
async def make(request):
    """Make another process's hand on the same counters."""
    made: list[Shared] = []
    fake = fakeredis.FakeServer()
    port = None
    if request.param == "redis":
        port = request.getfixturevalue("redis_server")
        with redis.Redis(port=port) as owner:
            owner.flushall()

    def another() -> Shared:
        client = Redis(port=port) if port else fakeredis.FakeAsyncRedis(server=fake)
        made.append(Shared(client))
        return made[-1]

    yield another
    for hand in made:
        await hand.stop()


async def test_calls_of_a_begun_message_go_before_a_new_one_whichever_process_they_reach(make):
    one, other = pacer(make()), pacer(make())
    shown = picture(requests_per_second=Decimal(1))
    order = []

    async def call(process, message):
        permit = await go(process, shown, message)
        order.append(message)
        permit.finish(10, 10)

    await call(one, "begun")
    new = [asyncio.create_task(call(process, f"new {n}")) for n, process in enumerate((other, one))]
    await asyncio.sleep(0.1)
    begun = [asyncio.create_task(call(process, "begun")) for process in (one, other)]
    async with asyncio.timeout(15):
        await asyncio.gather(*begun)
        assert order == ["begun"] * 3
        await new[0]
    new[1].cancel()
    await asyncio.wait(new)


async def test_a_message_begins_only_if_those_of_all_processes_can_be_finished(make):
    one, other = pacer(make()), pacer(make())
    shown = picture(tokens_per_minute=800)  # eight calls

    async def call(process, message):
        (await go(process, shown, message, patience=1)).finish(0, 100)

    await call(one, "first")
    await call(other, "second")
    # Six are left, and four of them are for the second and third calls of those two.
    with pytest.raises(TooMany) as refused:
        await call(one, "third")
    assert 30 < (refused.value.retry_after or 0) <= 62
    for process, message in ((other, "first"), (one, "second"), (one, "first"), (other, "second")):
        await call(process, message)
    await call(other, "")  # two are left for what belongs to no message


@pytest.mark.parametrize("seed", range(3))
async def test_no_message_is_refused_half_way_however_its_calls_are_spread(make, seed):
    chance = random.Random(seed)
    processes = [pacer(make()) for _ in range(3)]
    shown = picture(tokens_per_minute=1000)  # ten calls: three messages of three
    told: dict[str, list[bool]] = {}

    async def message(name):
        told[name] = []
        for _ in range(3):
            await asyncio.sleep(chance.random() / 50)
            try:
                permit = await go(chance.choice(processes), shown, name, patience=1)
            except TooMany:
                told[name].append(False)
                return
            told[name].append(True)
            await asyncio.sleep(chance.random() / 50)
            permit.finish(0, 100)

    async with asyncio.timeout(20):
        await asyncio.gather(*(message(f"m{number}") for number in range(8)))
    assert sorted(told.values()) == [[False]] * 5 + [[True] * 3] * 3


async def test_a_new_message_counts_until_it_is_dropped_and_an_older_one_goes_first(make):
    hand = make()
    part = window("w", 5, 60, 1)
    first, second = Caller("line", "first"), Caller("line", "second")

    async def looks(caller, patience=10):
        return (await hand.look([part], caller, calls=3, patience=patience)).lacking is None

    assert await looks(first)
    assert not await looks(second)  # three and three are more than five
    assert await looks(first)  # another call of its own, at once
    hand.drop(first)
    assert await looks(second)
    assert (await hand.take([part], second)).served == 1
    hand.drop(second)  # too late: it has begun
    assert (await hand.look([part], second, calls=3, patience=10)).begun is not None
    assert not await looks(first)


async def test_a_claim_keeps_room_from_younger_calls_until_it_is_given_up_or_over(make):
    one, other = make(), make()
    part = window("w", 3, 60, 1)
    old, young = Caller("line", "old"), Caller("line", "young")
    await one.take([part], old)
    await asyncio.sleep(0.01)
    await other.take([part], young)
    one.claim("ticket", [part], old, 30)
    await one.take([])
    refused = await other.take([part], young)
    assert (refused.lacking, refused.used) == (0, 3)
    assert refused.wait <= 0.25  # it may be given up at any moment
    assert (await other.take([part], Caller("line"))).lacking == 0
    assert (await other.take([part], Caller("another line"))).lacking is None
    one.correct("w", "w", 60, 0, -1)
    assert (await one.take([part], old)).lacking is None  # its own claim is no obstacle
    one.correct("w", "w", 60, 0, -1)
    one.give_up("ticket", old)
    await one.take([])
    assert (await other.take([part], young)).lacking is None
    one.correct("w", "w", 60, 0, -1)
    one.claim("ticket", [part], old, 0.05)
    await one.take([])
    assert (await other.take([part], young)).lacking == 0
    await asyncio.sleep(0.1)
    assert (await other.take([part], young)).lacking is None


async def test_a_message_is_served_ten_calls_by_all_processes_and_then_is_new_again(make):
    one, other = make(), make()
    part, caller = window("w", 100, 60, 1), Caller("line", "long")
    for number in range(1, 11):
        hand = one if number % 2 else other
        assert (await hand.take([part], caller)).served == number
    assert (await other.look([part], caller, calls=3, patience=10)).begun is None
    assert (await one.take([part], caller)).served == 1
