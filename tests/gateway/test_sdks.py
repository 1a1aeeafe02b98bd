"""The official SDKs work with only the address and the token changed."""

import asyncio
from typing import Any

import pytest
from mistralai.client import Mistral
from mistralai.client import errors as mistral_errors
from openai import (
    APIStatusError,
    AsyncOpenAI,
    AuthenticationError,
    BadRequestError,
    OpenAI,
    PermissionDeniedError,
    RateLimitError,
)

from tests.gateway import tenancy

MESSAGES: Any = [{"role": "user", "content": "Say hello to the new colleague"}]


@pytest.fixture
def mistral_sdk(gateway, tenant):
    with Mistral(api_key=tenant.token, server_url=gateway.url, timeout_ms=20_000) as client:
        yield client


@pytest.fixture
def openai_sdk(gateway, tenant):
    with OpenAI(
        api_key=tenant.token, base_url=f"{gateway.url}/v1", timeout=20, max_retries=0
    ) as client:
        yield client


def test_mistralai_completes_a_chat(mistral_sdk, tenant):
    answer = mistral_sdk.chat.complete(model=tenancy.SMALL, messages=MESSAGES)
    assert answer.choices[0].message.content
    (event,) = tenant.settled()
    assert event.prompt_tokens == answer.usage.prompt_tokens
    assert event.completion_tokens == answer.usage.completion_tokens


