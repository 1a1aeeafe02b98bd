import pytest

from tests.simulator.conftest import CHAT, HELLO
from tests.simulator.events import named_events

RESPONSES = "/v1/responses"
SMALL = "mistral-small-latest"
LOOK = {"type": "function", "name": "look", "parameters": {"type": "object"}}


def respond(client, given="Hello there", **more):
    return client.post(RESPONSES, json={"model": SMALL, "input": given, **more})


def test_a_response_says_and_costs_what_the_chat_would(simulator, alice):
    chat = alice.post(CHAT, json=HELLO).json()
    answer = respond(alice).json()
    assert answer["output"][0]["content"][0]["text"] == chat["choices"][0]["message"]["content"]
    completion = chat["usage"]["completion_tokens"]
    assert answer["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": completion,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 10 + completion,
    }
    total = simulator.state.ledger.total()
    assert (total.calls, total.prompt_tokens, total.completion_tokens) == (2, 20, 2 * completion)


@pytest.mark.parametrize(
    ("more", "kinds"),
    [
        ({}, ["message"]),
        ({"reasoning": {"effort": "high"}}, ["reasoning", "message"]),
        ({"tools": [LOOK], "tool_choice": "required"}, ["function_call"]),
        ({"tools": [LOOK], "tool_choice": {"type": "function", "name": "look"}}, ["function_call"]),
        ({"max_output_tokens": 2}, ["message"]),
    ],
)
def test_a_stream_builds_up_the_same_response(simulator, alice, more, kinds):
    whole = respond(alice, **more).json()
    assert [item["type"] for item in whole["output"]] == kinds
    events = named_events(respond(alice, stream=True, **more))
    assert [event["data"]["sequence_number"] for event in events] == list(range(len(events)))
    last = events[-1]["data"]
    assert last["type"] == f"response.{whole['status']}"
    assert last["response"]["usage"] == whole["usage"]
    deltas = [event["data"]["delta"] for event in events if event["event"].endswith(".delta")]
    said = [
        item.get("arguments") or "".join(part["text"] for part in item["content"])
        for item in whole["output"]
    ]
    assert "".join(deltas) == "".join(said)
    spent = 2 * whole["usage"]["output_tokens"]
    assert simulator.state.ledger.total().completion_tokens == spent


def test_what_is_cut_is_incomplete(alice):
    answer = respond(alice, max_output_tokens=2).json()
    assert answer["status"] == "incomplete"
    assert answer["incomplete_details"] == {"reason": "max_output_tokens"}
    assert answer["usage"]["output_tokens"] == 2


def test_input_is_counted_for_nothing(simulator, alice):
    body = {
        "model": SMALL,
        "instructions": "Be kind.",
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "look"}]},
            {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "ok"},
        ],
    }
    counted = alice.post(f"{RESPONSES}/input_tokens", json=body).json()
    # 3 + (4 + 2) + (4 + 1) + (4 + 1 + 1) + (4 + 1)
    assert counted == {"object": "response.input_tokens", "input_tokens": 25}
    assert simulator.state.ledger.lines() == []
    assert alice.post(RESPONSES, json=body).json()["usage"]["input_tokens"] == 25


def test_json_is_answered_where_it_is_wanted(alice):
    schema = {"type": "object", "properties": {"total": {"type": "integer"}}}
    wanted = {"format": {"type": "json_schema", "name": "total", "schema": schema}}
    answer = respond(alice, text=wanted).json()
    assert answer["output"][0]["content"][0]["text"].startswith('{"total":')


def test_errors_are_those_of_chat(alice):
    assert respond(alice, model="nobody").json()["code"] == "1500"
    assert respond(alice, []).status_code == 400
    assert respond(alice, 5).status_code == 422
    assert respond(alice, "x" * 1_100_000).json()["code"] == "3051"
    silent = alice.post(
        RESPONSES,
        json={"model": SMALL, "input": "Hello", "stream": True},
        headers={"x-sim-omit-usage": "1"},
    )
    assert named_events(silent)[-1]["data"]["response"]["usage"] is None
