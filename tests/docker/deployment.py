"""Web, worker and beat as processes of their own on each broker, for tests that disturb them.

Redis and RabbitMQ are extra: the first where the machine has a ``redis-server``, the second where
one listens on loopback as it does after its installation.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from aisuru_mistral.launcher import ports, provision
from tenants.common.models import new_id
from tests.gateway.proxy import DatabaseProxy, Wire
from tests.postgres import APP_LOGIN, APP_PASSWORD, TEMPLATE, new_database, service_environment

ENTRYPOINT = Path(__file__).resolve().parents[2] / "docker" / "entrypoint.sh"
RABBIT = ("127.0.0.1", 5672)


class Deployment:
    """Web, worker and beat on one broker, with a wire to it that can be cut."""

    def __init__(self, environment, wire, folder):
        self.environment = environment
        self.wire = wire
        self._folder = folder
        self._parts = {}
        self._client = None

    def start(self, role):
        with (self._folder / f"{role}.log").open("ab") as log:
            self._parts[role] = subprocess.Popen(
                [ENTRYPOINT, role],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, role):
        """End a role and all its processes without a warning."""
        os.killpg(self._parts[role].pid, signal.SIGKILL)
        self._parts[role].wait(10)

    def keep(self, role):
        """Start a role again if it has ended, as a supervisor does."""
        if self._parts[role].poll() is not None:
            self.start(role)

    def stop(self):
        if self._client is not None:
            self._client.close()
        for role, part in self._parts.items():
            if part.poll() is None:
                self.kill(role)

    def logs(self):
        return "\n".join(path.read_text()[-9000:] for path in self._folder.glob("*.log"))

    def connect(self):
        """Give a client of the API with a platform token."""
        made = subprocess.run(
            [ENTRYPOINT, "manage", "create_token", "--platform", "--name", "brokers"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{self.environment['PORT']}/api/v1",
            headers={"Authorization": f"Bearer {json.loads(made.stdout)['token']}"},
            trust_env=False,
            timeout=20,
        )
        return self._client


def wait_for(check, deployment, seconds=60):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, deployment.logs()
        time.sleep(0.1)


@pytest.fixture
def database():
    address = new_database(f"broker_{new_id().hex}", TEMPLATE)
    return provision.with_login(address, APP_LOGIN, APP_PASSWORD)


def tcp(address):
    return Wire(lambda: socket.create_connection(address))


@pytest.fixture(params=["pgmq", "redis", "rabbitmq"])
def broker(request, database):
    """Give a wire to a broker, and its address through the wire."""
    if request.param == "pgmq":
        with DatabaseProxy(database) as wire:
            yield wire, "pgmq" + wire.url.removeprefix("postgresql")
    elif request.param == "redis":
        port = request.getfixturevalue("redis_server")
        with tcp(("127.0.0.1", port)) as wire:
            yield wire, f"redis://127.0.0.1:{wire.port}/0"
    else:
        try:
            socket.create_connection(RABBIT, timeout=1).close()
        except OSError:
            pytest.skip("no RabbitMQ on this machine")
        with tcp(RABBIT) as wire:
            yield wire, f"amqp://guest:guest@127.0.0.1:{wire.port}//"


@pytest.fixture
def deployment(database, broker, mistral, tmp_path):
    wire, address = broker
    environment = service_environment(
        DJANGO_SETTINGS_MODULE="tests.docker.settings",
        DATABASE_URL=database,
        CELERY_BROKER_URL=address,
        MISTRAL_API_URL=mistral.url,
        DATA_DIR=str(tmp_path),
        PORT=str(ports.remembered_port(tmp_path / "port")),
        HOST="127.0.0.1",
        WORKER_CONCURRENCY="2",
        LOG_LEVEL="INFO",
        PATH=f"{Path(sys.executable).parent}:/usr/bin:/bin",
    )
    made = Deployment(environment, wire, tmp_path)
    for role in ("web", "worker", "beat"):
        made.start(role)
    yield made
    made.stop()
