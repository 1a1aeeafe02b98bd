"""Calls that did not go out whole cost nothing, whatever ended them."""

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest

from tests.gateway import tenancy
from tests.gateway.server import GatewayServer
from tests.gateway.tenancy import ask, eventually

FIELDS = (
    b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\nvoxtral-mini-latest\r\n'
    b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
)
FORM = "multipart/form-data; boundary=B"
pytestmark = pytest.mark.usefixtures("_database")


@pytest.mark.parametrize("patience", [1, 60])
def test_a_call_that_finds_no_connection_costs_nothing_however_long_it_may_last(tenant, patience):
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        address = f"https://127.0.0.1:{deaf.getsockname()[1]}"
        with GatewayServer(address, connect=2) as server:
            tenant.is_impatient(patience)
            answered = ask(server.url, tenant, max_tokens=50)
            assert (answered.status_code, answered.json()["code"]) == (502, "mistral_unreachable")
            eventually(tenant.settled)
    (event,) = tenant.settled()
    assert event.outcome == "not_sent"
    assert event.cost == event.requests == 0


@pytest.fixture
def ended() -> Iterator[tuple[str, list[bytes], threading.Event]]:
    """A Mistral that hangs up after the first bytes of a request, heard, and when it has."""
    heard: list[bytes] = []
    done = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(20)
            heard.append(connection.recv(65536))
        done.set()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", heard, done
        thread.join()


def test_a_form_that_mistral_ends_before_it_is_whole_costs_nothing(made_up, ended):
    url, heard, done = ended
    tenant = tenancy.make(made_up, mistral_model="voxtral-mini-latest")

    def body() -> Iterator[bytes]:
        yield FIELDS + b"x" * 9000
        yield b"y" * 1000
        assert done.wait(20)
        yield b"z\r\n--B--\r\n"

    with GatewayServer(url) as server:
        answered = httpx.post(
            f"{server.url}/v1/audio/transcriptions",
            content=body(),
            headers=tenant.headers | {"content-type": FORM},
            trust_env=False,
            timeout=30,
        )
        assert (answered.status_code, answered.json()["code"]) == (502, "mistral_unreachable")
        eventually(tenant.settled)
    (event,) = tenant.settled()
    assert heard[0].startswith(b"POST /v1/audio/transcriptions ")
    assert event.outcome == "not_sent"
    assert event.cost == event.audio_seconds == 0
