import json

import pytest

from tests.simulator.conftest import CHAT, HELLO
from tests.simulator.schema import check

ROOT = {
    "type": "function",
    "function": {
        "name": "square_root",
        "parameters": {
            "type": "object",
            "properties": {"number": {"type": "number"}, "unit": {"enum": ["m", "km"]}},
            "required": ["number"],
        },
    },
}


def ask(client, **more):
    answer = client.post(CHAT, json={**HELLO, **more})
    assert answer.status_code == 200, answer.text
    check(answer.json(), "ChatCompletionResponse")
    return answer.json()


def test_an_answer_has_the_published_shape_and_mistrals_headers(alice):
    answer = alice.post(CHAT, json=HELLO)
    body = answer.json()
    check(body, "ChatCompletionResponse")
    assert body["model"] == "mistral-small-latest"
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["choices"][0]["message"]["content"]
    assert answer.headers["mistral-correlation-id"] == answer.headers["x-kong-request-id"]
    assert int(answer.headers["x-envoy-upstream-service-time"]) >= 0
    assert answer.headers["x-ratelimit-tokens-query-cost"] == str(body["usage"]["total_tokens"])
    assert int(answer.headers["x-ratelimit-remaining-req-minute"]) == (
        int(answer.headers["x-ratelimit-limit-req-minute"]) - 1
    )


def test_the_same_request_gets_the_same_answer_from_any_key_and_simulator(alice, as_key):
    first = ask(alice)
    again = ask(as_key("valid_other_organization"))
    assert first["choices"] == again["choices"]
    assert first["usage"] == again["usage"]
    assert first["id"] != again["id"]
    assert ask(alice, random_seed=7)["choices"] != first["choices"]


def test_the_answer_never_depends_on_the_process(alice):
    # Known by heart: a change here changes the cost that somebody may have computed.
    answer = ask(alice, messages=[{"role": "user", "content": "Ciao!"}])
    assert answer["usage"]["completion_tokens"] == 45
    assert answer["choices"][0]["message"]["content"].startswith("A lighthouse keeper counts ships")


def test_max_tokens_cuts_the_answer(alice):
    whole = ask(alice)
    full = whole["usage"]["completion_tokens"]
    cut = ask(alice, max_tokens=3)
    text = cut["choices"][0]["message"]["content"]
    assert cut["choices"][0]["finish_reason"] == "length"
    assert cut["usage"]["completion_tokens"] == 3
    assert len(text) == 12
    assert whole["choices"][0]["message"]["content"].startswith(text)
    assert ask(alice, max_tokens=full)["choices"] == whole["choices"]
    assert ask(alice, max_tokens=0)["usage"]["completion_tokens"] == 0


def test_the_length_of_an_answer_can_be_dictated(as_key):
    long = as_key("valid", **{"x-sim-answer-tokens": "500"})
    assert ask(long)["usage"]["completion_tokens"] == 500
    assert ask(long, max_tokens=80)["usage"]["completion_tokens"] == 80
    greedy = as_key("valid", **{"x-sim-answer-tokens": "max"})
    assert ask(greedy, max_tokens=123)["usage"]["completion_tokens"] == 123


def test_n_answers_differ_and_are_all_paid(alice):
    answer = ask(alice, n=3)
    texts = [choice["message"]["content"] for choice in answer["choices"]]
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2]
    assert len(set(texts)) == 3
    assert answer["usage"]["completion_tokens"] == sum(-(-len(text) // 4) for text in texts)


def test_a_stop_word_ends_the_answer_before_it(alice):
    whole = ask(alice)["choices"][0]["message"]["content"]
    word = whole.split(" ")[3]
    stopped = ask(alice, stop=[word])["choices"][0]
    assert stopped["finish_reason"] == "stop"
    assert stopped["message"]["content"] == whole[: whole.index(word)]


@pytest.mark.parametrize(
    "choice", ["any", "required", {"type": "function", "function": {"name": "square_root"}}]
)
def test_a_forced_tool_is_called_with_arguments_that_fit_its_schema(alice, choice):
    message = ask(alice, tools=[ROOT], tool_choice=choice)["choices"][0]
    assert message["finish_reason"] == "tool_calls"
    call = message["message"]["tool_calls"][0]
    assert call["function"]["name"] == "square_root"
    assert len(call["id"]) == 9
    arguments = json.loads(call["function"]["arguments"])
    assert isinstance(arguments["number"], int)
    assert arguments["unit"] == "m"


def test_auto_calls_a_tool_that_the_user_names_and_then_answers(alice):
    asked = [{"role": "user", "content": "Use square_root on 4"}]
    assert ask(alice, tools=[ROOT])["choices"][0]["finish_reason"] == "stop"
    first = ask(alice, messages=asked, tools=[ROOT])["choices"][0]
    assert first["finish_reason"] == "tool_calls"
    told = [*asked, first["message"], {"role": "tool", "content": "2", "name": "square_root"}]
    assert ask(alice, messages=told, tools=[ROOT])["choices"][0]["finish_reason"] == "stop"
    silent = ask(alice, messages=asked, tools=[ROOT], tool_choice="none")["choices"][0]
    assert silent["finish_reason"] == "stop"


def test_json_answers_are_json_and_fit_a_schema(alice):
    plain = ask(alice, response_format={"type": "json_object"})
    assert "answer" in json.loads(plain["choices"][0]["message"]["content"])
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
        },
        "$defs": {"tag": {"enum": ["red", "blue"]}},
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}}
    value = json.loads(ask(alice, response_format=wanted)["choices"][0]["message"]["content"])
    assert value["tags"] == ["red"]
    assert isinstance(value["name"], str)


