"""A fault of ours stays in its request: a 500 in Mistral's shape, and a log that quotes nothing."""

import json
from typing import Any

import pytest

from tenants.common.problems import Problem
from tenants.gateway import refusals
from tenants.gateway.app import Gateway
from tenants.mistral.errors import UNSENDABLE_KEY, KeyRefusedError

CANARY = "zanzibar-canary"
SCOPE = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": []}


async def served(gateway: Gateway) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": CANARY.encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    await gateway(dict(SCOPE), receive, send)
    return sent


async def test_a_fault_before_the_answer_is_a_500_without_a_word_of_the_request(
    monkeypatch, caplog
):
    async def fail(_self, _scope, exchange, *_rest) -> None:
        message = await exchange.receive()
        raise ZeroDivisionError(message["body"])

    monkeypatch.setattr(Gateway, "_serve", fail)
    start, body = await served(Gateway())
    assert start["status"] == 500
    error = json.loads(body["body"])
    assert (error["code"], error["source"]) == ("internal_error", "gateway")
    assert CANARY not in body["body"].decode()
    assert "ZeroDivisionError" in caplog.text
    assert CANARY not in caplog.text


async def test_a_fault_in_the_middle_of_an_answer_breaks_it_off(monkeypatch):
    async def fail(_self, _scope, exchange, *_rest) -> None:
        await exchange.start(200, [])
        await exchange.send({"type": "http.response.body", "body": b"half", "more_body": True})
        raise ZeroDivisionError

    monkeypatch.setattr(Gateway, "_serve", fail)
    sent = await served(Gateway())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[-1]["more_body"]


def test_a_key_that_no_header_can_carry_blocks_its_model():
    problem = refusals.unanswered(KeyRefusedError(UNSENDABLE_KEY))
    assert (problem.status, problem.code, problem.members) == (
        *(409, "model_blocked"),
        {"reason": "key_invalid"},
    )


@pytest.mark.parametrize("status", [401, 402, 413, 503])
def test_a_refusal_of_ours_has_every_member_of_mistrals_error_object(status):
    problem = Problem("some_code", "What to do.", status=status, retry_after=3, limit="5.00")
    told, headers, body = refusals.ours(problem, "the-id")
    assert told == status
    assert (b"retry-after", b"3") in headers
    assert json.loads(body) == {
        "object": "error",
        "message": "What to do.",
        "type": "some_code",
        "param": None,
        "code": "some_code",
        "source": "gateway",
        "request_id": "the-id",
        "limit": "5.00",
    }
