"""Limits in motion, through a real gateway: configured ones, and how calls wait."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import pytest

from tenants.common import scope
from tenants.spend.calls import LimitMode
from tenants.spend.models import RateCount
from tests.gateway import tenancy
from tests.gateway.rated import arrivals, burst, rate
from tests.gateway.tenancy import ask, eventually, question
from tests.gateway.test_transcriptions import recording
from tests.keys.keyring import name_of

pytestmark = pytest.mark.slow
VOICE = "voxtral-mini-latest"
LEVELS = ("organization", "workspace", "key", "model")


"""Limits in motion, through a real gateway: configured ones, Mistral's own, and how calls wait."""


def test_calls_of_a_limited_rate_are_paced_and_none_is_refused(gateway, tenant):
    rate(tenant, requests_per_second=Decimal(2))
    began = time.monotonic()
    answers = burst(gateway, tenant, 6)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert time.monotonic() - began >= 2
    assert len(tenant.settled(6)) == 6


@pytest.mark.parametrize("level", LEVELS)
def test_a_rate_refuses_what_cannot_wait_and_nothing_is_sent_or_written(
    gateway, mistral, tenant, level
):
    tenant.is_impatient()
    rate(tenant, level, requests_per_second=Decimal("0.05"))
    assert ask(gateway.url, tenant).is_success
    tenant.settled(1)
    before = len(mistral.state.requests)
    refused = ask(gateway.url, tenant)
    assert (refused.status_code, refused.json()["source"]) == (429, "gateway")
    error = refused.json()
    assert (error["code"], error["limited"], error["rate"], error["limit"], error["used"]) == (
        "rate_limited",
        level,
        "requests_per_second",
        1,
        1,
    )
    assert 15 <= int(refused.headers["retry-after"]) <= 20
    assert len(mistral.state.requests) == before
    assert len(tenant.events()) == 1
    assert tenant.holds() == []


def upload(gateway, tenant):
    return httpx.post(
        f"{gateway.url}/v1/files",
        files={"file": ("a.txt", b"some text")},
        data={"purpose": "ocr"},
        headers=tenant.headers,
        trust_env=False,
        timeout=30,
    )


def transcribe(gateway, tenant):
    return httpx.post(
        f"{gateway.url}/v1/audio/transcriptions",
        files={"file": ("a.wav", recording(2))},
        data={"model": tenant.model.mistral_model},
        headers=tenant.headers,
        trust_env=False,
        timeout=30,
    )


@pytest.mark.parametrize("send", [upload, transcribe])
def test_forms_are_paced_by_requests_and_refused_before_anything_is_sent(
    gateway, mistral, made_up, send
):
    tenant = tenancy.make(made_up, mistral_model=VOICE)
    rate(tenant, requests_per_second=Decimal(1))
    began = time.monotonic()
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: send(gateway, tenant), range(3)))
    assert [answer.status_code for answer in answers] == [200] * 3
    assert time.monotonic() - began >= 2
    assert len(tenant.settled(3)) == 3
    tenant.is_impatient()
    rate(tenant, requests_per_second=Decimal("0.05"))
    time.sleep(1)
    before = len(mistral.state.requests)
    answers = [send(gateway, tenant) for _ in range(2)]
    assert answers[-1].status_code == 429
    assert answers[-1].json()["rate"] == "requests_per_second"
    assert len(mistral.state.requests) - before == [a.status_code for a in answers].count(200)


def test_a_recordings_tokens_count_in_the_windows_though_they_are_free(gateway, made_up):
    tenant = tenancy.make(made_up, mistral_model=VOICE)
    tenant.is_impatient()
    rate(tenant, tokens_per_minute=10_000)
    answer = transcribe(gateway, tenant)
    used = answer.json()["usage"]["total_tokens"]
    assert used > 1
    assert tenant.settled()[0].prompt_tokens == 0
    rate(tenant, tokens_per_minute=used - 1)
    time.sleep(1)
    transcribe(gateway, tenant)
    refused = transcribe(gateway, tenant)
    assert (refused.status_code, refused.json()["rate"]) == (429, "tokens_per_minute")


def test_what_asks_nothing_of_a_model_is_not_held_up_by_its_limits(gateway, mistral, made_up):
    limits = {"requests_per_minute": 1, "window_seconds": 50}
    tenant = tenancy.make(made_up, mistral={"limits": limits})
    tenant.is_impatient()
    assert [ask(gateway.url, tenant).status_code for _ in range(2)] == [200, 429]
    mistral.state.change(name_of(tenant.plain), limits={})
    assert [upload(gateway, tenant).status_code for _ in range(3)] == [200] * 3
    assert ask(gateway.url, tenant).status_code == 429


def test_shadow_mode_only_counts(gateway, tenant):
    rate(tenant, mode=LimitMode.SHADOW, requests_per_second=Decimal("0.05"))
    assert [ask(gateway.url, tenant).status_code for _ in range(3)] == [200] * 3

    def counted():
        with scope.tenant(tenant.organization.id):
            return list(RateCount.objects.values_list("refused", "watched"))

    eventually(lambda: counted() == [(0, 2)])


def test_tokens_of_a_minute_are_reserved_and_then_corrected(gateway, tenant):
    tenant.is_impatient()
    rate(tenant, tokens_per_minute=1000)
    # Each expects some 25 tokens in and takes 400 at most: three at once do not fit.
    assert ask(gateway.url, tenant, max_tokens=800).is_success
    refused = burst(gateway, tenant, 1)[0]
    assert refused.is_success  # the first one used far fewer than it was held for
    used = sum(event.prompt_tokens + event.completion_tokens for event in tenant.settled(2))
    rate(tenant, tokens_per_minute=used + 10)
    time.sleep(1)
    refused = ask(gateway.url, tenant, max_tokens=800)
    assert (refused.status_code, refused.json()["rate"]) == (429, "tokens_per_minute")


def test_tokens_of_a_month_count_what_the_ledger_has(gateway, tenant):
    assert ask(gateway.url, tenant).is_success
    used = sum(e.prompt_tokens + e.completion_tokens for e in tenant.settled(1))
    tenant.is_impatient()
    rate(tenant, tokens_per_month=used)
    time.sleep(1)
    refused = ask(gateway.url, tenant)
    error = refused.json()
    assert (refused.status_code, error["rate"]) == (429, "tokens_per_month")
    assert (error["limit"], error["used"]) == (used, used)


def test_a_caller_who_leaves_the_line_makes_room(gateway, mistral, tenant):
    rate(tenant, requests_per_second=Decimal("0.5"))
    assert ask(gateway.url, tenant).is_success

    async def leave_and_ask():
        async with httpx.AsyncClient(
            base_url=gateway.url, headers=tenant.headers, trust_env=False, timeout=20
        ) as client:
            post = client.post
            with pytest.raises(httpx.ReadTimeout):
                await post("/v1/chat/completions", json=question(), timeout=0.3)
            return await post("/v1/chat/completions", json=question())

    answer = asyncio.run(leave_and_ask())
    assert answer.status_code == 200
    assert len(arrivals(mistral, tenant)) == 2
    assert len(tenant.settled(2)) == 2
