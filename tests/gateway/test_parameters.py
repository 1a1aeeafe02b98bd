"""What OpenAI's SDK sends and Mistral refuses is renamed or left out, and the answer says so."""

import json
from functools import partial
from typing import Any

import pytest
from openai import OpenAI

from tenants.common.problems import Invalid
from tenants.gateway import parameters
from tenants.gateway.endpoints import Kind
from tenants.registry import services as registry
from tenants.registry.models import ForeignParameters
from tenants.registry.quotas import Policy
from tests.factories import ACTOR
from tests.gateway import tenancy
from tests.gateway.tenancy import SMALL, post, question
from tests.mistral.far_side import answering

PATH = "/v1/chat/completions"
ANSWER = {"model": SMALL, "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}


def test_the_openai_sdk_may_say_what_it_says_to_openai(gateway, tenant):
    with OpenAI(api_key=tenant.token, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        raw = client.chat.completions.with_raw_response.create(
            model=SMALL,
            messages=[{"role": "user", "content": "Tell me everything that you know"}],
            max_completion_tokens=4,
            seed=7,
            store=False,
            user="somebody",
        )
        changed = raw.headers["x-aim-changed"]
        usage = raw.parse().usage
        assert usage is not None
        assert usage.completion_tokens <= 4
        chunks = list(
            client.chat.completions.create(
                model=SMALL,
                messages=[{"role": "user", "content": "Hello"}],
                stream=True,
                stream_options={"include_usage": True},
            )
        )
    assert chunks[-1].usage
    assert set(changed.split(", ")) == {
        "max_completion_tokens=max_tokens",
        "seed=random_seed",
        "store=dropped",
        "user=dropped",
    }


def test_the_openai_sdk_embeds_as_it_does_by_default(gateway, made_up):
    tenant = tenancy.make(made_up, mistral_model="mistral-embed")
    with OpenAI(api_key=tenant.token, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        plain = client.embeddings.create(
            model="mistral-embed", input=["one"], encoding_format="float"
        )
        packed = client.embeddings.create(model="mistral-embed", input=["one"], user="me")
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, abs=1e-6)


def test_the_openai_sdk_may_send_back_what_it_was_given(gateway, tenant):
    with OpenAI(api_key=tenant.token, base_url=f"{gateway.url}/v1", max_retries=0) as client:
        messages: list[Any] = [
            {"role": "developer", "content": "Be brief"},
            {"role": "user", "content": "Hello"},
        ]
        ask = partial(client.chat.completions.with_raw_response.create, model=SMALL)
        said = ask(messages=messages).parse().choices[0].message
        messages += [said.model_dump(), {"role": "user", "content": "And now?"}]
        raw = ask(messages=messages, logprobs=False, top_logprobs=None, logit_bias={})
    assert raw.parse().choices
    assert raw.headers["x-aim-changed"].split(", ") == [
        *("logit_bias=dropped", "logprobs=dropped", "top_logprobs=dropped"),
        *("messages.annotations=dropped", "messages.audio=dropped"),
        *("messages.function_call=dropped", "messages.refusal=dropped"),
        "messages.role=system",
    ]


def test_an_embedding_has_as_many_dimensions_as_are_asked_for(scripted, made_up):
    tenant = tenancy.make(made_up, mistral_model="codestral-embed")
    scripted.script = answering(200, {"data": [], "usage": {"prompt_tokens": 1}})
    answer = post(scripted.url, tenant, "/v1/embeddings", {"input": ["one"], "dimensions": 256})
    assert answer.headers["x-aim-changed"] == "dimensions=output_dimension"
    assert json.loads(scripted.received.body)["output_dimension"] == 256


@pytest.mark.parametrize(
    "more",
    [
        {"logit_bias": {"5": 1}},
        {"modalities": ["text", "audio"]},
        {"messages": [{"role": "assistant", "content": "x", "refusal": "No."}]},
        {"messages": [{"role": "user", "content": "x", "refusal": None}]},
    ],
)
def test_what_asks_for_something_is_not_left_out(more):
    document = question() | more
    assert parameters.adapt(Kind.CHAT, document, ForeignParameters.ADAPT) == ()
    assert document == question() | more


def test_what_is_refused_is_named_by_its_place():
    document = question() | {"logprobs": None, "seed": 1}
    document["messages"].append({"role": "developer", "content": "Be brief"})
    with pytest.raises(Invalid) as refused:
        parameters.adapt(Kind.CHAT, document, ForeignParameters.REFUSE)
    places = [error.pointer for error in refused.value.errors]
    assert places == ["/logprobs", "/seed", "/messages/1/role"]


def test_a_refusal_does_not_grow_with_the_messages():
    document = {"messages": [{"role": "developer", "content": "x"}] * 100_000}
    with pytest.raises(Invalid) as refused:
        parameters.adapt(Kind.CHAT, document, ForeignParameters.REFUSE)
    assert len(refused.value.errors) == 20
    assert len(refused.value.detail) < 1000


@pytest.mark.parametrize("messages", [None, 5, "x", {}, [], [None, 5, [], {"role": []}, {}]])
def test_odd_messages_are_left_to_mistral(messages):
    document = {"messages": messages}
    assert parameters.adapt(Kind.CHAT, document, ForeignParameters.ADAPT) == ()
    assert document == {"messages": messages}


def test_a_cap_by_its_other_name_bounds_what_is_held(scripted, tenant):
    scripted.script = answering(200, ANSWER)
    tenant.limit("0.001")
    body = question(max_completion_tokens=10)
    assert post(scripted.url, tenant, PATH, body).is_success
    assert json.loads(scripted.received.body) == {**question(), "max_tokens": 10, "model": SMALL}
    both = question(max_completion_tokens=100_000, max_tokens=5)
    answer = post(scripted.url, tenant, PATH, both)
    assert answer.headers["x-aim-changed"] == "max_completion_tokens=dropped"
    assert json.loads(scripted.received.body)["max_tokens"] == 5


def test_they_can_be_refused_or_let_through(scripted, tenant):
    scripted.script = answering(200, ANSWER)
    sent = len(scripted.far_side.requests)
    body = question(store=True, user="me")
    refused = post(scripted.url, tenant, PATH, body, **{"x-aim-parameters": "refuse"})
    assert (refused.status_code, refused.json()["code"]) == (422, "unsupported_parameter")
    assert len(scripted.far_side.requests) == sent
    passed = post(scripted.url, tenant, PATH, body, **{"x-aim-parameters": "pass"})
    assert "x-aim-changed" not in passed.headers
    assert json.loads(scripted.received.body) == {**body, "model": SMALL}
    odd = post(scripted.url, tenant, PATH, body, **{"x-aim-parameters": "maybe"})
    assert odd.status_code == 400


def test_a_workspace_chooses_the_rule_and_a_request_its_exception(scripted, tenant):
    scripted.script = answering(200, ANSWER)
    registry.set_traffic_policy(
        actor=ACTOR,
        organization=tenant.organization,
        workspace=tenant.workspace,
        policy=Policy(parameters=ForeignParameters.REFUSE),
    )
    body = question(store=True)
    refused = post(scripted.url, tenant, PATH, body)
    assert (refused.status_code, refused.json()["code"]) == (422, "unsupported_parameter")
    adapted = post(scripted.url, tenant, PATH, body, **{"x-aim-parameters": "adapt"})
    assert adapted.headers["x-aim-changed"] == "store=dropped"


def test_what_would_change_the_answer_is_mistrals_to_refuse(gateway, tenant):
    answer = post(gateway.url, tenant, PATH, question(logprobs=True))
    assert (answer.status_code, answer.json()["source"]) == (422, "provider")
    assert "x-aim-changed" not in answer.headers
