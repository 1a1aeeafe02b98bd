"""Lines of a batch: parsed as Mistral does it, bounded as requests are, and not smuggled past."""

import json
from decimal import Decimal

import httpx
import pytest

from tenants.common import scope
from tenants.common.models import new_id
from tenants.registry import resources
from tenants.registry.models import ProviderResource, ResourceKind
from tenants.registry.resources import Owner
from tests import factories
from tests.gateway import tenancy
from tests.gateway.tenancy import post
from tests.gateway.test_batches import JOBS, lines, uploaded
from tests.gateway.test_files import HEAD, TAIL
from tests.gateway.test_scanning import LINE
from tests.keys.keyring import checked, name_of, registered
from tests.registry.steps import create

CHAT = {"endpoint": "/v1/chat/completions"}


@pytest.fixture
def elsewhere(made_up, tenant):
    """Another organization, with a key of the same Mistral workspace."""
    organization = factories.organization()
    workspace = factories.default_workspace(organization)
    key = checked(registered(workspace, tenant.plain))
    model, token = create(workspace, organization=organization, mistral_model="mistral-ocr-latest")
    return tenancy.Tenant(organization, workspace, key, tenant.plain, model, token.reveal())


# ── Whose files ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "spelled",
    [
        '"file_id"{spaces}:{spaces}"{file}"',
        '"file_id":"\\u00{first:x}{rest}"',
        '"f\\u0069le_id":"{file}"',
        '"file_ids":["{file}"]',
        '"x":1,"file_id":"{file}","y":"\\"file_id\\": 1"',
    ],
)
def test_a_file_of_another_tenant_is_not_read_however_its_id_is_written(
    gateway, mistral, tenant, elsewhere, spelled
):
    file = uploaded(gateway.url, tenant, b"a secret", "secret.txt")
    named = spelled.format(spaces=" " * 25, file=file, first=ord(file[0]), rest=file[1:])
    line = f'{{"custom_id":"1","body":{{"document":{{"type":"file",{named}}}}}}}'
    batch = uploaded(gateway.url, elsewhere, line.encode())
    body = {"endpoint": "/v1/ocr", "input_files": [batch]}
    refused = post(gateway.url, elsewhere, JOBS, body)
    assert (refused.status_code, refused.json()["detail"]) == (404, f"File {file} not found")
    assert JOBS not in {call.path for call in mistral.state.calls(key=name_of(tenant.plain))}
    inline = {"endpoint": "/v1/ocr", "requests": [json.loads(line)]}
    assert post(gateway.url, elsewhere, JOBS, inline).status_code == 404


@pytest.mark.parametrize(
    ("extra", "status", "code"),
    [
        (
            {"tools": [{"type": "document_library", "library_ids": ["l1"]}]},
            404,
            "resource_not_found",
        ),
        ({"tools": [{"type": "connector", "connector_id": "c1"}]}, 404, "resource_not_found"),
        ({"previous_response_id": "r1"}, 404, "resource_not_found"),
        ({"conversation": {"id": "c1"}}, 404, "resource_not_found"),
        ({"prompt": {"id": "p1"}}, 404, "resource_not_found"),
        ({"tools": [{"vector_store_ids": ["v1"]}]}, 404, "resource_not_found"),
        ({"voice_id": "of-others"}, 404, "resource_not_found"),
        ({"voice_id": "voice_482"}, 200, None),
        ({"model": "mistral-large-latest"}, 403, "model_not_allowed"),
        ({"model": tenancy.SMALL}, 200, None),
        ({"model": 5}, 422, "batch_not_counted"),
        # What no database takes is told of the line; the file is there, and the caller knows it.
        *(
            (named, 422, "batch_not_counted")
            for named in (
                {"file_id": "a\0b"},
                {"agent_id": "a\0b"},
                {"model": "a\0b"},
                {"tools": [{"type": "document_library", "library_ids": ["a\0b"]}]},
            )
        ),
    ],
)
def test_lines_name_nothing_that_a_request_may_not_name(gateway, tenant, extra, status, code):
    batch = uploaded(gateway.url, tenant, lines(**extra))
    answer = post(gateway.url, tenant, JOBS, CHAT | {"input_files": [batch]})
    assert (answer.status_code, answer.json().get("code")) == (status, code)


