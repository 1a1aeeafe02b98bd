"""Tokens of a month that several processes count together: one limit, and corrections for all."""

import asyncio
from decimal import Decimal

import fakeredis
import pytest
import redis
from redis.asyncio import Redis

from tenants.common.problems import TooMany
from tenants.gateway.breaker import Breaker
from tenants.gateway.lanes import PER_MONTH, Lane, Lanes
from tenants.gateway.pacing import Pacer
from tenants.gateway.shared import Shared
from tenants.gateway.together import Together
from tenants.gateway.windows import MonthCount
from tests.gateway.paced import go, picture


@pytest.fixture(params=["fakeredis", "redis"])
async def process(request):
    """Make a process that counts with the others, and has read so much in the ledger."""
    made: list[Shared] = []
    fake, port = fakeredis.FakeServer(), None
    if request.param == "redis":
        port = request.getfixturevalue("redis_server")
        with redis.Redis(port=port) as owner:
            owner.flushall()

    def another(read: int = 0) -> Pacer:
        async def read_months(lane: Lane) -> None:
            for subject in lane.subjects:
                counter = subject.rules[PER_MONTH].counter
                assert isinstance(counter, MonthCount)
                counter.settle(read, 0.0)
                subject.is_unread = False

        client = Redis(port=port) if port else fakeredis.FakeAsyncRedis(server=fake)
        made.append(Shared(client))
        return Pacer(Lanes(), Breaker(), Together(made[-1]), read_months)

    yield another
    for hand in made:
        await hand.stop()


async def refused(process, shown) -> TooMany:
    with pytest.raises(TooMany) as refusal:
        await go(process, shown)
    assert refusal.value.members["rate"] == "tokens_per_month"
    return refusal.value


async def told(process) -> None:
    """Wait until all others know what a process has corrected."""
    under_way = process.together._shared._flushing
    assert under_way is not None
    await asyncio.wait((under_way,))


async def test_a_month_is_one_for_all_processes(process):
    one, other = process(), process()
    shown = picture(tokens_per_month=250)
    await go(one, shown)
    await go(other, shown)
    assert (await refused(one, shown)).members["used"] == 200
    assert (await refused(other, shown)).members["used"] == 200


async def test_what_a_call_used_counts_for_all_instead_of_what_it_took(process):
    one, other = process(), process()
    shown = picture(tokens_per_month=250)
    permit = await go(one, shown)
    await go(other, shown)
    permit.finish(20, 10)  # of a hundred
    await told(one)
    await go(other, shown)
    assert (await refused(one, shown)).members["used"] == 230


async def test_a_call_that_used_more_than_it_took_leaves_less_for_the_others(process):
    one, other = process(), process()
    shown = picture(tokens_per_month=250)
    (await go(one, shown)).finish(100, 90)
    await told(one)
    assert (await refused(other, shown)).members["used"] == 190


async def test_what_was_not_sent_is_given_back_to_all(process):
    one, other = process(), process()
    shown = picture(tokens_per_month=250)
    permit = await go(one, shown)
    await go(other, shown)
    permit.withdraw()
    await told(one)
    await go(other, shown)
    assert (await refused(one, shown)).members["used"] == 200


async def test_a_month_begins_with_what_the_first_process_read_in_the_ledger(process):
    one, other = process(read=100), process()
    shown = picture(tokens_per_month=250)
    await go(one, shown)
    assert (await refused(other, shown)).members["used"] == 200


async def test_a_call_that_waits_for_what_others_used_does_not_ask_again_in_vain(process):
    one, other = process(), process()
    shown = picture(requests_per_second=Decimal(1))
    await go(one, shown)
    await go(other, shown)  # waits a second
    shared = other.together._shared
    assert shared is not None
    assert shared.round_trips <= 4
