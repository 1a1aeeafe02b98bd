"""Crashes and outages: no call without a record, none counted twice, nothing sent unmetered."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Self

import httpx
import pytest

from tenants.spend.recovery import recover_orphans
from tests.gateway import tenancy
from tests.gateway.proxy import DatabaseProxy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import ask, question
from tests.keys.keyring import name_of

pytestmark = pytest.mark.slow


class Load:
    """Callers that keep asking, stream or not, until told to stop."""

    def __init__(self, url: str, tenant: tenancy.Tenant, callers: int = 8) -> None:
        self._url = url
        self._tenant = tenant
        self._over = threading.Event()
        self.statuses: list[int] = []
        self._threads = [
            threading.Thread(target=self._call, args=(number,)) for number in range(callers)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(30)

    def _call(self, number: int) -> None:
        while not self._over.is_set():
            try:
                answer = httpx.post(
                    f"{self._url}/v1/chat/completions",
                    json=question(stream=bool(number % 2), max_tokens=8),
                    headers=self._tenant.headers,
                    trust_env=False,
                    timeout=10,
                )
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                self.statuses.append(answer.status_code)


def test_after_a_kill_9_under_load_every_call_that_mistral_billed_is_there_once(mistral, made_up):
    tenant = tenancy.make(made_up, mistral={"directives": {"chunk_delay": 0.005, "delay": 0.25}})
    server = GatewayServer(mistral.url).start()
    with Load(server.url, tenant) as load:
        tenancy.eventually(lambda: len(load.statuses) >= 40, 30)
        server.kill()
    tenancy.eventually(lambda: not _running(mistral, tenant), 10)
    orphans = {hold.id for hold in tenant.holds()}
    assert orphans, "nothing was under way: the test proves nothing"
    with GatewayServer(mistral.url):  # the next start; beat repeats it every few seconds
        tenancy.eventually(lambda: recover_orphans(grace=timedelta()) == 0 and not tenant.holds())
    events = tenant.events()
    ids = [event.id for event in events]
    assert len(set(ids)) == len(ids)
    estimated = {event.id for event in events if event.estimate == "process_died"}
    assert estimated == orphans
    bill = mistral.state.ledger.total(key=name_of(tenant.plain))
    assert len(events) >= bill.calls
    assert sum(event.completion_tokens for event in events) >= bill.completion_tokens
    assert sum(event.prompt_tokens for event in events) >= bill.prompt_tokens
    assert tenant.balance().held == 0
    assert tenant.balance().settled == sum(event.cost or 0 for event in events)


def _running(mistral, tenant) -> bool:
    calls = mistral.state.calls(key=name_of(tenant.plain))
    return any(call.outcome == "running" for call in calls)


def test_a_stop_writes_everything_that_was_answered(mistral, made_up):
    tenant = tenancy.make(made_up)
    with GatewayServer(mistral.url, settle_pause=60) as server:  # longer than the test
        for _ in range(5):
            assert ask(server.url, tenant, max_tokens=3).is_success
        assert len(tenant.events()) == 0
    assert [event.estimate for event in tenant.settled(5, seconds=1)] == [""] * 5


@pytest.mark.parametrize("outage", ["cut", "hold"])
def test_without_its_database_a_call_is_refused_in_bounded_time_and_works_again_after(
    mistral, made_up, outage
):
    tenant = tenancy.make(made_up)
    name = name_of(tenant.plain)
    with (
        DatabaseProxy() as database,
        GatewayServer(mistral.url, database.url, open_wait=1.5) as server,
    ):
        assert ask(server.url, tenant, max_tokens=3).is_success
        getattr(database, outage)()
        before = len(mistral.state.calls(key=name))
        for _ in range(2):  # the first finds the token in memory, the second has to look it up
            began = time.monotonic()
            refused = ask(server.url, tenant, max_tokens=3)
            assert time.monotonic() - began < 5
            assert refused.status_code == 503, refused.text
            error = refused.json()
            assert (error["code"], error["source"]) == ("metering_unavailable", "gateway")
            assert int(refused.headers["retry-after"]) > 0
        assert len(mistral.state.calls(key=name)) == before
        database.mend()
        tenancy.eventually(lambda: ask(server.url, tenant, max_tokens=3).is_success, 20)
    billed = mistral.state.ledger.total(key=name)
    completed = [event for event in tenant.events() if event.outcome == "completed"]
    assert len(completed) == billed.calls
    assert {event.estimate for event in completed} == {""}
    assert tenant.holds() == []
    assert tenant.balance().held == 0


def test_calls_under_way_when_the_database_goes_are_settled_when_it_is_back(mistral, made_up):
    tenant = tenancy.make(made_up)
    mistral.state.change(name_of(tenant.plain), directives={"delay": 1})
    with (
        DatabaseProxy() as database,
        GatewayServer(mistral.url, database.url) as server,
        ThreadPoolExecutor(4) as callers,
    ):
        answers = [callers.submit(ask, server.url, tenant, max_tokens=3) for _ in range(4)]
        tenancy.eventually(lambda: len(tenant.holds()) == 4)
        database.cut()
        assert all(answer.result().is_success for answer in answers)
        assert tenant.events() == []
        database.mend()
        assert [event.estimate for event in tenant.settled(4, seconds=20)] == [""] * 4
