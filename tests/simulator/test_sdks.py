from typing import Any

import httpx2
import openai
import pytest
from mistralai.client import Mistral
from mistralai.client.errors import HTTPValidationError, SDKError

from aisuru_mistral.simulator.keys import WELL_KNOWN

MESSAGES: list[Any] = [{"role": "user", "content": "Hello there"}]
SMALL = "mistral-small-latest"


@pytest.fixture
def mistral(simulator):
    with Mistral(api_key=WELL_KNOWN["valid"], server_url=simulator.url, timeout_ms=5000) as client:
        yield client


@pytest.fixture
def gpt(simulator):
    with openai.OpenAI(
        api_key=WELL_KNOWN["valid"], base_url=f"{simulator.url}/v1", max_retries=0, timeout=5
    ) as client:
        yield client


def test_mistralai_chats(mistral):
    answer = mistral.chat.complete(model=SMALL, messages=MESSAGES)
    assert answer.choices[0].message.content
    assert answer.usage.prompt_tokens == 10
    assert answer.usage.total_tokens == 10 + answer.usage.completion_tokens


def test_mistralai_streams(mistral):
    whole = mistral.chat.complete(model=SMALL, messages=MESSAGES)
    with mistral.chat.stream(model=SMALL, messages=MESSAGES) as events:
        chunks = [event.data for event in events]
    text = "".join(chunk.choices[0].delta.content for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens
    assert chunks[-1].choices[0].finish_reason == "stop"


async def test_mistralai_chats_and_streams_asynchronously(mistral):
    answer = await mistral.chat.complete_async(model=SMALL, messages=MESSAGES)
    stream = await mistral.chat.stream_async(model=SMALL, messages=MESSAGES, max_tokens=3)
    async with stream:
        chunks = [event.data async for event in stream]
    assert answer.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "length"
    await mistral.sdk_configuration.async_client.aclose()


def test_mistralai_does_the_rest(mistral):
    assert SMALL in {row.id for row in mistral.models.list().data}
    tuned = "ft:mistral-small-2603:aurora-claims:20260310:7e773925"
    assert mistral.models.retrieve(model_id=tuned).root == "mistral-small-2603"
    vectors = mistral.embeddings.create(model="mistral-embed", inputs=["a", "b"])
    assert len(vectors.data[1].embedding) == 1024
    verdict = mistral.classifiers.moderate(model="mistral-moderation-2603", inputs=["law"])
    assert verdict.results[0].categories["law"]
    filled = mistral.fim.complete(model="codestral-latest", prompt="def f(", suffix="return 1")
    assert filled.choices[0].message.content
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
    called = mistral.chat.complete(model=SMALL, messages=MESSAGES, tools=[tool], tool_choice="any")
    assert called.choices[0].message.tool_calls[0].function.name == "look"


def test_mistralai_understands_the_errors(simulator, mistral):
    with pytest.raises(HTTPValidationError) as invalid:
        mistral.chat.complete(model=SMALL, messages=MESSAGES, temperature=3)
    assert "less_than_equal" in str(invalid.value.data.detail)
    with pytest.raises(SDKError) as refused:
        Mistral(
            api_key=WELL_KNOWN["spending_limit_reached"], server_url=simulator.url
        ).models.list()
    assert refused.value.status_code == 402
    with pytest.raises(httpx2.ReadTimeout):
        Mistral(api_key=WELL_KNOWN["hang"], server_url=simulator.url, timeout_ms=200).models.list()


def test_openai_chats_and_streams(gpt):
    whole = gpt.chat.completions.create(model=SMALL, messages=MESSAGES)
    chunks = list(gpt.chat.completions.create(model=SMALL, messages=MESSAGES, stream=True))
    text = "".join(chunk.choices[0].delta.content for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 0


async def test_openai_chats_asynchronously(simulator):
    async with openai.AsyncOpenAI(
        api_key=WELL_KNOWN["valid"], base_url=f"{simulator.url}/v1", max_retries=0
    ) as client:
        stream = await client.chat.completions.create(model=SMALL, messages=MESSAGES, stream=True)
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_openai_embeds_in_its_own_default_encoding(gpt):
    default = gpt.embeddings.create(model="mistral-embed", input=["a"])
    floats = gpt.embeddings.create(model="mistral-embed", input=["a"], encoding_format="float")
    assert default.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-6)
    assert SMALL in {row.id for row in gpt.models.list()}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("unauthorized", openai.AuthenticationError),
        ("api_budget_exhausted", openai.APIStatusError),
        ("model_tier_denied", openai.PermissionDeniedError),
        ("rate_limited", openai.RateLimitError),
        ("internal_error", openai.InternalServerError),
        ("reset", openai.APIConnectionError),
    ],
)
def test_openai_understands_the_errors(gpt, name, kind):
    client = gpt.with_options(api_key=WELL_KNOWN[name])
    with pytest.raises(kind) as refused:
        client.chat.completions.create(model=SMALL, messages=MESSAGES)
    if name == "rate_limited":
        assert (refused.value.code, refused.value.type) == ("1300", "rate_limited")
