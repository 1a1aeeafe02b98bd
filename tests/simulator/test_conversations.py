import pytest

from aisuru_mistral.simulator.agents import WELL_KNOWN_AGENTS
from aisuru_mistral.simulator.text import prose
from tests.simulator.events import named_events
from tests.simulator.schema import check

CONVERSATIONS = "/v1/conversations"
SMALL = "mistral-small-latest"
SEARCH = [{"type": "web_search"}]
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def start(client, inputs="Hello there", **more):
    return client.post(CONVERSATIONS, json={"model": SMALL, "inputs": inputs, **more})


def test_a_conversation_is_answered_and_remembered(simulator, alice):
    answer = start(alice, instructions="Be kind.").json()
    check(answer, "ConversationResponse")
    (said,) = answer["outputs"]
    usage = answer["usage"]
    # 3 + (4 + 2) for "Be kind." + (4 + 3) for "Hello there"
    assert usage["prompt_tokens"] == 16
    assert usage["completion_tokens"] == -(-len(said["content"]) // 4)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert (usage["connector_tokens"], usage["connectors"]) == (None, None)
    total = simulator.state.ledger.total(model="mistral-small-2603")
    assert (total.calls, total.prompt_tokens) == (1, 16)
    assert total.completion_tokens == usage["completion_tokens"]

    path = f"{CONVERSATIONS}/{answer['conversation_id']}"
    history = alice.get(f"{path}/history").json()
    check(history, "ConversationHistory")
    assert [entry["type"] for entry in history["entries"]] == ["message.input", "message.output"]
    assert history["entries"][1] == said
    described = alice.get(path).json()
    check(described, "ModelConversation")
    assert described["instructions"] == "Be kind."


def test_what_was_said_before_is_part_of_the_next_prompt(alice):
    first = start(alice).json()
    path = f"{CONVERSATIONS}/{first['conversation_id']}"
    second = alice.post(path, json={"inputs": "And now?"}).json()
    check(second, "ConversationResponse")
    said = -(-len(first["outputs"][0]["content"]) // 4)
    assert second["conversation_id"] == first["conversation_id"]
    assert second["usage"]["prompt_tokens"] == 10 + (4 + said) + (4 + 2)
    messages = alice.get(f"{path}/messages").json()
    check(messages, "ConversationMessages")
    roles = [message["role"] for message in messages["messages"]]
    assert roles == ["user", "assistant"] * 2


def test_a_restart_is_another_conversation_with_the_same_beginning(alice):
    first = start(alice).json()
    path = f"{CONVERSATIONS}/{first['conversation_id']}"
    alice.post(path, json={"inputs": "More"})
    asked = alice.get(f"{path}/history").json()["entries"][0]["id"]
    body = {"inputs": "Otherwise", "from_entry_id": asked, "metadata": {"a": "b"}}
    again = alice.post(f"{path}/restart", json=body).json()
    check(again, "ConversationResponse")
    assert again["conversation_id"] != first["conversation_id"]
    copied = alice.get(f"{CONVERSATIONS}/{again['conversation_id']}/history").json()["entries"]
    assert [entry.get("content") for entry in copied[:2]] == ["Hello there", "Otherwise"]
    assert len(alice.get(f"{path}/history").json()["entries"]) == 4
    assert alice.post(f"{path}/restart", json={**body, "from_entry_id": "x"}).status_code == 404
    listed = alice.get(CONVERSATIONS).json()
    assert [each["id"] for each in listed] == [again["conversation_id"], first["conversation_id"]]
    assert listed[0]["metadata"] == {"a": "b"}
    assert len(alice.get(CONVERSATIONS, params={"page": 1, "page_size": 1}).json()) == 1


def test_connectors_are_called_when_named_and_counted(simulator, alice):
    answer = start(alice, "Please web search it", tools=SEARCH).json()
    check(answer, "ConversationResponse")
    assert [entry["type"] for entry in answer["outputs"]] == ["tool.execution", "message.output"]
    usage = answer["usage"]
    assert (usage["connector_tokens"], usage["connectors"]) == (256, {"web_search": 1})
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] + 256
    assert start(alice, "Hello", tools=SEARCH).json()["usage"]["connectors"] is None
    total = simulator.state.ledger.total()
    assert (total.connector_calls, total.connector_tokens) == (1, 256)
    line = simulator.state.ledger.lines()[0]
    price = simulator.state.catalogue.price(line.model, "usd")
    tokens = line.prompt_tokens + 256
    assert total.usd * 1_000_000 == tokens * price.input + line.completion_tokens * price.output


def test_connector_calls_can_be_dictated(simulator, as_key):
    client = as_key("valid", **{"x-sim-connectors": "web_search=2,code_interpreter=1"})
    usage = start(client).json()["usage"]
    assert usage["connectors"] == {"web_search": 2, "code_interpreter": 1}
    assert simulator.state.ledger.total().connector_calls == 3


@pytest.mark.parametrize("inputs", ["web_search please", [{"role": "user", "content": "Ciao"}]])
def test_a_stream_has_named_events_and_costs_the_same(simulator, alice, inputs):
    whole = start(alice, inputs, tools=SEARCH).json()
    events = named_events(start(alice, inputs, tools=SEARCH, stream=True))
    for event in events:
        check(event, "ConversationEvents")
        assert event["data"]["type"] == event["event"]
    assert events[0]["event"] == "conversation.response.started"
    texts = [event["data"]["content"] for event in events if event["event"].endswith("delta")
             and "content" in event["data"]]  # fmt: skip
    assert "".join(texts) == whole["outputs"][-1]["content"]
    assert events[-1]["event"] == "conversation.response.done"
    assert events[-1]["data"]["usage"] == whole["usage"]
    kinds = [event["event"] for event in events]
    calls = 1 if whole["usage"]["connectors"] else 0
    assert kinds.count("tool.execution.done") == calls
    total = simulator.state.ledger.total()
    assert total.completion_tokens == 2 * whole["usage"]["completion_tokens"]
    history = alice.get(
        f"{CONVERSATIONS}/{events[0]['data']['conversation_id']}/history"
    ).json()["entries"]  # fmt: skip
    assert history[-1]["content"] == whole["outputs"][-1]["content"]


def test_a_stream_that_fails_ends_with_an_error_and_bills_what_was_said(simulator, as_key):
    client = as_key("valid", **{"x-sim-fail-after": "2"})
    events = named_events(start(client, stream=True))
    check(events[-1], "ConversationEvents")
    assert events[-1]["event"] == "conversation.response.error"
    assert simulator.state.ledger.total().completion_tokens == 2


def test_usage_can_be_dictated_or_left_out(simulator, as_key):
    client = as_key("valid", **{"x-sim-usage": "prompt=1000,completion=2000"})
    for stream in (False, True):
        assert '"total_tokens":3000' in start(client, stream=stream).text
    total = simulator.state.ledger.total()
    assert (total.prompt_tokens, total.completion_tokens) == (2000, 4000)
    silent = as_key("valid", **{"x-sim-omit-usage": "1"})
    assert "usage" not in named_events(start(silent, stream=True))[-1]["data"]


def test_functions_are_called_and_their_results_read(alice):
    answer = start(alice, "please look", tools=[LOOK]).json()
    check(answer, "ConversationResponse")
    (called,) = answer["outputs"]
    assert (called["type"], called["name"]) == ("function.call", "look")
    result = {
        "type": "function.result",
        "tool_call_id": called["tool_call_id"],
        "result": "a lighthouse",
    }
    path = f"{CONVERSATIONS}/{answer['conversation_id']}"
    said = alice.post(path, json={"inputs": [result]}).json()
    check(said, "ConversationResponse")
    assert said["outputs"][0]["type"] == "message.output"
    history = alice.get(f"{path}/history").json()
    check(history, "ConversationHistory")
    events = named_events(start(alice, "please look", tools=[LOOK], stream=True))
    for event in events:
        check(event, "ConversationEvents")
    assert events[1]["event"] == "function.call.delta"


def test_thinking_comes_before_the_text(alice):
    args = {"reasoning_effort": "high"}
    answer = start(alice, completion_args=args).json()
    check(answer, "ConversationResponse")
    assert [each["type"] for each in answer["outputs"][0]["content"]] == ["thinking", "text"]
    for event in named_events(start(alice, completion_args=args, stream=True)):
        check(event, "ConversationEvents")


def test_agents_converse_in_their_own_workspace(alice, as_key):
    body = {"agent_id": WELL_KNOWN_AGENTS["researcher"], "inputs": "code interpreter"}
    answer = alice.post(CONVERSATIONS, json=body).json()
    check(answer, "ConversationResponse")
    assert answer["usage"]["connectors"] == {"code_interpreter": 1}
    assert answer["outputs"][-1]["agent_id"] == body["agent_id"]
    assert answer["outputs"][-1]["model"] == "mistral-medium-latest"
    described = alice.get(f"{CONVERSATIONS}/{answer['conversation_id']}").json()
    check(described, "AgentConversation")
    stranger = as_key("valid_other_organization")
    assert stranger.post(CONVERSATIONS, json=body).status_code == 404
    assert alice.post(CONVERSATIONS, json={"inputs": "Hello"}).status_code == 400


def test_conversations_stay_in_their_workspace(alice, as_key):
    first = start(alice).json()
    path = f"{CONVERSATIONS}/{first['conversation_id']}"
    entry = alice.get(f"{path}/history").json()["entries"][0]["id"]
    for name in ("valid_other_workspace", "valid_other_organization"):
        stranger = as_key(name)
        assert stranger.get(CONVERSATIONS).json() == []
        for end in ("", "/history", "/messages"):
            assert stranger.get(path + end).status_code == 404
        assert stranger.post(path, json={"inputs": "Hello"}).status_code == 404
        restart = {"inputs": "Hello", "from_entry_id": entry}
        assert stranger.post(f"{path}/restart", json=restart).status_code == 404
        assert stranger.delete(path).status_code == 404
    assert as_key("valid_second").get(path).status_code == 200
    assert len(alice.get(f"{path}/history").json()["entries"]) == 2
    assert alice.delete(path).status_code == 204
    assert alice.get(path).status_code == 404


def test_what_is_not_stored_or_was_refused_leaves_nothing(simulator, alice):
    answer = start(alice, store=False).json()
    assert alice.get(f"{CONVERSATIONS}/{answer['conversation_id']}").status_code == 404
    assert alice.get(CONVERSATIONS).json() == []
    kept = start(alice).json()["conversation_id"]
    refused = alice.post(
        f"{CONVERSATIONS}/{kept}", json={"inputs": "x"}, headers={"x-sim-error": "rate_limited"}
    )
    assert refused.status_code == 429
    assert start(alice, model="nobody").json()["code"] == "1500"
    assert start(alice, [{"type": "song"}]).status_code == 422
    assert start(alice, "x" * 1_100_000).json()["code"] == "3051"
    assert len(alice.get(f"{CONVERSATIONS}/{kept}/history").json()["entries"]) == 2
    assert simulator.state.ledger.total().calls == 2


def test_the_answer_follows_from_what_was_said(alice):
    said = {start(alice).json()["outputs"][0]["content"] for _ in range(2)}
    assert len(said) == 1
    assert said <= {prose(seed) for seed in range(20_000)}
