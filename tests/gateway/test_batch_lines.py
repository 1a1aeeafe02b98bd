"""Lines of a batch: parsed as Mistral does it, bounded as requests are, and not smuggled past."""

import asyncio
import json
import threading
import time
from decimal import Decimal
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.common import scope
from tenants.common.models import new_id
from tenants.gateway import scanning
from tenants.gateway.scanning import COUNTED, BatchScan
from tenants.registry import resources
from tenants.registry.models import ProviderResource, ResourceKind
from tenants.registry.resources import Owner
from tests import factories
from tests.gateway import tenancy
from tests.gateway.tenancy import post
from tests.gateway.test_batches import JOBS, lines, uploaded
from tests.gateway.test_files import HEAD, TAIL
from tests.keys.keyring import checked, name_of, registered
from tests.registry.steps import create

CHAT = {"endpoint": "/v1/chat/completions"}
LINE = b'{"custom_id":"1","body":{"messages":[],"max_tokens":5}}'


def scanned(*pieces: bytes) -> dict[str, object]:
    scan = BatchScan(UUID(int=1))

    async def pass_by() -> None:
        for piece in pieces:
            scan.feed(piece)
            await scan.catch_up()
        await scan.catch_up(is_over=True)

    asyncio.run(pass_by())
    return scan.facts()


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


# ── What is a line ───────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (b"\r".join([LINE] * 50), 1, "carriage return"),
        (LINE + b"\n" + LINE + b"\r\r\n", 2, "carriage return"),
        (LINE + b"\n\n{}\n", 3, "no object with an object `body`"),
        (LINE + b"\n[]\n" + LINE, 2, "no object with an object `body`"),
        (LINE + b"\n{'body':{}}", 2, "not valid JSON"),
        (LINE + b'\n{"body":{"x":"\xff"}}', 2, "not valid JSON"),
        (LINE + b'\n{"body":{"x":NaN}}', 2, "not valid JSON"),
        (LINE + LINE, 1, "not valid JSON"),
        (b"\xef\xbb\xbf" + LINE, 1, "does not begin an object"),
        (b"%PDF-1.7\n", 1, "does not begin an object"),
        (b'{"body":{"n":1,"n":100}}', 1, "says a member twice"),
        (b'{"body":{},"body":{"n":100}}', 1, "says a member twice"),
        (b'{"body":{"n":1,"\\u006e":100}}', 1, "says a member twice"),
        (b'{"body":{"messages":[{"x":[{"a":1,"a"  :2}]}]}}', 1, "says a member twice"),
        (b'{"body":{"n":"100"}}', 1, "`n` is a whole number up to 128, as a number, not text."),
        (b'{"body":{"n":129}}', 1, "`n` is a whole number up to 128."),
        (b'{"body":{"max_tokens":1.5e0}}', 1, "`max_tokens` is a whole number"),
        (b'{"body":{"completion_args":[]}}', 1, "`completion_args` is an object"),
        (b'{"body":{"x":%b}}' % (b"[" * 5000 + b"]" * 5000), 1, "not valid JSON"),
        (b'{"body":{"x":"%b"}}' % (b"x" * 9_000_000), 1, "is longer than"),
        (b'{"body":{"x":[%b0]}}' % (b"0," * 300_000), 1, "values"),
    ],
)
def test_what_could_be_read_in_another_way_is_not_counted(content, line, why):
    for pieces in ((content,), (content[:7], content[7:])):
        facts = scanned(*pieces)
        assert COUNTED not in facts
        assert facts["line"] == line
        assert why in str(facts["fault"])


@pytest.mark.parametrize(
    "content",
    [
        LINE + b"\n" + LINE,
        LINE + b"\r\n" + LINE + b"\r\n",
        b"\n \n" + LINE + b"\n\n\t\r\n" + LINE + b"\n",
        LINE
        + b"\n"
        + LINE.replace(b"[]", b'[{"role":"user","content":"a \\"n\\": 2, \\\\\\" :"}]'),
    ],
)
def test_lines_end_with_a_line_feed_however_they_are_cut(content):
    whole = scanned(content)
    assert (whole[COUNTED], whole["lines"], whole["output_caps"]) == (True, 2, 10)
    assert scanned(*(bytes([byte]) for byte in content)) == whole


def test_a_file_that_was_not_read_to_its_end_is_not_counted():
    scan = BatchScan(UUID(int=1))
    scan.feed(LINE + b"\n")
    asyncio.run(scan.catch_up())
    assert COUNTED not in scan.facts()


