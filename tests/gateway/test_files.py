"""Files at Mistral: handed on as they come, and shown to the workspace that made them only."""

import socket
import threading

import httpx
import pytest
from mistralai.client import Mistral

from tests import factories
from tests.gateway import tenancy
from tests.gateway.differential import Pair, plain
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import eventually
from tests.keys.keyring import checked, name_of, registered
from tests.mistral.far_side import answering
from tests.registry.steps import create

LINES = b'{"custom_id": "1", "body": {"messages": [], "max_tokens": 5}}\n' * 3

HEAD = b'--b\r\ncontent-disposition: form-data; name="file"; filename="big.bin"\r\n\r\n'
TAIL = b"\r\n--b--\r\n"


def upload(url, token, content=LINES, name="lines.jsonl", **fields) -> httpx.Response:
    return httpx.post(
        f"{url}/v1/files",
        files={"file": (name, content)},
        data={"purpose": "batch", **fields},
        headers={"authorization": f"Bearer {token}"},
        trust_env=False,
        timeout=30,
    )


def ask(url, token, path, method="GET", **more) -> httpx.Response:
    headers = {"authorization": f"Bearer {token}"}
    return httpx.request(
        method, f"{url}{path}", headers=headers, trust_env=False, timeout=30, **more
    )


@pytest.fixture
def neighbour(tenant, mistral):
    """Another workspace of the same organization, whose key sees the same Mistral workspace."""
    workspace = factories.workspace(tenant.organization)
    key = checked(registered(workspace, tenant.plain))
    _, token = create(workspace, organization=tenant.organization, name="Neighbour", key=key)
    return token.reveal()


def test_the_sdk_does_with_files_what_it_does_with_mistral(gateway, tenant):
    with Mistral(api_key=tenant.token, server_url=gateway.url) as client:
        made = client.files.upload(
            file={"file_name": "lines.jsonl", "content": LINES}, purpose="batch"
        )
        assert client.files.retrieve(file_id=made.id).filename == "lines.jsonl"
        assert [file.id for file in client.files.list().data] == [made.id]
        assert client.files.download(file_id=made.id).read() == LINES
        link = client.files.get_signed_url(file_id=made.id).url
        assert httpx.get(link, trust_env=False).content == LINES
        assert client.files.delete(file_id=made.id).deleted
        assert client.files.list().data == []
    events = tenant.settled(7)
    assert {event.cost for event in events} == {0}
    assert {event.endpoint for event in events} >= {"/v1/files", "/v1/files/{id}/content"}
    assert {(event.category, event.requests) for event in events} == {("free", 1)}


def test_files_have_mistrals_bytes_both_ways(gateway, mistral, made_up):
    both = Pair(gateway, mistral, made_up, tenancy.SMALL)
    content = bytes(range(256)) * 30_000 + b"\r\n--not the boundary\r\n"
    files = {"file": ("odd name è.bin", content, "application/x-odd")}
    through, direct = both.send("/v1/files", files=files, data={"purpose": "ocr"})
    assert through.status_code == direct.status_code == 200
    assert plain(through.content) == plain(direct.content)
    identifier = through.json()["id"]
    got = ask(gateway.url, both.tenant.token, f"/v1/files/{identifier}/content")
    assert got.content == content
    assert int(got.headers["content-length"]) == len(content)


def test_another_workspace_behind_the_same_mistral_workspace_sees_nothing(
    gateway, tenant, neighbour, mistral
):
    identifier = upload(gateway.url, tenant.token).json()["id"]
    own = upload(gateway.url, neighbour).json()["id"]
    there = len(mistral.state.calls(key=name_of(tenant.plain)))
    for method, path in (
        ("GET", f"/v1/files/{identifier}"),
        ("GET", f"/v1/files/{identifier}/content"),
        ("GET", f"/v1/files/{identifier}/url"),
        ("DELETE", f"/v1/files/{identifier}"),
    ):
        theirs = ask(gateway.url, neighbour, path, method)
        nobodys = ask(gateway.url, neighbour, path.replace(identifier, "0" * 36), method)
        assert theirs.status_code == nobodys.status_code == 404
        same = theirs.text.replace(identifier, "0" * 36)
        assert _unnumbered(same) == _unnumbered(nobodys.text)
        assert theirs.json()["detail"] == f"File {identifier} not found"
    assert len(mistral.state.calls(key=name_of(tenant.plain))) == there
    listed = ask(gateway.url, neighbour, "/v1/files").json()
    assert ([file["id"] for file in listed["data"]], listed["total"]) == ([own], 1)
    assert ask(gateway.url, tenant.token, f"/v1/files/{identifier}").is_success


def _unnumbered(text: str) -> str:
    return text.partition('"request_id"')[0]


