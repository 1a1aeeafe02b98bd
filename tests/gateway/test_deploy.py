"""A stop and a deploy: streams end as they would have, and everything is settled."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.gateway import tenancy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import ask, question

pytestmark = pytest.mark.slow


def test_a_stop_takes_no_new_call_lets_a_stream_end_and_settles_it(mistral, made_up):
    directives = {"chunk_delay": 0.1, "answer_tokens": 20}
    tenant = tenancy.make(made_up, mistral={"directives": directives})
    server = GatewayServer(mistral.url).start()
    received: list[str] = []
    began = threading.Event()

    def read() -> None:
        with httpx.stream(
            "POST",
            f"{server.url}/v1/chat/completions",
            json=question(stream=True),
            headers=tenant.headers,
            trust_env=False,
            timeout=20,
        ) as answer:
            for part in answer.iter_text():
                received.append(part)
                began.set()

    reader = threading.Thread(target=read)
    reader.start()
    assert began.wait(10)
    server.signal(signal.SIGTERM)
    tenancy.eventually(lambda: _is_closed(server.url, tenant))
    assert "[DONE]" not in received[-1], "the stream ended before the stop began"
    reader.join(20)
    assert received[-1].endswith("data: [DONE]\n\n")
    server.stop()
    (posted,) = tenant.settled()
    assert (posted.outcome, posted.estimate) == ("completed", "")


def test_a_worker_is_replaced_without_a_broken_stream(mistral, made_up):
    directives = {"chunk_delay": 0.1, "answer_tokens": 20}
    tenant = tenancy.make(made_up, mistral={"directives": directives})
    with GatewayServer(mistral.url) as server, ThreadPoolExecutor(1) as pool:
        began = threading.Event()
        streaming = pool.submit(_stream, server.url, tenant, began)
        assert began.wait(10)
        server.signal(signal.SIGHUP)
        tenancy.eventually(lambda: server.log.count("Started worker") >= 2, 20)
        assert streaming.result(20).endswith("data: [DONE]\n\n")
        tenancy.eventually(lambda: not _is_closed(server.url, tenant))
    events = tenant.settled(2)
    assert {(event.outcome, event.estimate) for event in events} == {("completed", "")}


def _stream(url: str, tenant: tenancy.Tenant, began: threading.Event) -> str:
    """Read a stream to its end."""
    received = ""
    with httpx.stream(
        "POST",
        f"{url}/v1/chat/completions",
        json=question(stream=True),
        headers=tenant.headers,
        trust_env=False,
        timeout=20,
    ) as answer:
        for part in answer.iter_text():
            received += part
            began.set()
    return received


def _is_closed(url: str, tenant: tenancy.Tenant) -> bool:
    try:
        ask(url, tenant, max_tokens=1)
    except httpx.TransportError:
        return True
    return False
