"""Everything but plain chat through the official SDKs, with only the address and token changed.

Transcriptions, files, batches and conversations have such tests beside their own.
"""

import asyncio
from typing import Any

import pytest
from mistralai.client import Mistral
from openai import OpenAI

from aisuru_mistral.simulator.agents import WELL_KNOWN_AGENTS
from aisuru_mistral.simulator.keys import WELL_KNOWN
from tests.gateway import tenancy
from tests.gateway.tenancy import SMALL

MESSAGES: Any = [{"role": "user", "content": "What is the weather in Rome?"}]
FUNCTION = {
    "name": "weather",
    "description": "Tell the weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}
TOOLS: Any = [{"type": "function", "function": FUNCTION}]


@pytest.fixture
def sdks(gateway, made_up):
    """Make a tenant of a model, and both SDKs for it."""
    opened: list[Any] = []

    def make(model=SMALL, **more):
        tenant = tenancy.make(made_up, mistral_model=model, **more)
        opened.append(Mistral(api_key=tenant.token, server_url=gateway.url, timeout_ms=20_000))
        opened.append(OpenAI(api_key=tenant.token, base_url=f"{gateway.url}/v1", max_retries=0))
        return tenant, opened[-2], opened[-1]

    yield make
    for client in opened:
        client.__exit__(None, None, None)


def test_tools_are_called_whole_and_streamed(sdks):
    tenant, mistral_sdk, openai_sdk = sdks()
    asked = {"model": SMALL, "messages": MESSAGES, "tools": TOOLS}
    answer = mistral_sdk.chat.complete(**asked, tool_choice="any")
    (call,) = answer.choices[0].message.tool_calls
    assert call.function.name == "weather"
    with mistral_sdk.chat.stream(**asked, tool_choice="any") as stream:
        chunks = [event.data for event in stream]
    assert any(chunk.choices[0].delta.tool_calls for chunk in chunks if chunk.choices)
    answer = openai_sdk.chat.completions.create(**asked, tool_choice="required")
    assert answer.choices[0].message.tool_calls[0].function.name == "weather"
    assert answer.choices[0].finish_reason == "tool_calls"
    told: Any = [
        *MESSAGES,
        answer.choices[0].message.model_dump(include={"role", "tool_calls"}, exclude_none=True),
        {
            "role": "tool",
            "tool_call_id": answer.choices[0].message.tool_calls[0].id,
            "content": '{"sky": "clear"}',
        },
    ]
    assert openai_sdk.chat.completions.create(model=SMALL, messages=told).choices
    events = tenant.settled(4)
    assert all(event.completion_tokens > 0 and not event.estimate for event in events)


def test_texts_and_chats_are_moderated_and_classified(sdks):
    model = "mistral-moderation-2603"
    tenant, mistral_sdk, openai_sdk = sdks(model)
    chat = [{"role": "user", "content": "the law"}]
    classifiers = mistral_sdk.classifiers
    assert classifiers.moderate(model=model, inputs=["hello"]).results
    assert classifiers.moderate_chat(model=model, inputs=chat).results[0].categories["law"]
    assert classifiers.classify(model=model, inputs=["x"]).results[0]["tone"].scores
    assert classifiers.classify_chat(model=model, input={"messages": chat}).results
    assert openai_sdk.moderations.create(model=model, input="hello").results
    events = tenant.settled(5)
    assert {event.category for event in events} == {"moderation"}
    assert all(event.prompt_tokens > 0 and event.completion_tokens == 0 for event in events)


def test_documents_are_read(sdks):
    tenant, mistral_sdk, _ = sdks("mistral-ocr-latest")
    document = {"type": "document_url", "document_url": "https://a.example/4-pages.pdf"}
    read = mistral_sdk.ocr.process(model="mistral-ocr-latest", document=document, pages=[0, 1])
    assert read.usage_info.pages_processed == len(read.pages) == 2
    assert tenant.settled()[0].pages == 2


def test_texts_are_spoken_whole_and_streamed(sdks):
    tenant, mistral_sdk, _ = sdks("voxtral-mini-tts-latest")
    asked = {"model": "voxtral-mini-tts-latest", "input": "Ciao", "response_format": "wav"}
    assert mistral_sdk.audio.speech.complete(**asked).audio_data
    with mistral_sdk.audio.speech.complete(**asked, stream=True) as events:
        assert [event.data for event in events]
    assert [event.characters for event in tenant.settled(2)] == [4, 4]


def test_code_is_completed_streamed_and_asynchronously(sdks):
    model = "codestral-latest"
    tenant, mistral_sdk, _ = sdks(model)

    async def both() -> None:
        async with mistral_sdk:  # its asynchronous half closes in the loop it was used in
            assert (await mistral_sdk.fim.complete_async(model=model, prompt="def f(")).choices
            async with await mistral_sdk.fim.stream_async(model=model, prompt="def f(") as stream:
                assert [event.data async for event in stream][-1].usage.total_tokens > 0

    with mistral_sdk.fim.stream(model=model, prompt="def f(", suffix="return") as stream:
        assert list(stream)
    asyncio.run(both())
    assert {event.endpoint for event in tenant.settled(3)} == {"/v1/fim/completions"}


def test_texts_are_embedded_asynchronously_and_in_base64(sdks):
    tenant, mistral_sdk, openai_sdk = sdks("mistral-embed")

    async def embed() -> None:
        async with mistral_sdk:
            made = await mistral_sdk.embeddings.create_async(model="mistral-embed", inputs=["one"])
            assert len(made.data) == 1

    asyncio.run(embed())
    made = openai_sdk.embeddings.create(model="mistral-embed", input=["one", "two"])
    assert [len(one.embedding) for one in made.data] == [1024, 1024]
    assert all(event.category == "embeddings" for event in tenant.settled(2))


def test_responses_are_made_whole_and_streamed(sdks):
    tenant, _, openai_sdk = sdks()
    made = openai_sdk.responses.create(model=SMALL, input="Say hello", instructions="Be kind")
    assert made.output_text
    stream = openai_sdk.responses.create(model=SMALL, input="Say hello", stream=True)
    assert list(stream)[-1].type == "response.completed"
    first, _second = tenant.settled(2)
    assert first.completion_tokens == made.usage.output_tokens


def test_files_are_kept_through_openais_sdk(sdks):
    tenant, _, openai_sdk = sdks()
    made = openai_sdk.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
    assert openai_sdk.files.retrieve(made.id).filename == "a.jsonl"
    assert openai_sdk.files.content(made.id).read() == b"{}\n"
    assert [file.id for file in openai_sdk.files.list().data] == [made.id]
    assert openai_sdk.files.delete(made.id).deleted
    assert {event.category for event in tenant.settled(5)} == {"free"}


def test_an_agent_answers_the_sdk_whole_and_streamed(gateway, mistral):
    tenant = tenancy.make(lambda **_: WELL_KNOWN["valid"], currency="USD")
    agent = WELL_KNOWN_AGENTS["claims"]
    with Mistral(api_key=tenant.token, server_url=gateway.url) as client:
        assert client.agents.complete(agent_id=agent, messages=MESSAGES).choices
        with client.agents.stream(agent_id=agent, messages=MESSAGES) as stream:
            assert [event.data for event in stream][-1].usage.total_tokens > 0
    assert {event.endpoint for event in tenant.settled(2)} == {"/v1/agents/completions"}
