"""Bodies that are large, slow or many: each is bounded, and leaves room for the others."""

import asyncio
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import replace

import httpx
import pytest

from tenants.gateway.bounds import Bounds
from tenants.gateway.crowd import Crowd
from tests.gateway import tenancy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import Tenant, ask, eventually, question
from tests.registry.steps import create

KILO = 1024
CHATS, VOICE = "/v1/chat/completions", "/v1/audio/transcriptions"


@pytest.fixture(scope="module")
def narrow(mistral, _database) -> Iterator[GatewayServer]:
    """A gateway with little room and little time."""
    with GatewayServer(
        mistral.url, bodies=1000 * KILO, bodies_of_one=700 * KILO, lag=1, slowest=4 * KILO
    ) as server:
        yield server


def head(tenant: Tenant, length: int, path: str = CHATS, kind: str = "application/json") -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\ncontent-type: {kind}\r\n"
        f"authorization: Bearer {tenant.token}\r\n\r\n"
    ).encode()


def begun(server: GatewayServer, tenant: Tenant, sent: int) -> socket.socket:
    """Send a part of a body, and stay."""
    wire = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    wire.sendall(head(tenant, sent + 1) + b" " * sent)
    return wire


def refusal(wire: socket.socket) -> tuple[int, str]:
    """Read the refusal that comes before a body is over."""
    got = b""
    while b"\r\n\r\n{" not in got or not got.endswith(b"}"):
        part = wire.recv(65536)
        assert part, got
        got += part
    return int(got[9:12]), json.loads(got.partition(b"\r\n\r\n")[2])["code"]


def is_kept(wire: socket.socket) -> bool:
    """Tell whether nothing has come back."""
    wire.settimeout(0.3)
    try:
        wire.recv(1)
    except TimeoutError:
        return True
    return False


def test_large_bodies_share_a_budget_of_which_everybody_has_a_part(narrow, made_up):
    greedy, second, third = (tenancy.make(made_up) for _ in range(3))
    for tenant in (greedy, second, third):
        assert ask(narrow.url, tenant, max_tokens=1).is_success
    with ExitStack() as stack:

        def send(tenant: Tenant, sent: int) -> socket.socket:
            return stack.enter_context(closing(begun(narrow, tenant, sent)))

        first = send(greedy, 400 * KILO)
        assert is_kept(first)
        assert refusal(send(greedy, 400 * KILO)) == (429, "too_many_at_once")
        another = send(second, 400 * KILO)
        assert is_kept(another)
        assert refusal(send(third, 400 * KILO)) == (503, "busy")
        # What is small has room whoever holds what.
        assert ask(narrow.url, third, max_tokens=1).is_success
        assert ask(narrow.url, greedy, max_tokens=1).is_success
    assert ask(narrow.url, third, **question("x" * 500 * KILO)).status_code != 503
    eventually(lambda: ask(narrow.url, greedy, **question("x" * 650 * KILO)).status_code != 429)


def drip(server: GatewayServer, request: bytes, body: bytes, pause: float) -> tuple[bytes, float]:
    """Send a body bit by bit, and give what came back and when."""
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(request)
        wire.settimeout(pause)
        for octet in range(0, len(body), 100):
            wire.sendall(body[octet : octet + 100])
            try:
                return wire.recv(65536), time.monotonic() - began
            except TimeoutError:
                pass
        wire.settimeout(10)
        return wire.recv(65536), time.monotonic() - began


def form(octets: bytes) -> tuple[bytes, str]:
    parts = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
    return parts + octets + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"


def test_a_body_that_never_pauses_long_and_never_ends_is_given_up(narrow, tenant):
    """Each piece comes in time; ``receive`` alone would wait for it for ever."""
    for path, body, kind in (
        (CHATS, b" " * 10_000, "application/json"),
        (VOICE, *form(b" " * 10_000)),
    ):
        got, seconds = drip(narrow, head(tenant, len(body), path, kind), body, 0.1)
        assert got[9:12] == b"408", got
        assert seconds < 5
        assert tenant.holds() == []


