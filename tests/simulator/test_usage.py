from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from aisuru_mistral.simulator import tokens
from aisuru_mistral.simulator.prompt_cache import PromptCache
from tests.simulator.conftest import CHAT, HELLO

PREFIX = {"role": "system", "content": "Remember this. " * 40}  # 600 characters: 150 tokens


def usage(client, **more):
    return client.post(CHAT, json={**HELLO, **more}).json()["usage"]


def cached(client, **more):
    return usage(client, **more)["prompt_tokens_details"]["cached_tokens"]


def test_prompt_tokens_follow_the_written_rule(alice):
    # 3 + (4 + 3) for "Hello there", 11 characters
    assert usage(alice)["prompt_tokens"] == 10
    messages = [
        {"role": "system", "content": "12345678"},
        {
            "role": "user",
            "content": [{"type": "text", "text": "abcd"}, {"type": "text", "text": "e"}],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"function": {"name": "look", "arguments": '{"a": 1}'}}],
        },
        {"role": "tool", "content": "ok"},
    ]
    assert usage(alice, messages=messages)["prompt_tokens"] == 3 + (4 + 2) + (4 + 2) + (4 + 3) + 5
    picture = [{"type": "image_url", "image_url": "https://example.org/a.png"}]
    assert usage(alice, messages=[{"role": "user", "content": picture}])["prompt_tokens"] == 263
    assert usage(alice, safe_prompt=True)["prompt_tokens"] == 58


def test_tools_are_part_of_the_prompt(alice):
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    compact = '[{"type":"function","function":{"name":"f","parameters":{}}}]'
    assert usage(alice, tools=[tool])["prompt_tokens"] == 10 + -(-len(compact) // 4)


def test_totals_add_up(alice):
    numbers = usage(alice)
    assert numbers["total_tokens"] == numbers["prompt_tokens"] + numbers["completion_tokens"]


@given(st.lists(st.text(max_size=200), max_size=5))
def test_a_rendered_prompt_is_a_whole_number_of_tokens(texts):
    body = {"messages": [{"role": "user", "content": text} for text in texts]}
    rendered = tokens.render_chat(body)
    assert len(rendered) % 4 == 0
    assert tokens.count_prompt(body) == 3 + sum(4 + tokens.count(text) for text in texts)


@given(st.text(min_size=256, max_size=2000), st.text(max_size=300))
def test_only_whole_blocks_seen_before_are_cached_and_never_the_last_token(beginning, end):
    cache = PromptCache()
    owner = ("workspace", "model", None)
    assert cache.read_through(owner, beginning) == 0
    longer = beginning + end + "x"
    hits = cache.read_through(owner, longer)
    assert hits % 64 == 0
    assert hits * 4 <= len(beginning)
    assert hits >= (len(beginning) - 1) // 256 * 64
    assert cache.read_through(owner, longer) == (len(longer) - 1) // 256 * 64


def test_a_repeated_beginning_is_cached_in_blocks_of_64(alice):
    first = {"messages": [PREFIX, {"role": "user", "content": "one"}]}
    second = {"messages": [PREFIX, {"role": "user", "content": "another question"}]}
    assert cached(alice, **first) == 0
    assert cached(alice, **first) == 128
    assert cached(alice, **second) == 128


def test_another_workspace_model_or_cache_key_shares_nothing(alice, as_key):
    prompt = {"messages": [PREFIX, *HELLO["messages"]]}
    assert cached(alice, **prompt) == 0
    assert cached(as_key("valid_other_workspace"), **prompt) == 0
    assert cached(alice, **prompt, model="ministral-8b-latest") == 0
    assert cached(alice, **prompt, prompt_cache_key="mine") == 0
    assert cached(alice, **prompt, prompt_cache_key="mine") == 128
    assert cached(as_key("valid_second"), **prompt) == 128
    assert cached(alice, **prompt, model="mistral-small-2603") == 128


def test_usage_can_be_dictated(simulator, as_key):
    client = as_key("valid", **{"x-sim-usage": "prompt=1000,completion=2000,cached=640"})
    for stream in (False, True):
        answer = client.post(CHAT, json={**HELLO, "stream": stream})
        assert '"prompt_tokens":1000' in answer.text
        assert '"completion_tokens":2000' in answer.text
        assert '"cached_tokens":640' in answer.text
    total = simulator.state.ledger.total()
    assert (total.prompt_tokens, total.completion_tokens, total.cached_tokens) == (2000, 4000, 1280)


def test_the_bill_is_exact(simulator, as_key):
    client = as_key("valid", **{"x-sim-usage": "prompt=1000000,completion=2000000,cached=400000"})
    client.post(CHAT, json=HELLO)
    # mistral-small-2603: 0.15 / 0.015 / 0.60 USD and 0.12 / 0.012 / 0.50 EUR per million
    total = simulator.state.ledger.total(model="mistral-small-2603")
    assert total.usd == Decimal("0.6") * Decimal("0.15") + Decimal("0.4") * Decimal(
        "0.015"
    ) + Decimal("1.2")
    assert total.eur == Decimal("0.6") * Decimal("0.12") + Decimal("0.4") * Decimal(
        "0.012"
    ) + Decimal(1)
    client.post(CHAT, json={**HELLO, "service_tier": "auto"})
    assert simulator.state.ledger.total().usd == total.usd * Decimal("2.75")


def test_the_bill_is_kept_by_key_workspace_and_model(simulator, as_key):
    for key in ("valid", "valid", "valid_second", "valid_other_workspace"):
        as_key(key).post(CHAT, json=HELLO)
    as_key("valid").post("/v1/embeddings", json={"model": "mistral-embed", "input": "12345"})
    ledger = simulator.state.ledger
    workspace = simulator.state.key("valid").workspace.id
    assert ledger.total(key="valid").calls == 3
    assert ledger.total(workspace=workspace).calls == 4
    assert ledger.total(model="mistral-embed-2312").prompt_tokens == 2
    assert ledger.total().calls == 5


def test_what_never_reached_generation_is_not_billed(simulator, alice, as_key):
    alice.get("/v1/models")
    alice.post(CHAT, json={**HELLO, "surprise": 1})
    alice.post(CHAT, json=HELLO, headers={"x-sim-error": "internal_error"})
    as_key("rate_limited").post(CHAT, json=HELLO)
    assert simulator.state.ledger.lines() == []
    assert len(simulator.state.requests) == 4


def test_moderation_of_2603_is_free(simulator, alice):
    alice.post("/v1/moderations", json={"model": "mistral-moderation-2603", "input": "x" * 400})
    total = simulator.state.ledger.total()
    assert (total.calls, total.prompt_tokens, total.usd) == (1, 100, 0)
