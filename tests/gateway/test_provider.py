"""Mistral's own refusals pass, marked and masked; where it gives no answer, the status says so."""

import json

import httpx
import pytest

from tests.gateway import tenancy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import SMALL, ask, question
from tests.keys.keyring import name_of
from tests.mistral.far_side import answering, free_address, reset


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ("rate_limited", 429),
        ("capacity", 429),
        ("unauthorized", 401),
        ("billing_inactive", 401),
        ("spending_limit_reached", 402),
        ("model_tier_denied", 403),
        ("model_unknown", 400),
        ("validation_wrapped", 422),
        ("service_unavailable", 503),
        ("no_route", 404),
    ],
)
def test_a_refusal_of_mistrals_passes_with_its_status_and_says_whose_it_is(
    gateway, mistral, tenant, error, status
):
    tenant.is_impatient()  # else what is over its rate, or finds Mistral full, is tried again
    mistral.state.change(name_of(tenant.plain), behaviour={"error": error})
    refused = ask(gateway.url, tenant)
    assert refused.status_code == status
    document = refused.json()
    assert document["source"] == "provider"
    assert refused.headers["mistral-correlation-id"]
    direct = httpx.post(
        f"{mistral.url}/v1/chat/completions",
        json={"model": SMALL, **question()},
        headers={"authorization": f"Bearer {tenant.plain}"},
        trust_env=False,
    )
    ours = {name: value for name, value in document.items() if name not in {"source", "request_id"}}
    theirs = {name: value for name, value in direct.json().items() if name != "request_id"}
    assert ours == theirs
    assert tenant.settled()[0].cost == 0


def test_a_pause_that_mistral_did_not_ask_for_is_not_told_as_its_retry_after(
    gateway, mistral, tenant
):
    tenant.is_impatient()
    mistral.state.change(name_of(tenant.plain), behaviour={"error": "rate_limited"})
    refused = [ask(gateway.url, tenant) for _ in range(4)]
    ours = [one.json() for one in refused if one.json()["source"] == "gateway"]
    assert {(one["limited"], one["rate"]) for one in ours} == {("mistral", "pause")}
    assert all("retry-after" not in one["message"] for one in ours)


def test_retry_after_is_kept(gateway, mistral, tenant):
    tenant.is_impatient()
    mistral.state.change(name_of(tenant.plain), behaviour={"error": "rate_limited_retry_after"})
    refused = ask(gateway.url, tenant)
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0


def test_a_429_without_retry_after_tells_when_the_gateway_lets_calls_go_again(
    gateway, mistral, tenant
):
    tenant.is_impatient()
    mistral.state.change(name_of(tenant.plain), behaviour={"error": "rate_limited"})
    refused = ask(gateway.url, tenant)
    assert (refused.status_code, refused.json()["source"]) == (429, "provider")
    assert int(refused.headers["retry-after"]) > 0


@pytest.mark.parametrize("error", ["unauthorized_quoting_key", "bad_arguments_quoting_key"])
def test_a_refusal_that_quotes_the_key_is_masked_everywhere(gateway, mistral, tenant, error):
    mistral.state.change(name_of(tenant.plain), behaviour={"error": error})
    refused = ask(gateway.url, tenant)
    assert "****" in refused.text
    assert tenant.plain not in refused.text
    assert tenant.plain not in str(refused.headers)
    assert tenant.plain not in gateway.log
    assert tenant.token not in gateway.log


def test_an_answer_or_a_stream_that_quotes_the_key_is_masked_too(scripted, tenant):
    quoting = {"choices": [{"message": {"content": f"your key is {tenant.plain}"}}]}
    scripted.script = answering(200, quoting)
    assert tenant.plain not in ask(scripted.url, tenant).text
    event = f"data: {json.dumps(quoting)}\n\n".encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"

    def script(_request, connection) -> None:
        connection.sendall(head + event)
        connection.close()

    scripted.script = script
    answer = ask(scripted.url, tenant, stream=True)
    assert "your key is ****" in answer.text
    assert tenant.plain not in answer.text


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b"[1]", b'"no"', b"\xff\xfe"])
def test_a_refusal_that_is_no_object_becomes_one(scripted, tenant, body):
    scripted.script = answering(502, body)
    refused = ask(scripted.url, tenant)
    assert refused.status_code == 502
    error = refused.json()
    assert (error["object"], error["source"]) == ("error", "provider")
    assert error["message"]


def test_a_mistral_that_is_not_there_is_502_and_costs_nothing(made_up, mistral):
    tenant = tenancy.make(made_up)
    with GatewayServer(free_address()) as nowhere:
        refused = ask(nowhere.url, tenant)
    assert (refused.status_code, refused.json()["code"]) == (502, "mistral_unreachable")
    (event,) = tenant.settled()
    assert (event.outcome, event.requests) == ("not_sent", 0)
    assert event.cost == 0


def test_a_mistral_that_says_nothing_is_504_and_counts_as_what_it_may_have_billed(scripted, tenant):
    scripted.script = lambda _request, connection: connection.recv(1)
    refused = ask(scripted.url, tenant, max_tokens=50)
    assert (refused.status_code, refused.json()["code"]) == (504, "mistral_timeout")
    (event,) = tenant.settled()
    assert (event.outcome, event.estimate) == ("failed", "broken_answer")
    assert event.completion_tokens == 50


def test_a_mistral_that_hangs_up_is_502_and_counts_as_what_it_may_have_billed(scripted, tenant):
    scripted.script = lambda _request, connection: reset(connection)
    refused = ask(scripted.url, tenant, max_tokens=50)
    assert (refused.status_code, refused.json()["code"]) == (502, "mistral_broke_off")
    (event,) = tenant.settled()
    assert (event.estimate, event.completion_tokens) == ("broken_answer", 50)
