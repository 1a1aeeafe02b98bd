from aisuru_mistral.simulator.agents import WELL_KNOWN_AGENTS
from tests.simulator.conftest import CHAT, HELLO
from tests.simulator.schema import check

AGENTS = "/v1/agents/completions"
MESSAGES = HELLO["messages"]


def ask(client, name="claims", **more):
    return client.post(
        AGENTS, json={"agent_id": WELL_KNOWN_AGENTS[name], "messages": MESSAGES, **more}
    )


def test_an_agent_answers_with_its_model_and_reads_its_instructions(simulator, alice):
    answer = ask(alice).json()
    check(answer, "ChatCompletionResponse")
    assert answer["model"] == "mistral-small-latest"
    instructions = "You help with insurance claims. Answer briefly."  # 47 characters: 12 tokens
    alone = alice.post(CHAT, json=HELLO).json()["usage"]["prompt_tokens"]
    assert answer["usage"]["prompt_tokens"] == alone + 4 + -(-len(instructions) // 4)
    assert simulator.state.ledger.total(model="mistral-small-2603").calls == 2


def test_an_agents_settings_hold_unless_the_request_says_otherwise(alice):
    dictated = {"x-sim-answer-tokens": "max"}
    body = {"agent_id": WELL_KNOWN_AGENTS["researcher"], "messages": MESSAGES}
    forty = alice.post(AGENTS, json=body, headers=dictated).json()
    assert forty["usage"]["completion_tokens"] == 40
    three = alice.post(AGENTS, json={**body, "max_tokens": 3}, headers=dictated).json()
    assert three["usage"]["completion_tokens"] == 3


def test_an_agent_streams(alice):
    lines = [line for line in ask(alice, stream=True).iter_lines() if line]
    assert lines[-1] == "data: [DONE]"
    assert '"usage"' in lines[-2]


def test_agents_of_others_and_unknown_ones_are_not_there(simulator, alice, as_key):
    assert ask(alice, "routes").status_code == 404
    assert ask(alice, "support").status_code == 404
    assert ask(as_key("valid_other_workspace"), "support").status_code == 200
    assert ask(as_key("valid_other_organization"), "routes").status_code == 200
    unknown = alice.post(AGENTS, json={"agent_id": "ag_0", "messages": MESSAGES})
    assert unknown.status_code == 404
    assert simulator.state.ledger.total(key="valid").calls == 0


def test_an_agents_request_takes_neither_model_nor_temperature(alice):
    for more in ({"model": "mistral-small-latest"}, {"temperature": 0.5}):
        assert ask(alice, **more).json()["detail"][0]["type"] == "extra_forbidden"


def test_a_chat_is_judged_as_one_text(simulator, alice):
    chat = [{"role": "user", "content": "a criminal"}, {"role": "assistant", "content": "plan"}]
    body = {"model": "mistral-moderation-2603", "input": chat}
    one = alice.post("/v1/chat/moderations", json=body).json()
    check(one, "ModerationResponse")
    assert [row["categories"]["criminal"] for row in one["results"]] == [True]
    assert one["usage"]["prompt_tokens"] == 3 + 1
    calm = [{"role": "user", "content": "good morning"}]
    two = alice.post("/v1/chat/moderations", json={**body, "input": [chat, calm]}).json()
    assert [row["categories"]["criminal"] for row in two["results"]] == [True, False]
    assert simulator.state.ledger.total().prompt_tokens == 4 + 4 + 3


def test_texts_and_chats_are_classified(simulator, alice):
    model = "mistral-moderation-2603"
    texts = alice.post("/v1/classifications", json={"model": model, "input": ["one", "two"]})
    check(texts.json(), "ClassificationResponse")
    assert len(texts.json()["results"]) == 2
    assert texts.json()["usage"] == {"prompt_tokens": 2, "total_tokens": 2, "completion_tokens": 0}
    chat = {"messages": [{"role": "user", "content": "one"}]}
    for given in (chat, [chat]):
        answer = alice.post("/v1/chat/classifications", json={"model": model, "input": given})
        check(answer.json(), "ClassificationResponse")
        assert answer.json()["results"] == texts.json()["results"][:1]
    assert simulator.state.ledger.total().calls == 3
    refused = alice.post("/v1/classifications", json={"model": "mistral-embed", "input": "x"})
    assert refused.json()["code"] == "1500"
