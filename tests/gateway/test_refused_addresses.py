"""Refusals beyond plain inference: nothing reaches Mistral that must not, and nothing is held."""

import httpx
import pytest

from tenants.common import scope
from tenants.organizations.models import Organization
from tests.gateway.tenancy import ask, eventually
from tests.mistral.far_side import answer, answering

JOBS = "/v1/batch/jobs"
OTHERS = "ft:mistral-small-2603:somebody-else:20260101:00000000"
CONVERSATIONS = "/v1/conversations"
NULL, OCR = "a\0b", "/v1/ocr"
AGENT = "/v1/agents/completions"
PART = {"type": "file", "file_id": NULL}
ASKS = {"messages": [{"role": "user", "content": "Hello"}]}
#: Ids that the database cannot even be asked for.
IMPOSSIBLE = [
    ("POST", "/v1/chat/completions", {"messages": [{"role": "user", "content": [PART]}]}),
    ("POST", AGENT, ASKS | {"agent_id": NULL}),
    ("POST", AGENT, ASKS | {"agent_id": "a" * 201}),
    ("POST", CONVERSATIONS, {"inputs": "Hello", "agent_id": NULL}),
    ("POST", JOBS, {"endpoint": OCR, "agent_id": NULL, "requests": [{"body": {}}]}),
    ("POST", JOBS, {"endpoint": OCR, "input_files": [NULL]}),
]


def send(url, tenant, method, path, body=None) -> httpx.Response:
    return httpx.request(
        method, f"{url}{path}", json=body, headers=tenant.headers, trust_env=False, timeout=30
    )


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        (("GET", f"/v1/files?q={'x' * 10_000}", None), 400, "invalid_query"),
        (("DELETE", "/v1/models/mistral-small-latest", None), 403, "model_delete_refused"),
        (("POST", f"/v1/fine_tuning/models/{OTHERS}/archive", None), 404, "model_not_found"),
        (("PATCH", f"/v1/fine_tuning/models/{OTHERS}", {"name": "ours"}), 404, "model_not_found"),
        *((asked, 404, "resource_not_found") for asked in IMPOSSIBLE),
        (
            ("POST", JOBS, {"endpoint": OCR, "requests": [{"body": {"file_id": NULL}}]}),
            422,
            "invalid_value",
        ),
        (("POST", JOBS, {"endpoint": "/v1/ocr", "input_files": "f1"}), 422, "invalid_value"),
        (("POST", JOBS, {"endpoint": "/v1/ocr", "input_files": [5]}), 422, "invalid_value"),
        (("POST", JOBS, {"endpoint": "/v1/ocr", "requests": {"a": 1}}), 422, "invalid_value"),
        (("POST", CONVERSATIONS, {"inputs": "a", "completion_args": [1]}), 422, "invalid_value"),
    ],
)
def test_what_is_refused_here_is_not_seen_by_mistral(scripted, tenant, asked, status, code):
    scripted.script = answering(200, {})
    sent = len(scripted.far_side.requests)
    refused = send(scripted.url, tenant, *asked)
    assert (refused.status_code, refused.json()["code"]) == (status, code), refused.text
    assert len(scripted.far_side.requests) == sent
    assert tenant.holds() == []


@pytest.mark.parametrize("body", ["a text", 5, {"data": {"id": "f-of-another"}}, None])
def test_a_list_that_cannot_be_read_is_not_shown(scripted, tenant, body):
    scripted.script = answering(200, body)
    refused = send(scripted.url, tenant, "GET", "/v1/files")
    assert (refused.status_code, refused.json()["code"]) == (502, "list_unreadable")
    assert "f-of-another" not in refused.text


def test_a_list_that_breaks_off_half_way_shows_nothing_of_others(scripted, tenant):
    """The first page is another's; what follows is asked for, and does not come."""

    def play(request, connection):
        known = len(scripted.far_side.requests) - begun
        rows = {"data": [{"id": "f-of-another"}], "total": 1}
        connection.sendall(answer(200, rows) if known <= 1 else answer(500, {"data": []}))

    begun, scripted.script = len(scripted.far_side.requests), play
    refused = send(scripted.url, tenant, "GET", "/v1/files")
    assert refused.status_code == 502, refused.text
    assert "f-of-another" not in refused.text


def test_pages_that_are_all_anothers_are_read_as_far_as_needed_and_shown_empty(scripted, tenant):
    def play(request, connection):
        rows = [{"id": f"f-of-another-{number}"} for number in range(1000)]
        number = len(scripted.far_side.requests) - begun
        connection.sendall(answer(200, {"data": rows if number < 4 else rows[:7], "total": 9}))

    begun, scripted.script = len(scripted.far_side.requests), play
    shown = send(scripted.url, tenant, "GET", "/v1/files")
    assert (shown.status_code, shown.json()["data"]) == (200, [])
    assert "f-of-another" not in shown.text


def test_a_month_that_is_kept_in_one_currency_takes_no_call_in_another(gateway, tenant):
    tenant.limit("5")
    assert ask(gateway.url, tenant, max_tokens=5).is_success
    [event] = tenant.settled()
    with scope.tenant(tenant.organization.id):
        Organization.objects.filter(pk=tenant.organization.pk).update(currency="USD")

    def is_refused() -> bool:
        refused = ask(gateway.url, tenant, max_tokens=5)
        return (refused.status_code, refused.json().get("code")) == (409, "currency_mismatch")

    eventually(is_refused)
    assert {one.currency for one in tenant.settled()} == {event.currency}
