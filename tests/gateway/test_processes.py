"""Two gateway processes before one ledger: as honest, as strict and as quick to forget as one."""

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice

import pytest

from tenants.registry import services as registry
from tests.factories import ACTOR
from tests.gateway import tenancy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import ask

# A worst case of so many output tokens costs 0.03 EUR.
BIG = 60_000


@pytest.fixture(scope="module")
def urls(mistral, _database):
    """The addresses of two processes that are in no hurry to settle."""
    with (
        GatewayServer(mistral.url, settle_pause=0.3, others=1) as first,
        GatewayServer(mistral.url, settle_pause=0.3, others=1) as second,
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
