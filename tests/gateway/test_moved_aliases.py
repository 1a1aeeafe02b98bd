"""An alias that moved costs what the snapshot does to which the key's own list says it leads."""

import json

import pytest

from aisuru_mistral.simulator.agents import WELL_KNOWN_AGENTS
from aisuru_mistral.simulator.keys import WELL_KNOWN
from tenants.common import scope
from tenants.keys.models import SeenModel
from tenants.spend import pricebook
from tenants.spend.pricing import Meter
from tests.gateway import tenancy
from tests.gateway.tenancy import SMALL, ask, post, question
from tests.mistral.far_side import Script, answering

AFTER, UNPRICED, BEFORE = "mistral-medium-3-5", "mistral-small-2612", "mistral-small-2603"
USED = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
SAID = {"content": "hello you"}


def lead(tenant, to, alias=SMALL):
    """Let the key's list say where an alias leads, as its next check would find it."""
    with scope.tenant(tenant.organization.id):
        assert SeenModel.objects.filter(key=tenant.key, mistral_id=alias).update(name=to)


def answer_as(scripted, model, *, is_stream=False):
    """Let Mistral answer under a name."""
    body = {"model": model, "choices": [{"message": SAID, "delta": SAID}], "usage": USED}
    script: Script = answering(200, body)
    if is_stream:
        text = f"data: {json.dumps(body)}\n\ndata: [DONE]\n\n"
        head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
        whole = f"{head}content-length: {len(text)}\r\n\r\n{text}".encode()

        def script(_request, connection):
            connection.sendall(whole)

    scripted.script = script


def cost_by(snapshot, event):
    prices = pricebook.prices_for(snapshot, "EUR", event.occurred_at).meters
    parts = ((Meter.INPUT, event.prompt_tokens), (Meter.OUTPUT, event.completion_tokens))
    ids = {prices[meter].id for meter, _ in parts}
    return sum(prices[meter].amount * count / prices[meter].per for meter, count in parts), ids


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize(
    ("told", "snapshot"), [(SMALL, AFTER), (AFTER, AFTER), (BEFORE, BEFORE), (None, AFTER)]
)
def test_a_moved_alias_is_billed_by_the_snapshot_that_answered(
    scripted, tenant, told, snapshot, is_stream
):
    lead(tenant, AFTER)
    answer_as(scripted, told, is_stream=is_stream)
    assert ask(scripted.url, tenant, stream=is_stream, max_tokens=5).is_success
    (event,) = tenant.settled()
    amount, price_ids = cost_by(snapshot, event)
    assert (event.answered_model, event.cost, event.excess) == (snapshot, amount, 0)
    assert set(event.price_ids) == price_ids
    assert event.requested_model == SMALL


def test_an_alias_that_moved_to_a_snapshot_without_a_price_is_flagged(scripted, tenant):
    lead(tenant, UNPRICED)
    answer_as(scripted, SMALL)
    assert ask(scripted.url, tenant, max_tokens=5).is_success
    (event,) = tenant.settled()
    assert (event.answered_model, event.cost, event.price_ids) == (UNPRICED, None, [])
    tenant.limit("5")
    refused = ask(scripted.url, tenant, max_tokens=5)
    assert (refused.status_code, refused.json()["type"]) == (402, "price_unknown")


def test_an_agents_alias_that_moved_is_held_and_billed_by_its_snapshot(gateway, mistral):
    tenant = tenancy.make(lambda **_: WELL_KNOWN["valid"], currency="EUR")
    alias = "mistral-medium-latest"
    lead(tenant, BEFORE, alias)
    body = {"agent_id": WELL_KNOWN_AGENTS["researcher"], **question()}
    for _ in range(2):  # the second knows by the first which model the agent has
        assert post(gateway.url, tenant, "/v1/agents/completions", body).is_success
    first, second = tenant.settled(2)
    assert second.requested_model == alias
    for event in (first, second):
        amount, price_ids = cost_by(BEFORE, event)
        assert (event.answered_model, event.cost) == (BEFORE, amount)
        assert set(event.price_ids) == price_ids