def test_lines_use_no_agent_of_another_workspace(gateway, tenant):
    agent = {"ag_lines": {"model": tenancy.SMALL}}
    owner = Owner(tenant.organization.id, tenant.workspace.id, tenant.model.id, new_id())
    resources.keep(owner, ResourceKind.AGENT, agent)
    workspace = factories.workspace(tenant.organization)
    key = checked(registered(workspace, tenant.plain))
    _, token = create(workspace, organization=tenant.organization, name="Neighbour", key=key)
    other = tenancy.Tenant(
        tenant.organization, workspace, key, tenant.plain, tenant.model, token.reveal()
    )
    line = json.dumps({"body": {"agent_id": "ag_lines", "inputs": "Hello"}}).encode()
    batch = uploaded(gateway.url, other, line)
    body = {"endpoint": "/v1/conversations", "input_files": [batch]}
    assert post(gateway.url, other, JOBS, body).status_code == 404


# ── Past a limit ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("line", "endpoint", "code"),
    [
        ('{"inputs":"Hi","tools":[{"type"~:"web_search"}]}', "/v1/conversations", "price_unknown"),
        ('{"messages":[],"max_tokens":500,"n"~:100}', "/v1/chat/completions", None),
        ('{"metadata":{"max_tokens":1},"messages":[]}', "/v1/chat/completions", None),
        ('{"inputs":"Hi","max_tokens":1}', "/v1/conversations", None),
    ],
)
def test_spaces_and_decoys_hide_nothing_that_costs(
    gateway, mistral, tenant, *, line, endpoint, code
):
    tenant.limit("0.0005")
    content = f'{{"custom_id":"1","body":{line.replace("~", " " * 25)}}}'
    batch = uploaded(gateway.url, tenant, content.encode())
    refused = post(gateway.url, tenant, JOBS, {"endpoint": endpoint, "input_files": [batch]})
    wanted = (402, code or "spending_limit_reached")
    assert (refused.status_code, refused.json()["code"]) == wanted, refused.text
    assert JOBS not in {call.path for call in mistral.state.calls(key=name_of(tenant.plain))}


def test_a_cap_on_the_job_caps_no_line(gateway, tenant):
    """Mistral's job has no such member."""
    tenant.limit("0.05")
    row = {"body": {"messages": [{"role": "user", "content": "Hello"}]}}
    batch = uploaded(gateway.url, tenant, b"\n".join([json.dumps(row).encode()] * 200))
    body = CHAT | {"input_files": [batch], "completion_args": {"max_tokens": 0}}
    refused = post(gateway.url, tenant, JOBS, body)
    assert (refused.status_code, refused.json()["code"]) == (402, "spending_limit_reached")


@pytest.mark.parametrize("endpoint", ["/v1/ocr", "/v1/audio/transcriptions", "/v1/new/thing"])
def test_what_nothing_bounds_is_held_at_the_most_that_mistral_takes(gateway, made_up, endpoint):
    tenant = tenancy.make(made_up, mistral_model=MODELS.get(endpoint, tenancy.SMALL))
    tenant.limit("0.01")
    body = {"document": {"type": "document_url", "document_url": "https://x/"}, "file_url": "x"}
    batch = uploaded(gateway.url, tenant, json.dumps({"body": body}).encode())
    refused = post(gateway.url, tenant, JOBS, {"endpoint": endpoint, "input_files": [batch]})
    code = "spending_limit_reached" if endpoint in MODELS else "price_unknown"
    assert (refused.status_code, refused.json()["code"]) == (402, code)