def test_mistralai_streams_a_chat(mistral_sdk, tenant):
    with mistral_sdk.chat.stream(model=tenancy.SMALL, messages=MESSAGES) as stream:
        chunks = [event.data for event in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    (event,) = tenant.settled()
    assert event.completion_tokens == chunks[-1].usage.completion_tokens
    assert event.estimate == ""


def test_the_end_point_of_a_completion_config_serves_clients_that_add_v1_and_those_that_do_not(
    gateway, tenant
):
    end_point = f"{gateway.url}/v1"
    with Mistral(api_key=tenant.token, server_url=end_point) as client:
        assert client.chat.complete(model=tenancy.SMALL, messages=MESSAGES).choices
    with OpenAI(api_key=tenant.token, base_url=end_point, max_retries=0) as openai_client:
        answer = openai_client.chat.completions.create(model=tenancy.SMALL, messages=MESSAGES)
    assert answer.choices
    assert {event.endpoint for event in tenant.settled(2)} == {"/v1/chat/completions"}


def test_mistralai_works_asynchronously_both_ways(gateway, tenant):
    async def talk() -> None:
        async with Mistral(api_key=tenant.token, server_url=gateway.url) as client:
            answer = await client.chat.complete_async(model=tenancy.SMALL, messages=MESSAGES)
            assert answer.choices[0].message.content
            stream = await client.chat.stream_async(model=tenancy.SMALL, messages=MESSAGES)
            async with stream:
                chunks = [event.data async for event in stream]
            assert chunks[-1].usage.total_tokens > 0

    asyncio.run(talk())
    assert len(tenant.settled(2)) == 2


def test_mistralai_lists_the_one_model_and_reads_it_under_both_names(mistral_sdk, tenant):
    listed = mistral_sdk.models.list().data
    assert [card.id for card in listed] == [tenancy.SMALL]
    assert listed[0].capabilities.completion_chat
    for name in (tenancy.SMALL, tenant.model.name):
        assert mistral_sdk.models.retrieve(model_id=name).id == name
    with pytest.raises(mistral_errors.SDKError) as refused:
        mistral_sdk.models.retrieve(model_id="mistral-large-latest")
    assert refused.value.status_code == 404
    assert tenant.events() == []


def test_mistralai_embeds(gateway, made_up):
    tenant = tenancy.make(made_up, mistral_model="mistral-embed")
    with Mistral(api_key=tenant.token, server_url=gateway.url) as client:
        answer = client.embeddings.create(model="mistral-embed", inputs=["one", "two"])
    assert len(answer.data) == 2
    (event,) = tenant.settled()
    assert (event.category, event.prompt_tokens) == ("embeddings", answer.usage.prompt_tokens)
    assert event.completion_tokens == 0


def test_mistralai_completes_code_and_moderates(gateway, made_up):
    coder = tenancy.make(made_up, mistral_model="codestral-latest")
    with Mistral(api_key=coder.token, server_url=gateway.url) as client:
        assert client.fim.complete(model="codestral-latest", prompt="def f(").choices
    assert coder.settled()[0].endpoint == "/v1/fim/completions"
    judge = tenancy.make(made_up, mistral_model="mistral-moderation-2603")
    with Mistral(api_key=judge.token, server_url=gateway.url) as client:
        answer = client.classifiers.moderate(model="mistral-moderation-2603", inputs=["hello"])
    assert answer.results
    assert judge.settled()[0].category == "moderation"


def test_openai_completes_streams_and_lists(openai_sdk, tenant):
    answer = openai_sdk.chat.completions.create(model=tenancy.SMALL, messages=MESSAGES)
    assert answer.choices[0].message.content
    chunks = list(
        openai_sdk.chat.completions.create(model=tenancy.SMALL, messages=MESSAGES, stream=True)
    )
    assert chunks[-1].usage.total_tokens > 0
    assert [model.id for model in openai_sdk.models.list()] == [tenancy.SMALL]
    assert [event.estimate for event in tenant.settled(2)] == ["", ""]


def test_openai_works_asynchronously_both_ways(gateway, tenant):
    async def talk() -> None:
        async with AsyncOpenAI(
            api_key=tenant.token, base_url=f"{gateway.url}/v1", max_retries=0
        ) as client:
            answer = await client.chat.completions.create(model=tenancy.SMALL, messages=MESSAGES)
            assert answer.choices[0].message.content
            stream: Any = await client.chat.completions.create(
                model=tenancy.SMALL, messages=MESSAGES, stream=True
            )
            assert [chunk async for chunk in stream][-1].usage

    asyncio.run(talk())
    assert len(tenant.settled(2)) == 2


def test_openai_embeds(gateway, made_up):
    tenant = tenancy.make(made_up, mistral_model="mistral-embed")
    with OpenAI(api_key=tenant.token, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        answer = client.embeddings.create(
            model="mistral-embed", input=["one"], encoding_format="float"
        )
    assert answer.usage.prompt_tokens == tenant.settled()[0].prompt_tokens


def test_both_sdks_raise_what_they_always_raise(gateway, mistral_sdk, openai_sdk, tenant, mistral):
    with (
        OpenAI(api_key="nonsense", base_url=f"{gateway.url}/v1", max_retries=0) as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.models.list()
    with pytest.raises(PermissionDeniedError) as denied:
        openai_sdk.chat.completions.create(model="mistral-large-latest", messages=MESSAGES)
    assert denied.value.code == "model_not_allowed"
    with pytest.raises(mistral_errors.SDKError) as other:
        mistral_sdk.chat.complete(model="mistral-large-latest", messages=MESSAGES)
    assert other.value.status_code == 403
    with pytest.raises(mistral_errors.HTTPValidationError):
        mistral_sdk.chat.complete(model=tenancy.SMALL, messages=MESSAGES, n=100_000)
    tenant.limit("0.00")
    with pytest.raises(APIStatusError) as broke:
        openai_sdk.chat.completions.create(model=tenancy.SMALL, messages=MESSAGES)
    assert (broke.value.status_code, broke.value.response.json()["code"]) == (
        402,
        "spending_limit_reached",
    )
    tenant.limit("10.00")
    mistral.state.change(
        mistral.state.find(tenant.plain).name, behaviour={"error": "model_unknown"}
    )
    with pytest.raises(BadRequestError):
        openai_sdk.chat.completions.create(model=tenancy.SMALL, messages=MESSAGES)
    tenant.is_impatient()
    mistral.state.change(mistral.state.find(tenant.plain).name, behaviour={"error": "rate_limited"})
    with pytest.raises(RateLimitError) as busy:
        openai_sdk.chat.completions.create(model=tenancy.SMALL, messages=MESSAGES)
    assert busy.value.code == "1300"
