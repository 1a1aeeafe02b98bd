"""A gateway in a process of its own, a simulated Mistral behind it, and tenants that call it."""

import shutil
import socket
import subprocess
from typing import Self

import pytest
import redis

from tests.gateway import tenancy
from tests.gateway.server import GatewayServer
from tests.keys.conftest import made_up, mistral
from tests.mistral.far_side import FarSide, Script

__all__ = ["made_up", "mistral"]


@pytest.fixture(autouse=True)
def _patience(mistral, settings):
    """Check keys at the simulator, with all the time that a busy machine may take for it."""
    settings.MISTRAL_API_URL = mistral.url
    settings.KEY_TIMING = {"read": 10, "answer": 20}


@pytest.fixture(scope="session")
def gateway(mistral, _database):
    """A gateway before the simulated Mistral."""
    with GatewayServer(mistral.url, drain_time=2) as server:
        yield server


class RedisServer:
    """A Redis of the suite's own, where the machine has one; it can be killed and come back."""

    def __init__(self) -> None:
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("no redis-server on this machine")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        place = [program, "--port", str(self.port), "--bind", "127.0.0.1"]
        self._command = [*place, "--save", "", "--loglevel", "warning"]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis(port=self.port) as client:
            tenancy.eventually(lambda: _pings(client))
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def redis_server():
    """Give the port of a Redis."""
    with RedisServer() as server:
        yield server.port


def _pings(client) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


@pytest.fixture
def tenant(made_up):
    """A tenant with a valid key and a model."""
    return tenancy.make(made_up)


class Scripted:
    """A Mistral that sends exactly the bytes a test wants, and a gateway before it."""

    def __init__(self, far_side: FarSide, gateway: GatewayServer) -> None:
        self.far_side = far_side
        self.url = gateway.url
        self.gateway = gateway
        self.script: Script | None = None

    @property
    def received(self):
        """The last request that reached Mistral."""
        return self.far_side.requests[-1]


@pytest.fixture(scope="session")
def _scripted(_database):
    holder: list[Scripted] = []

    def play(request, connection) -> None:
        script = holder[0].script
        assert script is not None
        script(request, connection)

    with (
        FarSide(play) as far_side,
        GatewayServer(far_side.url, idle=2, connect=1, drain_time=2, total=8) as server,
    ):
        holder.append(Scripted(far_side, server))
        yield holder[0]


@pytest.fixture
def scripted(_scripted):
    """A gateway before a Mistral that plays a script."""
    yield _scripted
    _scripted.script = None
