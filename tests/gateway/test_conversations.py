"""Conversations and agents: Mistral's bytes and bill, inside the workspace that began them."""

from decimal import Decimal

import httpx
import pytest
from mistralai.client import Mistral

from aisuru_mistral.simulator.agents import WELL_KNOWN_AGENTS
from aisuru_mistral.simulator.keys import WELL_KNOWN
from tenants.registry import catalog
from tests import factories
from tests.gateway import tenancy
from tests.gateway.differential import Pair, events_of, plain
from tests.gateway.tenancy import SMALL, post
from tests.keys.keyring import checked, registered
from tests.registry.steps import create

CLAIMS, RESEARCHER = WELL_KNOWN_AGENTS["claims"], WELL_KNOWN_AGENTS["researcher"]


@pytest.fixture
def agents_tenant(mistral, made_up):
    """A tenant whose key belongs to the Mistral workspace that has agents."""
    return tenancy.make(lambda **_: WELL_KNOWN["valid"], currency="USD")


def ask(url, token, path, method="GET") -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.request(method, f"{url}{path}", headers=headers, trust_env=False, timeout=30)


def test_the_sdk_holds_a_conversation(gateway, tenant):
    with Mistral(api_key=tenant.token, server_url=gateway.url) as client:
        talks = client.beta.conversations
        first = talks.start(model=SMALL, inputs="Hello, who are you?")
        second = talks.append(conversation_id=first.conversation_id, inputs="And you?")
        assert second.conversation_id == first.conversation_id
        entries = talks.get_history(conversation_id=first.conversation_id).entries
        assert len(entries) == 4
        assert len(talks.get_messages(conversation_id=first.conversation_id).messages) == 4
        assert talks.get(conversation_id=first.conversation_id).id == first.conversation_id
        third = talks.restart(
            conversation_id=first.conversation_id, from_entry_id=entries[1].id, inputs="No, really"
        )
        assert third.conversation_id != first.conversation_id
        listed = {talk.id for talk in talks.list()}
        assert listed == {first.conversation_id, third.conversation_id}
        talks.delete(conversation_id=third.conversation_id)
        assert {talk.id for talk in talks.list()} == {first.conversation_id}
    events = tenant.settled(9)
    turns = [event for event in events if event.cost]
    assert [event.endpoint for event in turns] == [
        "/v1/conversations",
        "/v1/conversations/{id}",
        "/v1/conversations/{id}/restart",
    ]
    assert {event.category for event in turns} == {"completion"}
    assert {event.category for event in events if not event.cost} == {"free"}
    assert {event.estimate for event in events} == {""}


def test_the_sdk_streams_a_conversation_whose_id_is_known_at_once(gateway, tenant):
    with Mistral(api_key=tenant.token, server_url=gateway.url) as client:
        with client.beta.conversations.start_stream(model=SMALL, inputs="Hello") as stream:
            events = list(stream)
        identifier = events[0].data.conversation_id
        with client.beta.conversations.append_stream(
            conversation_id=identifier, inputs="More"
        ) as stream:
            more = list(stream)
    assert events[-1].event == more[-1].event == "conversation.response.done"
    first, second = tenant.settled(2)
    assert first.completion_tokens == events[-1].data.usage.completion_tokens
    assert second.prompt_tokens == more[-1].data.usage.prompt_tokens
    assert second.answered_model


@pytest.mark.parametrize("stream", [False, True])
def test_a_turn_has_mistrals_bytes_and_costs_mistrals_bill(gateway, mistral, made_up, stream):
    both = Pair(gateway, mistral, made_up, SMALL)
    body = {
        "inputs": "Please use web search twice",
        "tools": [{"type": "web_search"}],
        "stream": stream,
    }
    both.same("/v1/conversations", json={"model": SMALL, **body})
    both.billed(2)
    turn, connectors = sorted(both.tenant.events(), key=lambda event: event.category)
    assert (turn.category, turn.requests, turn.estimate) == ("completion", 1, "")
    assert (connectors.category, connectors.connector_calls) == ("connectors", 1)
    assert (connectors.requests, connectors.cost) == (0, None)


def test_connectors_have_no_known_price_and_so_are_refused_under_a_limit(gateway, tenant):
    tenant.limit("50.00")
    body = {"model": SMALL, "inputs": "Hello", "tools": [{"type": "web_search"}]}
    refused = post(gateway.url, tenant, "/v1/conversations", body)
    assert (refused.status_code, refused.json()["code"]) == (402, "price_unknown")
    body["tools"] = []
    assert post(gateway.url, tenant, "/v1/conversations", body).is_success
    assert len(tenant.settled()) == 1