MODELS = {
    "/v1/ocr": "mistral-ocr-latest",
    "/v1/audio/transcriptions": "voxtral-mini-latest",
}


def test_a_file_by_its_extended_name_alone_is_counted(gateway, tenant):
    tenant.limit("0.0005")
    body = HEAD.replace(b'filename="big.bin"', b"filename*=UTF-8''a.jsonl") + lines(60) + TAIL
    answer = httpx.post(
        f"{gateway.url}/v1/files",
        content=body,
        headers=tenant.headers | {"content-type": "multipart/form-data; boundary=b"},
        trust_env=False,
    )
    batch = answer.json()["id"]
    refused = post(gateway.url, tenant, JOBS, CHAT | {"input_files": [batch]})
    assert (refused.status_code, refused.json()["code"]) == (402, "spending_limit_reached")


@pytest.mark.parametrize(
    ("told", "is_counted"),
    [
        ("application/jsonl; charset=us-ascii", True),  # as `file --mime` says
        ("application/x-ndjson; charset=binary", True),
        ("text/plain; charset=utf-7", False),
        ("text/plain; charset=utf-8; charset=utf-7", False),
        ("text/plain; charset*=us-ascii''utf-7", False),
    ],
)
def test_lines_that_could_be_read_in_another_charset_are_no_batch(
    gateway, tenant, told, is_counted
):
    """`+ACI-` is a quotation mark in UTF-7, and text to who counts."""
    answer = httpx.post(
        f"{gateway.url}/v1/files",
        files={"file": ("a.jsonl", lines(1), told)},
        data={"purpose": "batch"},
        headers=tenant.headers,
        trust_env=False,
    )
    made = post(gateway.url, tenant, JOBS, CHAT | {"input_files": [answer.json()["id"]]})
    assert made.is_success is is_counted
    assert is_counted or made.json()["code"] == "batch_not_counted"


def test_of_several_files_in_a_form_none_is_a_batch(gateway, tenant):
    parts = {"file": ("a.jsonl", lines(1)), "other": ("b.jsonl", lines(1))}
    answer = httpx.post(
        f"{gateway.url}/v1/files",
        files=parts,
        data={"purpose": "batch"},
        headers=tenant.headers,
        trust_env=False,
    )
    body = CHAT | {"input_files": [answer.json()["id"]]}
    refused = post(gateway.url, tenant, JOBS, body)
    assert (refused.status_code, refused.json()["code"]) == (422, "batch_not_counted")


# ── Jobs of counted lines ─────────────────────────────────────────────────────────────────────────


def test_a_line_that_cannot_be_counted_is_told_by_its_number(gateway, tenant):
    batch = uploaded(gateway.url, tenant, lines(2) + b'{"body":{},"body":{}}\n')
    refused = post(gateway.url, tenant, JOBS, CHAT | {"input_files": [batch]})
    assert (refused.status_code, refused.json()["code"]) == (422, "batch_not_counted")
    assert "line 3 says a member twice" in refused.json()["message"]


def test_what_was_counted_before_lines_were_parsed_does_not_count(gateway, tenant):
    batch = uploaded(gateway.url, tenant, lines(1))
    with scope.tenant(tenant.organization.id):
        ProviderResource.objects.filter(mistral_id=batch).update(
            facts={"bytes": 9, "purpose": "batch", "lines": 1, "is_plain": True, "choices": 1}
        )
    refused = post(gateway.url, tenant, JOBS, CHAT | {"input_files": [batch]})
    assert (refused.status_code, refused.json()["code"]) == (422, "batch_not_counted")


def test_a_request_inside_a_job_is_refused_by_its_number(gateway, tenant):
    body = CHAT | {"requests": [json.loads(LINE), {"custom_id": "2"}]}
    refused = post(gateway.url, tenant, JOBS, body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_value")
    assert Decimal(0) == sum(hold.amount or 0 for hold in tenant.holds())
