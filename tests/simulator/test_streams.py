import json
import time

import httpx
import pytest

from tests.simulator.conftest import CHAT, HELLO, finished
from tests.simulator.schema import check

STREAM = {**HELLO, "stream": True}


def events_of(raw):
    """The JSON of each event; the last one must be [DONE]."""
    events = [event for event in raw.decode().split("\n\n") if event and event[0] != ":"]
    assert all(event.startswith("data: ") for event in events)
    assert events.pop() == "data: [DONE]"
    return [json.loads(event.removeprefix("data: ")) for event in events]


def stream(client, **more):
    answer = client.post(CHAT, json={**STREAM, **more})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    return events_of(answer.content)


def text_of(events, index=0):
    choices = [choice for event in events for choice in event["choices"]]
    return "".join(choice["delta"]["content"] for choice in choices if choice["index"] == index)


def test_chunks_come_as_mistral_sends_them(alice):
    events = stream(alice)
    for event in events:
        check(event, "CompletionChunk")
    first, *middle, last = events
    assert first["choices"][0] == {
        "index": 0,
        "delta": {"role": "assistant", "content": ""},
        "finish_reason": None,
    }
    assert "p" not in first
    assert all("usage" not in event for event in (first, *middle))
    assert all(set(event["p"]) <= set("abcdefghijklmnopqrstuvwxyz0123456789") for event in middle)
    assert len({event["p"] for event in middle}) > 1
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["choices"][0]["delta"]["content"]
    assert len({event["id"] for event in events}) == 1


def test_a_stream_says_and_costs_the_same_as_an_answer_in_one_piece(simulator, alice):
    whole = alice.post(CHAT, json=HELLO).json()
    events = stream(alice)
    assert text_of(events) == whole["choices"][0]["message"]["content"]
    assert events[-1]["usage"] == whole["usage"]
    total = simulator.state.ledger.total()
    assert total.calls == 2
    assert total.completion_tokens == 2 * whole["usage"]["completion_tokens"]


def test_n_streamed_answers_finish_one_by_one_and_usage_comes_last(alice):
    whole = alice.post(CHAT, json={**HELLO, "n": 2}).json()
    events = stream(alice, n=2)
    assert [text_of(events, at) for at in (0, 1)] == [
        choice["message"]["content"] for choice in whole["choices"]
    ]
    assert [event["choices"][0]["index"] for event in events if "usage" in event] == [1]


def test_a_tool_call_is_streamed_in_one_chunk(alice):
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    events = stream(alice, tools=[tool], tool_choice="any")
    last = events[-1]["choices"][0]
    assert last["finish_reason"] == "tool_calls"
    assert last["delta"]["tool_calls"][0]["function"] == {"name": "look", "arguments": "{}"}


def test_max_tokens_ends_a_stream_with_length(alice):
    events = stream(alice, max_tokens=2)
    assert events[-1]["choices"][0]["finish_reason"] == "length"
    assert len(events) == 3
    assert stream(alice, max_tokens=0)[-1]["usage"]["completion_tokens"] == 0


def test_rate_limit_headers_are_absent_from_streams_unless_switched_on(simulator, alice):
    assert "x-ratelimit-limit-req-minute" not in alice.post(CHAT, json=STREAM).headers
    simulator.state.rate_limit_headers_on_streams = True
    assert "x-ratelimit-limit-req-minute" in alice.post(CHAT, json=STREAM).headers


def test_usage_can_be_left_out(as_key):
    events = stream(as_key("stream_without_usage"))
    assert all("usage" not in event for event in events)
    assert events[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_cut_stream_breaks_and_is_billed_for_what_was_generated(simulator, as_key):
    client = as_key("stream_cut")
    received = []
    with client.stream("POST", CHAT, json=STREAM) as cut, pytest.raises(httpx.RemoteProtocolError):
        received.extend(cut.iter_raw())
    assert b"".join(received).count(b"data: ") == 4
    total = simulator.state.ledger.total(key="stream_cut")
    assert (total.calls, total.completion_tokens) == (1, 3)
    assert finished(simulator.state.requests[-1]).outcome == "broken"


def test_a_failing_stream_ends_with_an_error_and_without_usage(simulator, as_key):
    events = stream(as_key("stream_error_chunk"))
    assert events[-1]["choices"][0]["finish_reason"] == "error"
    assert all("usage" not in event for event in events)
    assert simulator.state.ledger.total(key="stream_error_chunk").completion_tokens == 3


def test_bytes_may_arrive_split_anywhere(as_key):
    with as_key("stream_split_bytes").stream("POST", CHAT, json=STREAM) as answer:
        pieces = list(answer.iter_raw())
    whole = as_key("valid").post(CHAT, json=HELLO).json()
    assert text_of(events_of(b"".join(pieces))) == whole["choices"][0]["message"]["content"]
    assert len(pieces) > 20


def test_keep_alive_comments_stand_between_chunks(as_key):
    raw = as_key("stream_keep_alive").post(CHAT, json=STREAM).content
    assert raw.count(b": keep-alive\n\n") > 5
    assert events_of(raw)[-1]["usage"]


def test_chunks_can_be_larger_and_slower(as_key):
    client = as_key("valid", **{"x-sim-chunk-tokens": "50", "x-sim-chunk-delay": "0.1"})
    began = time.monotonic()
    events = stream(client)
    assert len(events) <= 3
    assert time.monotonic() - began >= 0.1 * len(events)


def test_a_caller_who_leaves_is_noticed_and_pays_for_what_was_generated(simulator, as_key):
    client = as_key("stream_slow")
    with client.stream("POST", CHAT, json={**STREAM, "max_tokens": 40}) as answer:
        next(answer.iter_raw())
    client.close()
    assert finished(simulator.state.requests[-1]).outcome == "disconnected"
    assert simulator.state.ledger.total(key="stream_slow").completion_tokens < 5