BREAKS = (
    b"\n",
    b"\r\n",
    b"\r",
    b"\v",
    b"\f",
    b"\x1c",
    b"\xc2\x85",
    b"\xe2\x80\xa8",
    b" ",
    b"\t",
    b"\0",
)
PIECES = (LINE, b'{"body":{"x":"', b'"}}', b'"', b",", b"\\", b"\\n", b"{}", b"[]", b"\xff")


@given(st.lists(st.sampled_from(BREAKS + PIECES), max_size=12).map(b"".join), st.integers(0, 20))
def test_what_is_counted_has_as_many_lines_whoever_cuts_it(content, cut):
    """By line feeds, by every line break of bytes, or by every one of Unicode."""
    facts = scanned(content[:cut], content[cut:])
    if COUNTED in facts:
        for parts in (
            content.split(b"\n"),
            content.splitlines(),
            [one.encode() for one in content.decode().splitlines()],
        ):
            assert sum(map(is_request, parts)) == facts["lines"]


def is_request(line: bytes) -> bool:
    try:
        request = json.loads(line)
    except ValueError:
        return False
    return isinstance(request, dict) and "body" in request


def test_nothing_but_the_line_that_is_not_over_is_kept():
    scan = BatchScan(UUID(int=1))
    scan.feed((LINE + b"\n") * 100 + LINE[:20])
    asyncio.run(scan.catch_up())
    assert scan.kept == 20
    scan.feed(b"\n")
    asyncio.run(scan.catch_up())  # a line that does not parse
    scan.feed(b"x" * 1000)
    assert scan.kept == 0


def test_so_many_lines_are_counted_and_no_more(monkeypatch):
    monkeypatch.setattr(scanning, "MOST_LINES", 300)
    assert scanned((LINE + b"\n") * 300)["lines"] == 300
    for line in (LINE + b"\n", b"\n"):
        facts = scanned(line * 200, line * 200)
        assert COUNTED not in facts
        assert facts["line"] == 301


def test_files_that_come_at_once_are_counted_in_one_thread_that_gives_way(monkeypatch):
    threads: set[threading.Thread] = set()
    pauses: list[float] = []
    monkeypatch.setattr(scanning, "_add", lambda *_: threads.add(threading.current_thread()))
    monkeypatch.setattr(time, "sleep", pauses.append)

    async def pass_by() -> None:
        scan = scanning.BatchScan(UUID(int=1))
        scan.feed(b"{}\n" * 1000)
        await scan.catch_up()

    async def at_once() -> None:
        await asyncio.gather(*(pass_by() for _ in range(8)))

    asyncio.run(at_once())
    assert len(threads) == 1
    assert threading.main_thread() not in threads
    assert len(pauses) >= 80


def test_files_of_organizations_are_counted_in_turns(monkeypatch):
    done: list[UUID] = []
    monkeypatch.setattr(scanning.BatchScan, "_count", lambda self, _lines: done.append(self._whose))

    async def pass_by(whose: int) -> None:
        scan = scanning.BatchScan(UUID(int=whose))
        scan.feed(b"{}\n" * 1000)
        await scan.catch_up()

    async def at_once() -> None:
        begins = threading.Event()
        first = asyncio.ensure_future(scanning._turns.do(UUID(int=1), begins.wait))
        files = [asyncio.ensure_future(pass_by(whose)) for whose in (1, 1, 1, 2)]
        await asyncio.sleep(0.01)
        begins.set()
        await asyncio.gather(first, *files)

    asyncio.run(at_once())
    assert [whose.int for whose in done] in ([1, 2, 1, 1], [2, 1, 1, 1])


def test_many_lines_are_counted_beside_the_event_loop(monkeypatch):
    threads: list[threading.Thread] = []
    before = scanning._add

    def seen(*args) -> None:
        threads.append(threading.current_thread())
        before(*args)

    monkeypatch.setattr(scanning, "_add", seen)
    assert scanned((LINE + b"\n") * 2000)["lines"] == 2000
    assert threading.main_thread() not in threads
    assert scanned(LINE)["lines"] == 1
    assert threads[-1] is threading.main_thread()


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


def test_choices_multiply_the_output_of_their_own_line():
    facts = scanned(
        b'{"body":{"n":2,"max_tokens":5}}\n{"body":{"n":16,"messages":[]}}\n'
        b'{"body":{"completion_args":{"max_tokens":7}}}\n'
    )
    assert (facts["output_caps"], facts["uncapped"]) == (10, 17)
    assert (facts["turn_caps"], facts["uncapped_turns"]) == (7, 2)


def test_a_request_inside_a_job_is_refused_by_its_number(gateway, tenant):
    body = CHAT | {"requests": [json.loads(LINE), {"custom_id": "2"}]}
    refused = post(gateway.url, tenant, JOBS, body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_value")
    assert Decimal(0) == sum(hold.amount or 0 for hold in tenant.holds())
