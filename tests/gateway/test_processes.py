"""Two gateway processes before one ledger: as honest, as strict and as quick to forget as one."""

import asyncio
import os
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

import psycopg
import pytest

from tenants.gateway.siblings import Siblings
from tenants.registry import services as registry
from tenants.spend import services
from tenants.spend.channel import past_poolers
from tenants.spend.rates import Rates
from tests.factories import ACTOR
from tests.gateway import tenancy
from tests.gateway.proxy import DatabaseProxy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import ask

# A worst case of so many output tokens costs 0.03 EUR.
BIG = 60_000


@pytest.fixture(scope="module")
def urls(mistral, _database):
    """The addresses of two processes that are in no hurry to settle."""
    with (
        GatewayServer(mistral.url, settle_pause=0.3, others=1, siblings=0.1) as first,
        GatewayServer(mistral.url, settle_pause=0.3, others=1, siblings=0.1) as second,
    ):
        yield [first.url, second.url]


def test_a_call_is_not_refused_for_what_the_other_process_has_not_settled_yet(urls, tenant):
    tenant.limit("0.04")  # room for one such worst case at a time
    for url in islice(cycle(urls), 12):
        answer = ask(url, tenant, max_tokens=BIG, text="Say A")
        assert answer.is_success, answer.text
    assert len(tenant.settled(12)) == 12


def test_two_processes_together_never_pass_a_limit(urls, made_up):
    tenant = tenancy.make(made_up, mistral={"directives": {"delay": 0.2, "answer_tokens": 2}})
    tenant.limit("0.10")  # three fit at a time
    with ThreadPoolExecutor(16) as pool:
        answers = list(
            pool.map(lambda url: ask(url, tenant, max_tokens=BIG), islice(cycle(urls), 16))
        )
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 402}
    assert len(tenant.settled(statuses.count(200))) == statuses.count(200)
    balance = tenant.balance()
    assert balance.excess == 0
    assert balance.held == 0


def test_without_redis_two_processes_together_let_no_more_through_than_a_limit(urls, made_up):
    tenant = tenancy.make(made_up, mistral={"directives": {"answer_tokens": 200}})
    tenant.is_impatient()
    services.set_limit(
        actor=ACTOR,
        organization=tenant.organization,
        subject=tenant.organization,
        monthly_spend=None,
        rates=Rates(tokens_per_minute=1200),
    )
    answers = [ask(url, tenant, max_tokens=200) for url in islice(cycle(urls), 8)]
    assert Counter(answer.status_code for answer in answers) == {200: 4, 429: 4}
    used = sum(e.prompt_tokens + e.completion_tokens for e in tenant.settled(4))
    assert 600 < used <= 1200, "each process alone would let as much through as both may"


async def test_a_process_is_one_of_the_others_as_long_as_it_lives(urls):
    one, other = Siblings(past_poolers, 1), Siblings(past_poolers, 1)
    await one.count()
    before = one.number
    assert before >= 3, "the two that serve are among them"
    await other.count()
    await one.count()
    assert one.number == other.number == before + 1
    other.stop()
    async with asyncio.timeout(5):
        while one.number != before:
            await one.count()
    one.stop()


async def test_while_postgresql_is_away_the_last_number_stands():
    with DatabaseProxy() as database:
        parameters = psycopg.conninfo.conninfo_to_dict(database.url)
        hand = Siblings(lambda: parameters, 1)
        await hand.count()
        hand.number += 5
        known = hand.number
        database.cut()
        await hand.count()
        assert hand.number == known
        hand.stop()


def test_a_revoked_token_is_refused_by_both_within_a_second_also_while_it_is_busy(urls, tenant):
    def last_accepted(url: str) -> float:
        began = accepted = time.monotonic()
        while ask(url, tenant, max_tokens=1).status_code == 200:
            accepted = began
            began = time.monotonic()
        return accepted

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(last_accepted, url) for url in urls]
        time.sleep(1)
        registry.rotate_token(actor=ACTOR, model=tenant.model)
        revoked = time.monotonic()
        for answer in asking:
            assert answer.result() - revoked < 1.0
    for url in urls:
        assert ask(url, tenant, max_tokens=1).status_code == 401


def test_the_threads_of_a_process_do_not_interrupt_each_other(gateway, tenant):
    assert ask(gateway.url, tenant).is_success  # the client's threads are there, too
    found = [
        {os.sched_getscheduler(thread.id) for thread in process.threads()}
        for process in gateway.children
    ]
    assert {os.SCHED_BATCH} in found
