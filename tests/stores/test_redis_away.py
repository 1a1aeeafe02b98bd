"""Redis dies under two web processes and comes back: money stays exact, the rest is careful."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from itertools import cycle, islice

import httpx
import pytest

from tenants.spend import services
from tenants.spend.rates import Rates
from tests.factories import ACTOR
from tests.gateway import tenancy
from tests.gateway.conftest import RedisServer
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import ask, eventually
from tests.keys.conftest import made_up, mistral
from tests.keys.keyring import name_of

__all__ = ["made_up", "mistral"]

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(240)]
ANSWER = 200


def degraded(gateway):
    told = httpx.get(f"{gateway.url}/health/ready", trust_env=False, timeout=20)
    assert (told.status_code, told.json()["failing"]) == (200, [])
    return told.json().get("degraded", [])


def at_once(gateways, tenant, count):
    with ThreadPoolExecutor(count) as pool:
        urls = [gateway.url for gateway in islice(cycle(gateways), count)]
        answers = list(pool.map(lambda url: ask(url, tenant, max_tokens=ANSWER), urls))
    return Counter(answer.status_code for answer in answers)


def test_while_redis_is_away_limits_hold_nothing_is_lost_and_it_is_told(mistral, made_up, settings):
    settings.MISTRAL_API_URL = mistral.url
    settings.KEY_TIMING = {"read": 10, "answer": 20}
    directives = {"answer_tokens": ANSWER}
    tenant, limited, poor = (
        tenancy.make(made_up, mistral={"directives": directives}) for _ in range(3)
    )
    limited.is_impatient()
    services.set_limit(
        actor=ACTOR,
        organization=limited.organization,
        subject=limited.organization,
        monthly_spend=None,
        rates=Rates(tokens_per_minute=1200),
    )
    with RedisServer() as redis:
        address = f"redis://127.0.0.1:{redis.port}/0"
        with (
            GatewayServer(mistral.url, redis_url=address) as one,
            GatewayServer(mistral.url, redis_url=address) as other,
        ):
            both = (one, other)
            assert [degraded(gateway) for gateway in both] == [[], []]
            assert at_once(both, tenant, 8) == {200: 8}

            redis.__exit__()
            assert at_once(both, tenant, 8) == {200: 8}, "what is not limited goes on"
            assert [degraded(gateway) for gateway in both] == [["shared_rate_limits"]] * 2

            passed = at_once(both, limited, 12)
            assert set(passed) == {200, 429}
            assert passed[200] <= 4, "two processes keep to half of 1,200 tokens each"
            used = sum(e.prompt_tokens + e.completion_tokens for e in limited.settled(passed[200]))
            assert used <= 1200

            poor.limit("0.0002")
            passed = at_once(both, poor, 12)
            assert set(passed) == {200, 402}
            settled = poor.settled(passed[200])
            assert sum(event.cost or 0 for event in settled) <= Decimal("0.0002")
            assert poor.balance().excess == 0

            with redis:
                eventually(lambda: not any(map(degraded, both)), 40)
                assert at_once(both, tenant, 8) == {200: 8}
    events = tenant.settled(24)
    billed = mistral.state.ledger.total(key=name_of(tenant.plain))
    assert len(events) == billed.calls == 24
    assert sum(event.completion_tokens for event in events) == billed.completion_tokens
    assert {event.estimate for event in events} == {""}
