"""However a stream ends, it is settled once: by its usage where that can be had, else estimated."""

import json
import socket
import threading
import time
from contextlib import suppress
from decimal import Decimal

import httpx
import pytest

from tenants.registry import services as registry
from tenants.registry.models import OnDisconnect
from tenants.registry.quotas import Policy
from tenants.spend import services as spend
from tenants.spend.policies import Policy as SpendPolicy
from tests.factories import ACTOR
from tests.gateway import tenancy
from tests.gateway.tenancy import SMALL, ask, question
from tests.keys.keyring import name_of
from tests.mistral.far_side import reset

HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
USAGE = {"prompt_tokens": 40, "completion_tokens": 30, "total_tokens": 70}


def event(text: str = "", **more) -> bytes:
    document = {"model": SMALL, "choices": [{"delta": {"content": text}}], **more}
    data = b"data: " + json.dumps(document).encode() + b"\n\n"
    return b"%x\r\n%b\r\n" % (len(data), data)


def request(tenant, port: int, **more) -> socket.socket:
    """Ask for a stream on a bare socket, which can be left at any time."""
    body = json.dumps({**question(**more), "stream": True}).encode()
    caller = socket.create_connection(("127.0.0.1", port), timeout=10)
    caller.sendall(
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n"
        f"authorization: Bearer {tenant.token}\r\n\r\n".encode()
        + body
    )
    return caller


