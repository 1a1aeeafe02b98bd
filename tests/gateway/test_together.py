"""Several gateway processes keep to one rate limit, and go on when Redis is away."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import chain

import httpx
import pytest
import redis

from tenants.common.problems import TooMany
from tenants.gateway.shared import Shared
from tests.gateway import tenancy
from tests.gateway.paced import go, pacer, picture
from tests.gateway.rated import rate
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import ask, question

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def gateways(mistral, redis_server, _database):
    """Two gateway processes that count together."""
    address = f"redis://127.0.0.1:{redis_server}/0"
    with (
        GatewayServer(mistral.url, redis_url=address) as one,
        GatewayServer(mistral.url, redis_url=address) as other,
    ):
        yield one, other


def at_once(gateways, tenant, count):
    servers = [gateways[number % len(gateways)] for number in range(count)]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(lambda server: ask(server.url, tenant, max_tokens=5), servers))


def test_two_processes_together_let_no_more_through_than_one_would(gateways, tenant):
    tenant.is_impatient()
    rate(tenant, requests_per_second=Decimal("0.05"))
    answers = at_once(gateways, tenant, 6)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [429] * 5
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["rate"] == "requests_per_second"
    assert int(refused.headers["retry-after"]) > 10
    assert len(tenant.settled(1)) == 1


def test_two_processes_together_pace_what_can_wait(gateways, tenant):
    rate(tenant, requests_per_second=Decimal(3))
    answers = at_once(gateways, tenant, 9)
    assert [answer.status_code for answer in answers] == [200] * 9
    seconds = sorted(event.occurred_at.timestamp() for event in tenant.settled(9))
    assert len(seconds) == 9


def test_tokens_that_one_process_used_are_missing_in_the_other(gateways, tenant):
    tenant.is_impatient()
    rate(tenant, tokens_per_minute=600)
    assert ask(gateways[0].url, tenant, max_tokens=550).is_success
    used = sum(e.prompt_tokens + e.completion_tokens for e in tenant.settled(1))
    assert used < 550
    # What was reserved and not used is free again, in both.
    assert ask(gateways[1].url, tenant, max_tokens=550 - used).is_success
    assert len(tenant.settled(2)) == 2


async def test_calls_that_find_redis_gone_have_to_fit_into_a_share_too():
    class Gone:
        def register_script(self, _script):
            async def run(**_):
                raise redis.ConnectionError

            return run

    limited = pacer(Shared(Gone()))  # type: ignore[arg-type]  # a stand-in
    shown = picture(tokens_per_minute=1200)

    async def one():
        try:
            return await go(limited, shown, patience=0.5, tokens=200)
        except TooMany:
            return None

    permits = [permit for permit in await asyncio.gather(*(one() for _ in range(12))) if permit]
    assert permits
    assert sum(permit.tokens for permit in permits) <= 1200 / 2
    for permit in permits:
        permit.finish(0, 0)
    limited.stop()


def test_without_redis_calls_go_on_at_a_share_and_money_limits_hold(mistral, tenant):
    with GatewayServer(mistral.url, redis_url="redis://127.0.0.1:1/0") as server:
        tenant.is_impatient()
        rate(tenant, requests_per_second=Decimal("0.1"), tokens_per_minute=100_000)
        assert ask(server.url, tenant).is_success
        assert ask(server.url, tenant).status_code == 429
        told = httpx.get(f"{server.url}/health/ready", trust_env=False).json()
        assert (told["status"], told["degraded"]) == ("ready", ["shared_rate_limits"])
        assert "redis_away" in server.log
        tenant.limit("0.00")
        assert ask(server.url, tenant).status_code in {402, 429}


def test_a_message_whose_calls_reach_both_is_finished_or_refused_at_its_first_call(
    gateways, made_up
):
    tenant = tenancy.make(made_up, mistral={"directives": {"answer_tokens": 300}})
    tenant.is_impatient()
    rate(tenant, tokens_per_minute=2300)  # seven calls: two messages of three

    def message(number):
        statuses = []
        for call in range(3):
            server = gateways[(number + call) % 2]
            headers = {**tenant.headers, "x-message-id": f"a-message-{number}"}
            answer = httpx.post(
                f"{server.url}/v1/chat/completions",
                json=question(max_tokens=300),
                headers=headers,
                trust_env=False,
                timeout=30,
            )
            statuses.append(answer.status_code)
            if answer.status_code != 200:
                break
        return statuses

    with ThreadPoolExecutor(6) as pool:
        told = list(pool.map(message, range(6)))
    assert sorted(told) == [[200] * 3] * 2 + [[429]] * 4


def test_nothing_of_a_call_is_in_redis_but_counts_under_ids(gateways, redis_server, tenant):
    rate(tenant, requests_per_second=Decimal(100), tokens_per_minute=10**6)
    named = {**tenant.headers, "x-message-id": "a-telling-name"}
    answer = httpx.post(
        f"{gateways[0].url}/v1/chat/completions",
        json=question("a secret question"),
        headers=named,
        trust_env=False,
    )
    assert answer.is_success
    with redis.Redis(port=redis_server) as client:
        everything = b" ".join(
            b" ".join((key, *chain.from_iterable(client.hgetall(key).items())))
            for key in client.keys("aim:*")
            if client.type(key) == b"hash"
        )
        unbounded = [key for key in client.keys("*") if client.ttl(key) < 0]
    assert tenant.organization.id.hex.encode() in everything
    for word in (tenant.plain, tenant.token, "secret question", "telling-name"):
        assert word.encode() not in everything
    assert unbounded == []