def test_what_the_key_sees_and_the_gateway_did_not_make_is_not_there(gateway, tenant, mistral):
    foreign = ask(
        mistral.url, tenant.plain, "/v1/files", "POST", files={"file": ("a.txt", b"x")}
    ).json()["id"]
    assert ask(gateway.url, tenant.token, f"/v1/files/{foreign}").status_code == 404
    for path, body in (
        ("/v1/ocr", {"document": {"type": "file", "file_id": foreign}}),
        (
            "/v1/chat/completions",
            {"messages": [{"role": "user", "content": [{"type": "file", "file_id": foreign}]}]},
        ),
        (
            "/v1/chat/completions",
            {"messages": [], "tools": [{"type": "document_library", "library_ids": ["l1"]}]},
        ),
        (
            "/v1/chat/completions",
            {"messages": [], "tools": [{"type": "connector", "connector_id": "of-others"}]},
        ),
        (
            "/v1/conversations",
            {"inputs": "x", "tools": [{"type": "connector", "connector_id": "of-others"}]},
        ),
        ("/v1/responses", {"input": "x", "previous_response_id": "resp_1"}),
        ("/v1/responses", {"input": "x", "conversation": "conv_1"}),
        ("/v1/responses", {"input": "x", "conversation": {"id": "conv_1"}}),
        ("/v1/responses", {"input": "x", "prompt": {"id": "pmpt_1"}}),
        (
            "/v1/responses",
            {"input": "x", "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
        ),
        ("/v1/audio/speech", {"input": "x", "voice_id": "of-others"}),
    ):
        refused = tenancy.post(gateway.url, tenant, path, body)
        assert (refused.status_code, refused.json()["code"]) == (404, "resource_not_found"), path
    assert tenant.events() == []


def test_a_hidden_name_does_not_smuggle_a_file(scripted, tenant):
    scripted.script = answering(200, {"choices": []})
    body = b'{"messages":[{"role":"user","content":[{"type":"file","fil\\u0065_id":"f1"}]}]}'
    sent = len(scripted.far_side.requests)
    refused = ask(scripted.url, tenant.token, "/v1/chat/completions", "POST", content=body)
    assert refused.status_code == 404
    assert len(scripted.far_side.requests) == sent


def test_pages_of_a_list_hold_the_workspaces_things_only(gateway, tenant, neighbour):
    own = []
    for number in range(6):
        upload(gateway.url, neighbour, name=f"{number}.jsonl")
        own.append(upload(gateway.url, tenant.token, name=f"{number}.jsonl").json()["id"])
    own.reverse()
    first = ask(gateway.url, tenant.token, "/v1/files?page=0&page_size=4").json()
    second = ask(gateway.url, tenant.token, "/v1/files?page=1&page_size=4").json()
    assert [file["id"] for file in first["data"]] == own[:4]
    assert [file["id"] for file in second["data"]] == own[4:]
    assert (first["total"], second["total"]) == (6, 6)
    found = ask(gateway.url, tenant.token, "/v1/files?search=3.jsonl").json()
    assert [file["filename"] for file in found["data"]] == ["3.jsonl"]


def test_an_upload_arrives_at_mistral_while_it_is_still_being_sent(tenant):
    """And is held nowhere in between."""
    arrived: list[int] = []
    half = threading.Event()
    total = 24 * 1024 * 1024

    size = {"seen": 0}

    def body():
        yield HEAD
        for at in range(0, total, 65536):
            if at >= total // 2 and not half.is_set():
                half.set()
                eventually(lambda: size["seen"] > total // 4)
                arrived.append(size["seen"])
            yield b"x" * 65536
        yield TAIL

    with socket.create_server(("127.0.0.1", 0)) as server:

        def far() -> None:
            connection, _ = server.accept()
            with connection:
                connection.settimeout(20)
                got = b""
                while b"\r\n\r\n" not in got:
                    got += connection.recv(65536)
                head, _, rest = got.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                size["seen"] = len(rest)
                while size["seen"] < length:
                    size["seen"] += len(connection.recv(1024 * 1024))
                reply = b'{"id":"file-1","object":"file"}'
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(reply), reply)
                )

        threading.Thread(target=far, daemon=True).start()
        with GatewayServer(f"http://127.0.0.1:{server.getsockname()[1]}") as own:
            answer = httpx.post(
                f"{own.url}/v1/files",
                content=body(),
                headers=tenant.headers
                | {
                    "content-type": "multipart/form-data; boundary=b",
                    "content-length": str(len(HEAD) + total + len(TAIL)),
                },
                trust_env=False,
                timeout=60,
            )
    assert answer.json()["id"] == "file-1"
    assert arrived[0] > total // 4


PURPOSE = b'--b\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n%b\r\n'
FILE = b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--b--'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b\r\n",
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nx',
        b"preamble\r\n--b--",
        b"--b\r\ncontent-disposition: form-data; name=file x\r\n\r\nx\r\n--b--",
        b'--b\ncontent-disposition: form-data; name="f"\n\nx\n--b--',
        b"--b--\r\nmore",
        PURPOSE % b"fine\0tune" + FILE,
        FILE[: -len(b"--b--")] + PURPOSE % b"\0" + b"--b--",
    ],
)
def test_what_is_no_plain_form_does_not_reach_mistral(gateway, mistral, tenant, body):
    before = len(mistral.state.calls(key=name_of(tenant.plain)))
    refused = httpx.post(
        f"{gateway.url}/v1/files",
        content=body,
        headers=tenant.headers | {"content-type": "multipart/form-data; boundary=b"},
        trust_env=False,
    )
    assert (refused.status_code, refused.json()["code"]) == (400, "invalid_form")
    assert [call.status for call in mistral.state.calls(key=name_of(tenant.plain))[before:]] == []


def test_a_json_body_is_no_form(gateway, tenant):
    refused = tenancy.post(gateway.url, tenant, "/v1/files", {"file": "x"})
    assert (refused.status_code, refused.json()["code"]) == (415, "not_a_form")