def test_a_slow_line_is_waited_for_as_long_as_it_is_no_slower_than_the_bound(narrow, tenant):
    body = json.dumps(question("x" * 10_000, max_tokens=1)).encode()
    got, seconds = drip(narrow, head(tenant, len(body)), body, 0.015)
    assert got[9:12] == b"200", got
    assert seconds > 1.2


@pytest.mark.parametrize(
    "spelt", [b"bearer t", b"BEARER t", b"bEaReR  t", b"Bearer t ", b"Bearer \tt", b"Bearer \xa0t"]
)
async def test_one_token_is_one_however_it_is_spelt(spelt):
    places = asyncio.Event()
    answers: list[int] = []

    async def inner(_scope, _receive, send) -> None:
        await places.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message) -> None:
        if message["type"] == "http.response.start":
            answers.append(message["status"])

    async def receive() -> dict[str, str]:
        return {"type": "http.disconnect"}

    crowd = Crowd(inner, Bounds(calls=5, calls_of_one=1))

    def call(value: bytes) -> asyncio.Task[None]:
        scope = {"headers": [(b"authorization", value)]}
        return asyncio.create_task(crowd(scope, receive, send))

    waiting = [call(b"Bearer t"), call(spelt), call(b"Bearer another")]
    await asyncio.sleep(0.01)
    assert answers == [429]
    places.set()
    await asyncio.gather(*waiting)
    assert sorted(answers) == [200, 200, 429]


def another_token(tenant: Tenant, name: str) -> str:
    _, token = create(tenant.workspace, organization=tenant.organization, name=name, key=tenant.key)
    plain: str = token.reveal()
    return plain


def test_an_organization_has_its_part_of_all_places_with_however_many_tokens(mistral, made_up):
    greedy, guest = tenancy.make(made_up), tenancy.make(made_up)
    with GatewayServer(mistral.url, calls=5, calls_of_one=2, calls_of_organization=3) as server:
        others = [replace(greedy, token=another_token(greedy, name)) for name in ("B", "C")]
        with ExitStack() as wires:
            waiting = [
                wires.enter_context(closing(begun(server, tenant, 100)))
                for tenant in (greedy, greedy, others[0])
            ]
            assert all(map(is_kept, waiting))
            with closing(begun(server, others[1], 100)) as further:
                assert refusal(further) == (429, "too_many_at_once")
            listed = httpx.get(
                f"{server.url}/v1/models", headers=others[1].headers, trust_env=False
            )
            assert (listed.status_code, listed.json()["code"]) == (429, "too_many_at_once")
            assert ask(server.url, guest, max_tokens=1).is_success
        eventually(lambda: ask(server.url, others[1], max_tokens=1).status_code == 200)


def test_long_lines_of_files_on_their_way_have_the_same_room(narrow, made_up):
    tenant = tenancy.make(made_up)
    begin = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
        b'{"body":{"x":"'
    )

    def sending(size: int, line: bytes) -> socket.socket:
        wire = socket.create_connection(("127.0.0.1", narrow.port), timeout=10)
        kind = "multipart/form-data; boundary=b"
        wire.sendall(head(tenant, 10_000_000, "/v1/files", kind) + begin)
        with suppress(ConnectionError):  # who is refused may be so before all is sent
            for _ in range(size // len(line)):
                wire.sendall(line)
        return wire

    with ExitStack() as wires:
        first = wires.enter_context(closing(sending(300 * KILO, b"x" * KILO)))
        assert is_kept(first)
        second = wires.enter_context(closing(sending(600 * KILO, b"x" * KILO)))
        assert refusal(second) == (429, "too_many_at_once")
        assert is_kept(first)

    def has_room() -> bool:
        with closing(sending(300 * KILO, b"x" * KILO)) as wire:
            return is_kept(wire)

    eventually(has_room)