def read_until(caller: socket.socket, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got:
        part = caller.recv(65536)
        assert part, got
        got += part
    return got


def test_a_stream_is_one_however_its_type_is_spelt(scripted, tenant):
    """Its usage comes in its last event, which is found in streams only."""

    def script(_request, connection: socket.socket) -> None:
        head = HEAD.replace(b"text/event-stream", b"Text/Event-Stream")
        connection.sendall(head + event("hello") + event(usage=USAGE) + b"0\r\n\r\n")

    scripted.script = script
    assert ask(scripted.url, tenant, stream=True).is_success
    (posted,) = tenant.settled()
    assert (posted.estimate, posted.completion_tokens) == ("", 30)


def test_a_caller_who_leaves_is_billed_what_mistral_bills_once(gateway, mistral, made_up):
    directives = {"chunk_delay": 0.03, "answer_tokens": 20}
    tenant = tenancy.make(made_up, mistral={"directives": directives})
    caller = request(tenant, gateway.port)
    read_until(caller, b"data: ")
    caller.close()
    (posted,) = tenant.settled(seconds=15)
    bill = mistral.state.ledger.total(key=name_of(tenant.plain))
    assert bill.calls == 1
    assert (posted.prompt_tokens, posted.completion_tokens) == (
        bill.prompt_tokens,
        bill.completion_tokens,
    )
    assert (posted.outcome, posted.estimate) == ("disconnected", "")
    time.sleep(0.3)
    assert len(tenant.events()) == 1


def test_a_caller_who_leaves_a_long_stream_is_estimated_after_a_bounded_time(scripted, tenant):
    stopped = threading.Event()

    def script(_request, connection: socket.socket) -> None:
        connection.sendall(HEAD + event("Hello there. ") * 3)
        try:
            while True:  # for ever, slowly, until the gateway hangs up
                time.sleep(0.2)
                connection.sendall(event("x"))
        except OSError:
            stopped.set()

    scripted.script = script
    caller = request(tenant, scripted.gateway.port)
    read_until(caller, b"Hello there")
    caller.close()
    left = time.monotonic()
    (posted,) = tenant.settled(seconds=10)
    assert 1 < time.monotonic() - left < 5  # two seconds are set for tests
    assert (posted.outcome, posted.estimate) == ("disconnected", "disconnected")
    assert 13 <= posted.completion_tokens <= 40
    assert posted.prompt_tokens > 0
    assert stopped.wait(3)


def test_where_the_workspace_wants_it_a_stream_ends_with_its_caller(scripted, tenant):
    registry.set_traffic_policy(
        actor=ACTOR,
        organization=tenant.organization,
        workspace=tenant.workspace,
        policy=Policy(on_disconnect=OnDisconnect.ABORT),
    )
    stopped = threading.Event()

    def script(_request, connection: socket.socket) -> None:
        connection.sendall(HEAD + event("Hello there. "))
        connection.settimeout(5)
        if connection.recv(1) == b"":  # without another byte sent to whoever is still there
            stopped.set()

    scripted.script = script
    caller = request(tenant, scripted.gateway.port)
    read_until(caller, b"Hello there")
    caller.close()
    assert stopped.wait(1.5), "the drain would take two seconds"
    (posted,) = tenant.settled()
    assert (posted.outcome, posted.estimate) == ("disconnected", "disconnected")


def test_a_drain_is_bounded_in_bytes_too(scripted, tenant):
    gone = threading.Event()

    def script(_request, connection: socket.socket) -> None:
        connection.sendall(HEAD + event("Hello"))
        gone.wait(10)
        with suppress(OSError):  # the gateway has hung up
            for _ in range(3000):
                connection.sendall(event("x" * 1000))
            connection.sendall(event(usage=USAGE))

    scripted.script = script
    caller = request(tenant, scripted.gateway.port)
    read_until(caller, b"Hello")
    caller.close()
    gone.set()
    (posted,) = tenant.settled(seconds=10)
    assert posted.estimate == "disconnected", "it was read on to its usage"


def test_a_stream_that_mistral_cuts_is_cut_for_the_caller_and_estimated(scripted, tenant):
    def script(_request, connection: socket.socket) -> None:
        connection.sendall(HEAD + event("Once upon a time"))
        time.sleep(0.1)
        reset(connection)

    scripted.script = script
    with pytest.raises(httpx.RemoteProtocolError):
        ask(scripted.url, tenant, stream=True)
    (posted,) = tenant.settled()
    assert (posted.outcome, posted.estimate) == ("failed", "broken_answer")
    assert 4 <= posted.completion_tokens <= 16
    assert posted.cost > 0


def test_a_stream_that_is_cut_after_its_usage_is_exact(scripted, tenant):
    def script(_request, connection: socket.socket) -> None:
        connection.sendall(HEAD + event("Hi") + event(usage=USAGE))
        time.sleep(0.1)
        reset(connection)

    scripted.script = script
    with request(tenant, scripted.gateway.port) as caller:
        while caller.recv(65536):
            pass
    (posted,) = tenant.settled()
    assert (posted.outcome, posted.estimate) == ("failed", "")
    assert (posted.prompt_tokens, posted.completion_tokens) == (40, 30)


def test_a_stream_without_usage_is_estimated_and_passes_whole(scripted, tenant):
    def script(_request, connection: socket.socket) -> None:
        done = b"data: [DONE]\n\n"
        connection.sendall(HEAD + event("Hello you") + b"%x\r\n%b\r\n" % (len(done), done))
        connection.sendall(b"0\r\n\r\n")

    scripted.script = script
    answer = ask(scripted.url, tenant, stream=True)
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "x-aim-cost" not in answer.headers
    (posted,) = tenant.settled()
    assert (posted.outcome, posted.estimate) == ("completed", "usage_missing")


@pytest.mark.parametrize("cap", [None, 0, 50])
def test_what_was_delivered_without_a_cap_is_metered_beyond_what_was_held(scripted, tenant, cap):
    spend.set_policy(
        actor=ACTOR, workspace=tenant.workspace, policy=SpendPolicy(default_output_tokens=1)
    )
    scripted.script = lambda _, connection: connection.sendall(
        HEAD + event("word " * 50) * 800 + b"0\r\n\r\n"
    )
    assert ask(scripted.url, tenant, stream=True, max_tokens=cap).is_success
    (posted,) = tenant.settled()
    assert posted.estimate == "usage_missing"
    if cap:
        assert (posted.completion_tokens, posted.excess) == (cap, 0)
    else:
        assert posted.completion_tokens > 40_000
        assert posted.excess > posted.cost * Decimal("0.9")
        assert tenant.balance().excess == posted.excess
        assert tenant.balance().settled == posted.cost


@pytest.mark.parametrize(
    ("text", "events", "tokens"),
    [("7" * 100, 100, 10_000), ("🫠" * 100, 100, 40_000), ("x", 90, 90)],
)
def test_what_was_seen_of_a_stream_is_not_estimated_below_what_it_was(
    scripted, tenant, text, events, tokens
):
    scripted.script = lambda _, connection: connection.sendall(
        HEAD + event(text) * events + b"0\r\n\r\n"
    )
    assert ask(scripted.url, tenant, stream=True, text="7" * 999).is_success
    (posted,) = tenant.settled()
    assert posted.estimate == "usage_missing"
    assert tokens * 0.99 <= posted.completion_tokens <= tokens * 1.2
    assert 999 < posted.prompt_tokens < 1200


def test_an_error_inside_a_stream_passes_and_marks_the_call_as_failed(scripted, tenant):
    error = b'data: {"object":"error","message":"overloaded","type":"x","code":"3000"}\n\n'

    def script(_request, connection: socket.socket) -> None:
        connection.sendall(HEAD + event("Hel") + b"%x\r\n%b\r\n" % (len(error), error))
        connection.sendall(b"0\r\n\r\n")

    scripted.script = script
    answer = ask(scripted.url, tenant, stream=True)
    assert "overloaded" in answer.text
    assert tenant.settled()[0].outcome == "failed"


def test_a_stream_that_falls_silent_is_ended_after_the_models_patience(scripted, tenant):
    def script(_request, connection: socket.socket) -> None:
        connection.sendall(HEAD + event("Wait for it"))
        connection.recv(1)

    scripted.script = script
    began = time.monotonic()
    with request(tenant, scripted.gateway.port) as caller:
        while caller.recv(65536):
            pass
    assert 1.5 < time.monotonic() - began < 6
    assert tenant.settled()[0].estimate == "broken_answer"


def test_a_slow_caller_slows_mistral_down_instead_of_filling_memory(scripted, tenant):
    sent = []

    def script(_request, connection: socket.socket) -> None:
        connection.sendall(HEAD)
        chunk = event("x" * 60_000)
        connection.settimeout(1)
        try:
            for _ in range(1000):
                connection.sendall(chunk)
                sent.append(len(chunk))
        except TimeoutError:
            reset(connection)

    scripted.script = script
    caller = request(tenant, scripted.gateway.port)
    read_until(caller, b"xxx")
    time.sleep(2)
    assert sum(sent) < 20_000_000  # sockets' buffers and no more, of sixty megabytes
    caller.close()
    tenant.settled(seconds=15)


def test_a_caller_who_leaves_while_sending_begins_nothing(gateway, mistral, tenant):
    before = len(mistral.state.requests)
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as caller:
        caller.sendall(
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 500\r\n"
            f"authorization: Bearer {tenant.token}\r\n\r\n{{".encode()
        )
        time.sleep(0.2)
    time.sleep(0.3)
    assert len(mistral.state.requests) == before
    assert (tenant.events(), tenant.holds()) == ([], [])