def test_a_schema_that_refers_to_itself_ends(alice):
    schema = {"type": "object", "properties": {name: {"$ref": "#"} for name in "abcdefgh"}}
    wanted = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema}}
    ask(alice, response_format=wanted)


def test_reasoning_comes_as_thinking_before_the_text(alice):
    choice = ask(alice, reasoning_effort="high")["choices"][0]
    thinking, text = choice["message"]["content"]
    assert (thinking["type"], text["type"]) == ("thinking", "text")
    assert text["text"] == ask(alice)["choices"][0]["message"]["content"]


def test_service_tier_is_told_when_it_was_asked_for(alice, as_key):
    assert "service_tier" not in ask(alice)["usage"]
    assert ask(alice, service_tier="auto")["usage"]["service_tier"] == "priority"
    assert ask(alice, service_tier="standard_only")["usage"]["service_tier"] == "standard"
    plain = as_key("valid_other_organization")
    assert ask(plain, service_tier="auto")["usage"]["service_tier"] == "standard"


def test_a_deprecated_model_answers_with_its_date(alice):
    answer = alice.post(CHAT, json={**HELLO, "model": "mistral-medium-2508"})
    assert answer.headers["x-model-deprecation-timestamp"] == "2026-08-31T12:00:00Z"


@pytest.mark.parametrize(
    ("model", "key", "refusal"),
    [
        ("gpt-x", "valid", (400, "1500")),
        ("devstral-latest", "valid", (400, "1500")),
        ("mistral-embed", "valid", (400, "1500")),
        ("ft:ministral-8b-2512:borea-routes:20260622:5d0c91fe", "valid", (400, "1500")),
        ("ft:mistral-small-2603:aurora-archive:20250911:10ab34cd", "valid", (400, "1500")),
        ("mistral-large-latest", "valid_free_plan", (403, "1910")),
        ("labs-leanstral-1-5", "valid", (403, "1913")),
        ("mistral-small-latest", "valid_free_plan", (429, "1300")),
    ],
)
def test_models_that_may_not_be_called_are_refused_and_cost_nothing(
    simulator, as_key, model, key, refusal
):
    answer = as_key(key).post(CHAT, json={**HELLO, "model": model})
    assert (answer.status_code, answer.json()["code"]) == refusal
    assert simulator.state.ledger.lines() == []
    if answer.status_code == 429:
        assert answer.headers["x-ratelimit-limit-req-minute"] == "0"
    if answer.json()["code"] in {"1500", "1913"}:
        assert model in answer.json()["message"]


def test_a_fine_tuned_model_answers_its_owner(alice):
    tuned = "ft:mistral-small-2603:aurora-claims:20260310:7e773925"
    assert ask(alice, model=tuned)["model"] == tuned


def test_a_conversation_must_not_end_with_the_assistant_but_for_a_prefix(alice):
    said = {"role": "assistant", "content": "Once upon"}
    messages = [*HELLO["messages"], said]
    refused = alice.post(CHAT, json={**HELLO, "messages": messages})
    assert (refused.status_code, refused.json()["code"]) == (400, "3230")
    assert alice.post(CHAT, json={**HELLO, "messages": []}).status_code == 400
    ask(alice, messages=[*HELLO["messages"], {**said, "prefix": True}])


def test_a_prompt_larger_than_the_context_is_refused(alice):
    huge = {"role": "user", "content": "x" * (4 * 262_144)}
    answer = alice.post(CHAT, json={**HELLO, "messages": [huge]})
    assert (answer.status_code, answer.json()["code"]) == (400, "3051")


def test_fim_fills_in_with_a_code_model_only(simulator, alice):
    body = {"model": "codestral-latest", "prompt": "def f(", "suffix": "return a + b"}
    answer = alice.post("/v1/fim/completions", json=body)
    check(answer.json(), "FIMCompletionResponse")
    assert answer.json()["usage"]["prompt_tokens"] == 3 + 2 + 3
    assert simulator.state.ledger.total(model="codestral-2508").calls == 1
    refused = alice.post("/v1/fim/completions", json={**body, "model": "mistral-small-latest"})
    assert refused.json()["code"] == "1500"
