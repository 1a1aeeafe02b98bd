"""Brokers, and a deployment on each.

pgmq is always there. Redis and RabbitMQ are extra: the first where the machine has a
``redis-server``, the second where one listens on loopback as it does after its installation.
pgmq and Redis are the deployment's own. RabbitMQ is whoever's, also another run's: there each
deployment has a queue of its own, and takes it away.
"""

import socket
from typing import NamedTuple

import kombu
import pytest
from psycopg import conninfo

from aisuru_mistral.launcher import provision
from tenants.common.models import new_id
from tests.gateway.conftest import redis_server
from tests.gateway.proxy import DatabaseProxy, Wire
from tests.keys.conftest import made_up, mistral
from tests.postgres import APP_LOGIN, APP_PASSWORD, TEMPLATE, new_database
from tests.stores.deployment import Deployment, environment

__all__ = ["made_up", "mistral", "redis_server"]

RABBIT = ("127.0.0.1", 5672)


class Broker(NamedTuple):
    """A wire to a broker, its address through the wire, and the queue."""

    wire: Wire
    url: str
    queue: str = "aisuru"


@pytest.fixture(scope="module", params=["pgmq", "redis", "rabbitmq"])
def kind(request):
    return request.param


@pytest.fixture(scope="module")
def database(kind):
    """Give each broker's deployment its own: what one has parked is not for another to find."""
    address = new_database(f"stores_{new_id().hex}", TEMPLATE)
    return provision.with_login(address, APP_LOGIN, APP_PASSWORD)


def tcp(address):
    return Wire(lambda: socket.create_connection(address))


@pytest.fixture(scope="module")
def broker(request, kind, database):
    if kind == "pgmq":
        with DatabaseProxy(database) as wire:
            yield Broker(wire, "pgmq" + wire.url.removeprefix("postgresql"))
    elif kind == "redis":
        port = request.getfixturevalue("redis_server")
        with tcp(("127.0.0.1", port)) as wire:
            yield Broker(wire, f"redis://127.0.0.1:{wire.port}/0")
    else:
        try:
            socket.create_connection(RABBIT, timeout=1).close()
        except OSError:
            pytest.skip("no RabbitMQ on this machine")
        with tcp(RABBIT) as wire:
            url = f"amqp://guest:guest@127.0.0.1:{wire.port}//"
            queue = str(conninfo.conninfo_to_dict(database)["dbname"])  # tests/docker/settings.py
            yield Broker(wire, url, queue)
            with kombu.Connection(url) as connection:
                kombu.Queue(queue, channel=connection.default_channel).delete()
                kombu.Exchange(queue, channel=connection.default_channel).delete()


@pytest.fixture(scope="module")
def deployment(database, broker, mistral, tmp_path_factory):
    folder = tmp_path_factory.mktemp("deployment")
    variables = {"DATABASE_URL": database, "MISTRAL_API_URL": mistral.url}
    variables = environment(folder, CELERY_BROKER_URL=broker.url, **variables)
    made = Deployment(variables, folder, queue=broker.queue)
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
