"""A simulator of its own for every test, and a caller who knows its keys."""

import time
from collections.abc import Callable, Iterator

import httpx
import pytest

from aisuru_mistral.simulator.keys import WELL_KNOWN
from aisuru_mistral.simulator.server import SimulatorServer
from aisuru_mistral.simulator.state import RecordedRequest

CHAT = "/v1/chat/completions"
HELLO = {"model": "mistral-small-latest", "messages": [{"role": "user", "content": "Hello there"}]}

type As = Callable[..., httpx.Client]


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer() as server:
        yield server


@pytest.fixture
def as_key(simulator: SimulatorServer) -> Iterator[As]:
    """A client that sends the well-known key of this name."""
    clients: list[httpx.Client] = []

    def open_client(name: str, **headers: str) -> httpx.Client:
        authorization = {"authorization": f"Bearer {WELL_KNOWN[name]}"}
        client = httpx.Client(
            base_url=simulator.url,
            headers={**authorization, **headers},
            timeout=10,
            verify=False,  # noqa: S501 - plain HTTP: loading certificates is the slowest part
        )
        clients.append(client)
        return client

    yield open_client
    for client in clients:
        client.close()


def finished(record: RecordedRequest) -> RecordedRequest:
    """The record once its outcome is known: the caller may see a broken connection first."""
    deadline = time.monotonic() + 5
    while record.outcome == "running" and time.monotonic() < deadline:
        time.sleep(0.01)
    return record


@pytest.fixture
def alice(as_key: As) -> httpx.Client:
    return as_key("valid")
