"""A call under an Idempotency-Key is made once; its answer lies sealed, and for minutes only."""

import gzip
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock, MagicMock, Mock
from uuid import uuid4

import httpx
import pytest
from django.utils import timezone

from tenants.access import idempotency, replays
from tenants.access.models import TenantRequest
from tenants.common import scope
from tenants.common.problems import Problem, Unavailable
from tenants.gateway.arrivals import Arrival, Arrivals
from tenants.gateway.bounds import Bounds
from tenants.gateway.exchange import Exchange
from tenants.gateway.once import once
from tenants.gateway.requests import asks_for_a_stream
from tests.gateway import tenancy
from tests.gateway.tenancy import SMALL, eventually, post, question
from tests.keys.keyring import name_of
from tests.mistral.far_side import answering, reset

PATH = "/v1/chat/completions"


def ask(url, tenant, key="once-1", text="Say hello", path=PATH, **more) -> httpx.Response:
    return post(url, tenant, path, question(text, **more), **{"idempotency-key": key})


def rows(tenant) -> list[TenantRequest]:
    with scope.tenant(tenant.organization.id):
        return list(TenantRequest.objects.filter(organization=tenant.organization))


def test_a_repeated_call_gets_the_same_answer_and_costs_once(gateway, mistral, tenant):
    first = ask(gateway.url, tenant)
    again = ask(gateway.url, tenant)
    assert again.content == first.content
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert float(first.headers["x-aim-cost"].removesuffix(" EUR")) > 0
    assert again.headers["x-aim-cost"] == "0.000000 EUR"
    assert mistral.state.ledger.total(key=name_of(tenant.plain)).calls == 1
    assert len(tenant.settled()) == 1
    assert ask(gateway.url, tenant, "once-2").json()["id"] != first.json()["id"]


def test_a_key_belongs_to_one_request(gateway, tenant):
    assert ask(gateway.url, tenant).is_success
    other = ask(gateway.url, tenant, text="Something else")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    odd = ask(gateway.url, tenant, "white space")
    assert (odd.status_code, odd.json()["code"]) == (400, "idempotency_key_malformed")
    assert len(tenant.settled()) == 1


def test_keys_of_other_tokens_are_other_keys(gateway, made_up):
    one, two = tenancy.make(made_up), tenancy.make(made_up)
    assert ask(gateway.url, one).json()["id"] != ask(gateway.url, two).json()["id"]


def test_of_many_at_once_one_is_made_and_the_others_wait_or_are_told(gateway, mistral, made_up):
    tenant = tenancy.make(made_up, mistral={"directives": {"delay": 0.5}})
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: ask(gateway.url, tenant), range(6)))
    made = [answer for answer in answers if answer.is_success]
    told = [answer for answer in answers if not answer.is_success]
    assert made
    assert {answer.json()["code"] for answer in told} <= {"idempotency_in_progress"}
    assert all(int(answer.headers["retry-after"]) >= 1 for answer in told)
    assert mistral.state.ledger.total(key=name_of(tenant.plain)).calls == 1


def test_what_was_refused_may_be_tried_again(gateway, mistral, tenant):
    mistral.state.change(name_of(tenant.plain), behaviour={"error": "service_unavailable"})
    assert ask(gateway.url, tenant).status_code == 503
    mistral.state.change(name_of(tenant.plain), behaviour={})
    tenant.limit("0.00")
    assert ask(gateway.url, tenant).status_code == 402
    tenant.limit("5.00")
    assert ask(gateway.url, tenant).is_success


def test_what_may_have_cost_is_not_made_again(scripted, tenant):
    scripted.script = lambda _request, connection: reset(connection)
    assert ask(scripted.url, tenant).status_code == 502
    scripted.script = answering(200, {"model": SMALL, "choices": []})
    sent = len(scripted.far_side.requests)
    again = ask(scripted.url, tenant)
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_answer_lost")
    assert len(scripted.far_side.requests) == sent


def test_what_mistral_has_answered_is_not_made_again_because_of_a_fault_of_ours(scripted, tenant):
    long = {"conversation_id": "x" * 300, "outputs": [], "usage": {"prompt_tokens": 100}}
    scripted.script = answering(200, long)  # no column takes it
    before = len(scripted.far_side.requests)
    for status, code in (503, "metering_unavailable"), (409, "idempotency_answer_lost"):
        told = post(
            scripted.url, tenant, "/v1/conversations", {"inputs": "hi"}, **{"idempotency-key": "k"}
        )
        assert (told.status_code, told.json()["code"]) == (status, code)
        assert "may" in told.json()["message"]
        assert "cost" in told.json()["message"]
    assert len(scripted.far_side.requests) == before + 1
    (event,) = tenant.settled()
    assert event.prompt_tokens == 100


def test_an_answer_that_came_compressed_is_not_repeated_as_if_it_were_not(scripted, tenant):
    body = gzip.compress(json.dumps({"choices": [], "usage": {"prompt_tokens": 1}}).encode())
    scripted.script = answering(200, body, {"Content-Encoding": "gzip"})
    assert ask(scripted.url, tenant).json()["choices"] == []
    again = ask(scripted.url, tenant)
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_answer_lost")


