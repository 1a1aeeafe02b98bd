"""The key never goes back to the caller, wherever an answer quotes it and however it is cut."""

import json
import socket
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenants.common.secrets import Secret
from tenants.gateway.veil import Veil
from tests.gateway.tenancy import ask, question
from tests.mistral.far_side import answering

KEY = "KaKbKaKcVfPq9sWm2hBt6xRj4yNd8gLz"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@pytest.mark.parametrize("cut", [1, 2, 12, 16, 31])
def test_a_key_that_a_stream_quotes_is_masked_where_two_chunks_meet(scripted, tenant, cut):
    event = json.dumps({"choices": [{"delta": {"content": f"key {tenant.plain}."}}]}).encode()
    at = event.index(tenant.plain.encode()) + cut

    def script(_request, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(HEAD + b"data: " + event[:at])
        time.sleep(0.2)
        connection.sendall(event[at:] + b"\n\ndata: [DONE]\n\n")
        connection.close()

    scripted.script = script
    answer = ask(scripted.url, tenant, stream=True)
    assert tenant.plain not in answer.text
    assert "key ****." in answer.text
    assert answer.text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", [200, 400])
def test_a_key_that_a_header_quotes_is_masked(scripted, tenant, status, stream):
    quoting = {
        "x-ratelimit-echo": f"key {tenant.plain}",
        "content-disposition": f'attachment; filename="{tenant.plain}.pdf"',
        f"x-ratelimit-{tenant.plain}": "5",
        "mistral-correlation-id": tenant.plain,
        "x-ratelimit-limit-req-minute": "5",
    }
    scripted.script = answering(status, {"usage": {}}, quoting)
    answer = ask(scripted.url, tenant, stream=stream)
    assert answer.status_code == status
    assert tenant.plain.lower() not in str(answer.headers).lower()
    assert answer.headers["x-ratelimit-echo"] == "key ****"
    assert answer.headers["x-ratelimit-limit-req-minute"] == "5"
    assert {event.correlation_id for event in tenant.settled()} == {"****"}


def test_what_is_not_how_a_key_begins_goes_on_at_once(scripted, tenant):
    """Half an event is on its way to the caller before the other half is there."""
    seen: list[float] = []

    def script(_request, connection: socket.socket) -> None:
        connection.sendall(HEAD + b'data: {"choices": [{"')  # with which no key begins
        time.sleep(1)
        seen.append(time.monotonic())
        connection.sendall(b'delta": {}}]}\n\n')
        connection.close()

    scripted.script = script
    body = json.dumps(question(stream=True)).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n"
    with socket.create_connection(("127.0.0.1", scripted.gateway.port), timeout=10) as caller:
        caller.sendall(f"{head}authorization: Bearer {tenant.token}\r\n\r\n".encode() + body)
        got = b""
        while b'[{"' not in got:
            got += caller.recv(65536)
    assert not seen


@given(
    st.lists(st.sampled_from([KEY, KEY[:5], KEY[:31], KEY[3:], "Ka", "K", "x", "\n\n"])), st.data()
)
def test_a_stream_loses_its_keys_and_nothing_else(parts, data):
    text = "".join(parts).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8)))
    veil = Veil(Secret(KEY))
    shown = b""
    for start, stop in zip([0, *cuts], [*cuts, len(text)], strict=True):
        shown += veil.piece(text[start:stop])
        assert len(text[:stop]) - len(shown) < len(KEY) or b"****" in shown
    shown += veil.rest()
    assert KEY.encode() not in shown
    if KEY.encode() not in text:
        assert shown == text


@pytest.mark.parametrize("stream", [False, True])
def test_a_header_that_is_not_ascii_takes_nothing_away(scripted, tenant, stream):
    odd = {"x-other": "perché", "x-ratelimit-limit-req-minute": "5"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    scripted.script = answering(200, {"model": "mistral-small-2603", "usage": usage}, odd)
    answer = ask(scripted.url, tenant, stream=stream)
    assert (answer.status_code, answer.json()["usage"]) == (200, usage)
    assert answer.headers["x-ratelimit-limit-req-minute"] == "5"
    (event,) = tenant.settled()
    assert (event.estimate, event.completion_tokens) == ("", 2)


def test_a_header_that_is_not_ascii_passes_byte_for_byte(scripted, tenant):
    name = 'attachment; filename="perché.pdf"'
    scripted.script = answering(200, {"usage": {}}, {"content-disposition": name})
    answer = ask(scripted.url, tenant, stream=True)
    raw = dict(answer.headers.raw)
    assert raw[b"content-disposition"] == name.encode()
