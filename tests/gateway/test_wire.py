"""Hostile bytes against the real server: nothing is smuggled, and nobody holds it up."""

import asyncio
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pyreqwest.client import ClientBuilder

from tests.gateway import tenancy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import ask
from tests.keys.keyring import name_of
from tests.mistral.far_side import answering

CHATS = "/v1/chat/completions"

CHAT, MODELS = b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n", b"GET /v1/models HTTP/1.1\r\n"
SMUGGLED = MODELS + b"host: a\r\n\r\n"
AMBIGUOUS = {
    "two lengths": CHAT + b"content-length: 4\r\ncontent-length: 40\r\n\r\nabcd" + SMUGGLED,
    "a list of lengths": CHAT + b"content-length: 4, 40\r\n\r\nabcd" + SMUGGLED,
    "a signed length": CHAT + b"content-length: +4\r\n\r\nabcd" + SMUGGLED,
    "chunked twice": CHAT
    + b"transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "nearly chunked": CHAT + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "a space before the colon": CHAT + b"transfer-encoding : chunked\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "chunked in HTTP/1.0": CHAT.replace(b"1.1", b"1.0")
    + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    + SMUGGLED,
    "a folded field": MODELS + b"host: a\r\nx: a\r\n b\r\n\r\n" + SMUGGLED,
    "a bare carriage return": MODELS + b"host: a\r\nx: a\rb: c\r\n\r\n" + SMUGGLED,
    "a null byte": MODELS + b"host: a\r\nx: a\x00b\r\n\r\n" + SMUGGLED,
}


def exchange(port: int, sent: bytes, seconds: float = 5) -> list[int]:
    """Send bytes and return the status of every answer until the server closes."""
    with socket.create_connection(("127.0.0.1", port)) as wire:
        wire.settimeout(seconds)
        wire.sendall(sent)
        received = b""
        try:
            while part := wire.recv(65536):
                received += part
        except ConnectionResetError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3})", received)]


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_a_request_that_can_be_read_in_two_ways_is_refused_and_ends_the_connection(gateway, name):
    assert exchange(gateway.port, AMBIGUOUS[name]) == [400]


def test_a_length_beside_chunks_is_ignored_and_the_connection_ends_with_the_answer(
    gateway, mistral, tenant
):
    token = f"authorization: Bearer {tenant.token}\r\n".encode()
    both = b"content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"
    before = len(mistral.state.requests)
    assert exchange(gateway.port, CHAT + token + both + SMUGGLED) == [422]  # of the empty body
    assert len(mistral.state.requests) == before


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (MODELS + b"host: a\r\nx: " + b"a" * 500_000 + b"\r\n\r\n", 431),
        (MODELS + b"".join(b"x%d: a\r\n" % number for number in range(500)) + b"\r\n", 431),
        (b"GET /v1/models/" + b"a" * 70_000 + b" HTTP/1.1\r\nhost: a\r\n\r\n", 414),
    ],
)
def test_a_head_beyond_the_caps_is_refused(gateway, sent, status):
    with socket.create_connection(("127.0.0.1", gateway.port)) as wire:
        wire.settimeout(5)
        wire.sendall(sent)
        assert int(wire.recv(65536)[9:12]) == status


@pytest.mark.parametrize("target", [b"http://169.254.169.254/v1/models", b"//10.0.0.1/v1/models"])
def test_no_address_in_a_request_leads_anywhere_but_here(gateway, mistral, tenant, target):
    before = len(mistral.state.requests)
    token = f"authorization: Bearer {tenant.token}\r\n".encode()
    head = b"GET " + target + b" HTTP/1.1\r\nhost: 169.254.169.254\r\nconnection: close\r\n"
    assert exchange(gateway.port, head + token + b"\r\n")[0] in {200, 400, 404}
    assert len(mistral.state.requests) == before


def test_no_address_in_a_body_is_ever_called_from_here(scripted, made_up):
    """Mistral reads what is elsewhere; this service passes addresses on, and opens none."""
    scripted.script = answering(200, {"usage": {"prompt_tokens": 1, "total_tokens": 1}})
    with socket.create_server(("127.0.0.1", 0)) as inside:
        inside.settimeout(0.3)
        trap = f"http://127.0.0.1:{inside.getsockname()[1]}/latest/meta-data"
        link = {"type": "image_url", "image_url": trap}
        document = {"type": "document_url", "document_url": trap}
        asked: list[tuple[str, str, dict[str, Any]]] = [
            ("mistral-small-latest", CHATS, {"messages": [{"role": "user", "content": [link]}]}),
            ("mistral-small-latest", CHATS, {"messages": [], "base_url": trap, "proxy": trap}),
            ("mistral-small-latest", "/v1/conversations", {"inputs": "x", "webhook_url": trap}),
            ("mistral-ocr-latest", "/v1/ocr", {"document": document, "callback": trap}),
            ("voxtral-mini-tts-latest", "/v1/audio/speech", {"input": "x", "ref_audio": trap}),
        ]
        for model, path, body in asked:
            tenant = tenancy.make(made_up, mistral_model=model)
            before = len(scripted.far_side.requests)
            tenancy.post(scripted.url, tenant, path, body, **{"x-forwarded-host": trap})
            assert len(scripted.far_side.requests) == before + 1
            assert trap.encode() in scripted.received.body
            assert trap not in str(scripted.received.headers)
        voice = tenancy.make(made_up, mistral_model="voxtral-mini-latest")
        httpx.post(
            f"{scripted.url}/v1/audio/transcriptions",
            files={"model": (None, "voxtral-mini-latest"), "file_url": (None, trap)},
            headers=voice.headers,
            trust_env=False,
        )
        with pytest.raises(TimeoutError):
            inside.accept()


