"""Endpoints of Mistral's that nobody here knows: not there, or passed on by policy."""

import json

import pytest

from tenants.registry import services as registry
from tenants.registry.models import NewEndpoints
from tenants.registry.quotas import Policy
from tests.factories import ACTOR
from tests.gateway.tenancy import SMALL, eventually, post
from tests.mistral.far_side import answering

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
ANSWER = b'{"model":"mistral-small-2603", "verdict" : 1.50,"usage":%b}' % json.dumps(USAGE).encode()


#: Endpoints of Mistral's that keep things, or change who may do what.
KEEPING = (
    *("/v1/admin/api-keys", "/v1/admin/spend-limit", "/v1/rag/deployments", "/v1/audio/voices"),
    *("/v1/webhooks", "/v1/triggers", "/v1/context/search-indexes", "/v1/service_accounts"),
    *("/v1/threads/th-of-others/completions", "/v1/deployments/x/completions"),
    *("/v1/documents/x/ocr", "/v1/evaluations", "/v1/vector-stores/v1/rankings"),
    *("/v1/api_keys/edits", "/v1/prompts/p1/edits", "/v1/predictions", "/v1/judgements"),
    *("/v1/images/i1/edits", "/v1/images/edits/e1", "/v1/chat/chat/edits", "/v1//edits"),
    *("/v1/connectors-gateway/x/mcp", "/v1/rag/ocr", "/v1/admin/completions"),
)


@pytest.fixture
def curious(tenant):
    """A tenant whose workspace wants what is new."""
    registry.set_traffic_policy(
        actor=ACTOR,
        organization=tenant.organization,
        workspace=tenant.workspace,
        policy=Policy(new_endpoints=NewEndpoints.LEAVE),
    )
    return tenant


def test_a_question_to_an_endpoint_of_tomorrow_passes_and_is_flagged_as_unpriced(scripted, curious):
    scripted.script = answering(200, ANSWER)
    body = {"model": SMALL, "something": ["else"]}
    answer = post(scripted.url, curious, "/v1/images/generations", body)
    assert answer.content == ANSWER
    assert "x-aim-cost" not in answer.headers
    assert scripted.received.path == "/v1/images/generations"
    assert json.loads(scripted.received.body) == body
    (event,) = curious.settled()
    assert (event.endpoint, event.is_unpriced, event.cost) == ("/v1/images/generations", True, None)
    assert (event.prompt_tokens, event.completion_tokens) == (5, 2)
    curious.limit("100.00")
    received = len(scripted.far_side.requests)
    refused = post(scripted.url, curious, "/v1/images/generations", body)
    assert (refused.status_code, refused.json()["code"]) == (402, "price_unknown")
    assert len(scripted.far_side.requests) == received


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/rerank", {"something": 1}, 404),  # names no model
        ("/v1/rerank", {"model": "mistral-large-latest"}, 403),
        ("/v1/rerank", {"model": SMALL, "file_id": "f"}, 404),
        ("/v1/agents", {"model": SMALL}, 404),
        ("/v1/fine_tuning/jobs", {"model": SMALL}, 404),
        ("/v1/libraries", {"model": SMALL}, 404),
        ("/v1/judge//files", {"model": SMALL}, 404),
        ("/v1/judge%2f..%2ffiles", {"model": SMALL}, 404),
        ("/v1/Judge", {"model": SMALL}, 404),
        ("/v1/rerank/create", {"model": SMALL}, 404),
        ("/v1/frobnicate", {"model": SMALL}, 404),
        *((path, {"model": SMALL}, 404) for path in KEEPING),
    ],
)
def test_what_is_no_question_to_the_model_does_not_pass(scripted, curious, path, body, status):
    scripted.script = answering(200, ANSWER)
    received = len(scripted.far_side.requests)
    refused = post(scripted.url, curious, path, body)
    assert (refused.status_code, refused.json()["source"]) == (status, "gateway")
    assert len(scripted.far_side.requests) == received


def test_without_the_policy_nothing_new_is_there(scripted, tenant):
    scripted.script = answering(200, ANSWER)
    received = len(scripted.far_side.requests)
    refused = post(scripted.url, tenant, "/v1/rerank", {"model": SMALL})
    assert (refused.status_code, refused.json()["code"]) == (404, "not_found")
    eventually(lambda: not tenant.holds())
    assert len(scripted.far_side.requests) == received