def test_conversations_of_another_workspace_are_not_there(gateway, tenant):
    workspace = factories.workspace(tenant.organization)
    key = checked(registered(workspace, tenant.plain))
    _, token = create(workspace, organization=tenant.organization, name="Neighbour", key=key)
    identifier = post(
        gateway.url, tenant, "/v1/conversations", {"model": SMALL, "inputs": "Hello"}
    ).json()["conversation_id"]
    for method, tail in (
        ("GET", ""),
        ("POST", ""),
        ("DELETE", ""),
        ("GET", "/history"),
        ("GET", "/messages"),
        ("POST", "/restart"),
    ):
        path = f"/v1/conversations/{identifier}{tail}"
        assert ask(gateway.url, token.reveal(), path, method).status_code == 404
    assert ask(gateway.url, token.reveal(), "/v1/conversations").json() == []
    assert ask(gateway.url, tenant.token, f"/v1/conversations/{identifier}").is_success


def test_a_conversation_goes_on_with_tokens_of_its_own_model_only(gateway, tenant):
    _, other = create(
        tenant.workspace,
        organization=tenant.organization,
        name="Large",
        mistral_model="mistral-large-latest",
    )
    body = {"model": SMALL, "inputs": "Hello"}
    made = post(gateway.url, tenant, "/v1/conversations", body).json()["conversation_id"]
    refused = httpx.post(
        f"{gateway.url}/v1/conversations/{made}",
        json={"inputs": "More"},
        headers={"authorization": f"Bearer {other.reveal()}"},
        trust_env=False,
    )
    assert (refused.status_code, refused.json()["code"]) == (403, "model_not_allowed")


def test_what_is_not_stored_is_not_kept(gateway, tenant):
    body = {"model": SMALL, "inputs": "Hello", "store": False}
    made = post(gateway.url, tenant, "/v1/conversations", body).json()["conversation_id"]
    assert ask(gateway.url, tenant.token, f"/v1/conversations/{made}").status_code == 404


def test_a_models_defaults_reach_a_conversation(gateway, made_up):
    tenant = tenancy.make(made_up, defaults={"max_tokens": 3})
    body = {"model": SMALL, "inputs": "Tell me everything"}
    answer = post(gateway.url, tenant, "/v1/conversations", body).json()
    assert answer["usage"]["completion_tokens"] <= 3
    assert tenant.settled()[0].excess == 0


def test_an_agent_answers_and_is_billed_as_its_own_model(gateway, mistral, agents_tenant):
    tenant = agents_tenant
    before = mistral.state.ledger.total(key="valid")
    body = {"agent_id": RESEARCHER, "messages": [{"role": "user", "content": "Hello"}]}
    answer = post(gateway.url, tenant, "/v1/agents/completions", body)
    assert answer.is_success, answer.text
    stream = post(gateway.url, tenant, "/v1/agents/completions", {**body, "stream": True})
    assert events_of(stream.content)[-1]["usage"]
    first, second = tenant.settled(2)
    after = mistral.state.ledger.total(key="valid")
    cost = (after.usd - before.usd).quantize(Decimal("1e-9"))
    assert first.cost + second.cost == cost
    assert "medium" in first.mistral_model
    # What is asked was learned by the first answer.
    assert catalog.canonical(second.requested_model) == first.answered_model


@pytest.mark.parametrize("stream", [False, True])
def test_an_agent_has_mistrals_bytes(gateway, mistral, agents_tenant, stream):
    body = {"agent_id": CLAIMS, "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    through = post(gateway.url, agents_tenant, "/v1/agents/completions", body)
    direct = httpx.post(
        f"{mistral.url}/v1/agents/completions",
        json=body,
        headers={"authorization": f"Bearer {agents_tenant.plain}"},
        trust_env=False,
    )
    assert through.status_code == direct.status_code == 200
    assert through.headers["content-type"] == direct.headers["content-type"]
    assert plain(through.content) == plain(direct.content)


def test_an_agent_belongs_to_the_workspace_that_used_it_first(gateway, agents_tenant):
    tenant = agents_tenant
    workspace = factories.workspace(tenant.organization)
    key = checked(registered(workspace, tenant.plain))
    _, token = create(workspace, organization=tenant.organization, name="Other", key=key)
    body = {"agent_id": CLAIMS, "messages": [{"role": "user", "content": "Hello"}]}
    assert post(gateway.url, tenant, "/v1/agents/completions", body).is_success
    refused = httpx.post(
        f"{gateway.url}/v1/agents/completions",
        json=body,
        headers={"authorization": f"Bearer {token.reveal()}"},
        trust_env=False,
    )
    assert (refused.status_code, refused.json()["detail"]) == (404, f"Agent {CLAIMS} not found")


def test_a_conversation_with_an_agent_costs_the_agents_model(gateway, mistral, agents_tenant):
    tenant = agents_tenant
    before = mistral.state.ledger.total(key="valid")
    with Mistral(api_key=tenant.token, server_url=gateway.url) as client:
        made = client.beta.conversations.start(agent_id=CLAIMS, inputs="Hello")
        with client.beta.conversations.append_stream(
            conversation_id=made.conversation_id, inputs="More"
        ) as stream:
            assert list(stream)
    after = mistral.state.ledger.total(key="valid")
    cost = (after.usd - before.usd).quantize(Decimal("1e-9"))
    assert sum(event.cost for event in tenant.settled(2)) == cost