async def test_http_2_is_served_with_many_calls_on_one_connection(gateway, tenant):
    body = json.dumps({"messages": [{"role": "user", "content": "Say hello"}]}).encode()
    streamed = body[:-1] + b', "stream": true}'
    async with (
        ClientBuilder()
        .http2_prior_knowledge()
        .no_proxy()
        .default_headers({"authorization": f"Bearer {tenant.token}"})
        .timeout(timedelta(seconds=20))
        .build()
    ) as client:

        async def call(content: bytes) -> tuple[str, int, bytes]:
            request = client.post(f"{gateway.url}{CHATS}").body_bytes(content).build()
            answer = await request.send()
            return answer.version, answer.status, bytes(await answer.bytes())

        answers = await asyncio.gather(*(call(one) for one in (body, streamed) * 10))
    assert {(version, status) for version, status, _ in answers} == {("HTTP/2.0", 200)}
    assert all(b'"choices"' in content for *_, content in answers)
    assert all(content.endswith(b"data: [DONE]\n\n") for *_, content in answers[1::2])
    events = await asyncio.to_thread(tenant.settled, 20)
    assert {event.estimate for event in events} == {""}


def test_an_answer_cannot_put_headers_into_ours(scripted, tenant):
    def script(_request, connection: socket.socket) -> None:
        connection.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nset-cookie: a=b\r\n"
            b"x-ratelimit-limit-req-minute: 5\rinjected: yes\r\ncontent-length: 2\r\n\r\n{}"
        )

    scripted.script = script
    answer = ask(scripted.url, tenant)
    assert answer.status_code in {200, 502}
    assert not {"set-cookie", "injected"} & answer.headers.keys()


@pytest.fixture(scope="module")
def strict(mistral, _database):
    """A gateway of little patience and few places."""
    heads = {"GRANIAN_HTTP1_HEADER_READ_TIMEOUT": "1000"}
    with GatewayServer(
        mistral.url, variables=heads, receive=0.5, calls_of_one=3, calls=5
    ) as server:
        yield server


def test_heads_that_drip_are_given_up_and_others_are_served_meanwhile(strict, tenant):
    began = time.monotonic()
    dripping = [socket.create_connection(("127.0.0.1", strict.port)) for _ in range(50)]
    for wire in dripping:
        wire.sendall(CHAT)
    assert ask(strict.url, tenant, max_tokens=1).is_success
    for number in range(100):
        if not dripping:
            break
        time.sleep(0.1)
        dripping = [wire for wire in dripping if _takes(wire, b"x-%d: y\r\n" % number)]
    assert not dripping
    assert time.monotonic() - began < 8


def _takes(wire: socket.socket, sent: bytes) -> bool:
    """Send a little more of a head; False once the other end has hung up."""
    wire.settimeout(0)
    try:
        wire.sendall(sent)
        is_open = wire.recv(65536) != b""
    except BlockingIOError:
        return True
    except ConnectionError:
        is_open = False
    if not is_open:
        wire.close()
    return is_open


def test_a_body_that_drips_is_given_up(strict, tenant):
    head = CHAT + f"authorization: Bearer {tenant.token}\r\ncontent-length: 99\r\n\r\n".encode()
    began = time.monotonic()
    assert exchange(strict.port, head + b"{") == [408]
    assert time.monotonic() - began < 4
    assert tenant.holds() == []


def test_one_token_takes_so_many_places_and_leaves_the_others(strict, mistral, made_up):
    crowd, guest = tenancy.make(made_up), tenancy.make(made_up)
    mistral.state.change(name_of(crowd.plain), directives={"delay": 3})
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(ask, strict.url, crowd, max_tokens=1) for _ in range(6)]
        tenancy.eventually(lambda: sum(answer.done() for answer in asked) == 3)
        refused = [answer.result() for answer in asked if answer.done()]
        assert ask(strict.url, guest, max_tokens=1).is_success
        for answer in refused:
            assert (answer.status_code, answer.json()["code"]) == (429, "too_many_at_once")
            assert answer.headers["retry-after"] == "1"
        assert sorted(answer.result().status_code for answer in asked) == [200] * 3 + [429] * 3
    assert len(crowd.settled(3)) == 3
    assert ask(strict.url, crowd, max_tokens=1).is_success


@pytest.mark.parametrize(
    ("head", "body", "code"),
    [
        (CHAT + b"transfer-encoding: chunked\r\n", b"zz\r\n{}\r\n0\r\n\r\n", "broken_body"),
        (CHAT + b"transfer-encoding: chunked\r\n", b"-1\r\n{}\r\n0\r\n\r\n", "broken_body"),
        (CHAT + b"transfer-encoding: chunked\r\n", b"2\r\n{}x\r\n0\r\n\r\n", "broken_body"),
        (CHAT + b"transfer-encoding: gzip, chunked\r\n", b"0\r\n\r\n", "unsupported_encoding"),
        (CHAT + b"host: b\r\ncontent-length: 2\r\n", b"{}", "ambiguous_header"),
        (CHAT.replace(b"host: a\r\n", b"") + b"content-length: 2\r\n", b"{}", "host_missing"),
    ],
)
def test_what_the_server_lets_through_is_refused_with_400(gateway, tenant, head, body, code):
    token = f"authorization: Bearer {tenant.token}\r\nconnection: close\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", gateway.port)) as wire:
        wire.settimeout(5)
        wire.sendall(head + token + body)
        got = b""
        while part := wire.recv(65536):
            got += part
    assert got.startswith(b"HTTP/1.1 400"), got
    assert json.loads(got.partition(b"\r\n\r\n")[2])["code"] == code
    assert tenant.holds() == []