async def test_an_answer_that_cannot_be_remembered_is_not_begun_again():
    sent, kept = [], [replays.Claim(uuid4(), uuid4(), uuid4())]

    async def send(message) -> None:
        sent.append(message["type"])

    async def run(*_arguments, **_named):
        return kept.pop()  # and then there is no database

    async def work(exchange: Exchange) -> None:
        await exchange.answer(200, [], b"{}")

    exchange = Exchange(AsyncMock(), send, "id")
    picture: Any = SimpleNamespace(snapshot=MagicMock())
    shelf: Any = SimpleNamespace(run=run)
    request: Any = SimpleNamespace(body=b"{}", target="/v1/chat/completions")
    with pytest.raises(IndexError):
        await once(
            key=b"k",
            picture=picture,
            request=request,
            exchange=exchange,
            shelf=shelf,
            lease=1,
            keep=Mock(),
            work=work,
        )
    await exchange.refuse(Unavailable("metering_unavailable", "The ledger does not answer."))
    assert sent == ["http.response.start", "http.response.body"]


async def test_answers_that_are_given_again_share_the_room_of_bodies():
    arrivals, whose = Arrivals(Bounds(bodies_of_one=250_000)), uuid4()
    earlier = replays.Earlier(200, "", b"x" * 100_000)
    facts: Any = {
        "picture": SimpleNamespace(snapshot=MagicMock()),
        "request": SimpleNamespace(body=b"{}", target=PATH),
        "shelf": SimpleNamespace(run=AsyncMock(return_value=earlier)),
    }

    async def again() -> Arrival:
        arrival, exchange = Arrival(arrivals, whose, AsyncMock(), {}), AsyncMock()
        await once(
            key=b"k", exchange=exchange, lease=1, keep=arrival.keep, work=AsyncMock(), **facts
        )
        assert exchange.answer.await_count == 1
        return arrival

    first, _ = await again(), await again()
    with pytest.raises(Problem) as refused:
        await again()
    assert refused.value.code == "too_many_at_once"
    first.leave()
    await again()


def test_a_stream_is_made_each_time(gateway, mistral, tenant):
    for _ in range(2):
        assert ask(gateway.url, tenant, stream=True).is_success
    assert mistral.state.ledger.total(key=name_of(tenant.plain)).calls == 2
    assert rows(tenant) == []


@pytest.mark.parametrize("no", [0, False, "false", "No", "0"])
def test_what_mistral_reads_as_no_stream_is_made_once(scripted, tenant, no):
    scripted.script = answering(200, {"usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    before = len(scripted.far_side.requests)
    for _ in range(2):
        assert ask(scripted.url, tenant, stream=no).is_success
    assert len(scripted.far_side.requests) == before + 1


@pytest.mark.parametrize("yes", [1, True, "true", "yes", [], {}])
def test_what_may_be_a_stream_is_taken_for_one(yes):
    assert asks_for_a_stream({"stream": yes})
    assert not asks_for_a_stream({"stream": None})


def test_nothing_readable_is_kept_and_nothing_for_long(scripted, tenant):
    canary = "zanzibar-canary-prompt"
    reply = {"model": SMALL, "choices": [{"message": {"content": f"answer-{canary}"}}]}
    scripted.script = answering(200, reply)
    assert ask(scripted.url, tenant, f"key-{canary}", text=canary).is_success
    eventually(lambda: rows(tenant)[0].body is not None)  # kept once the caller has it
    (row,) = rows(tenant)
    shown = json.dumps({name: str(value) for name, value in vars(row).items()})
    assert canary not in shown
    assert canary.encode() not in bytes(row.body or b"")
    idempotency.sweep()
    assert len(rows(tenant)) == 1
    with scope.tenant(tenant.organization.id):
        TenantRequest.objects.filter(pk=row.pk).update(
            created_at=timezone.now() - timedelta(minutes=11)
        )
    idempotency.sweep()
    assert rows(tenant) == []


def test_an_answer_too_long_to_keep_is_not_made_again(scripted, tenant):
    big = {"model": SMALL, "choices": [{"message": {"content": "x" * 1_100_000}}]}
    scripted.script = answering(200, big)
    assert ask(scripted.url, tenant).is_success
    again = ask(scripted.url, tenant)
    assert (again.status_code, again.json()["code"]) == (409, "idempotency_answer_lost")


def test_a_running_call_holds_its_key(scripted, tenant):
    go_on = threading.Event()

    def script(request, connection) -> None:
        go_on.wait(10)
        answering(200, {"model": SMALL, "choices": []})(request, connection)

    scripted.script = script
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(ask, scripted.url, tenant)
        eventually(lambda: rows(tenant))
        second = ask(scripted.url, tenant)
        go_on.set()
        assert first.result().is_success
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
