"""Brokers, and a deployment on each.

pgmq is always there. Redis and RabbitMQ are extra: the first where the machine has a
``redis-server``, the second where one listens on loopback as it does after its installation.
"""

import socket

import pytest

from aisuru_mistral.launcher import provision
from tenants.common.models import new_id
from tests.gateway.conftest import redis_server
from tests.gateway.proxy import DatabaseProxy, Wire
from tests.keys.conftest import made_up, mistral
from tests.postgres import APP_LOGIN, APP_PASSWORD, TEMPLATE, new_database
from tests.stores.deployment import Deployment, environment

__all__ = ["made_up", "mistral", "redis_server"]

RABBIT = ("127.0.0.1", 5672)


@pytest.fixture(scope="module")
def database():
    address = new_database(f"stores_{new_id().hex}", TEMPLATE)
    return provision.with_login(address, APP_LOGIN, APP_PASSWORD)


def tcp(address):
    return Wire(lambda: socket.create_connection(address))


@pytest.fixture(scope="module", params=["pgmq", "redis", "rabbitmq"])
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


@pytest.fixture(scope="module")
def deployment(database, broker, mistral, tmp_path_factory):
    _wire, address = broker
    folder = tmp_path_factory.mktemp("deployment")
    variables = {"DATABASE_URL": database, "MISTRAL_API_URL": mistral.url}
    made = Deployment(environment(folder, CELERY_BROKER_URL=address, **variables), folder)
    for role in ("web", "worker", "beat"):
        made.start(role)
    try:
        made.connect()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="module")
def workspace(deployment):
    return deployment.organization()["default_workspace_id"]
