"""The same on every broker: work is done once, whatever becomes of broker, workers and messages.

pgmq is always there. Redis and RabbitMQ are extra: the first where the machine has a
``redis-server``, the second where one listens on loopback as it does after its installation.
"""

import socket
import subprocess
import sys
from collections import Counter

import pytest

from aisuru_mistral.launcher import provision
from tenants.common.models import new_id
from tests.gateway.conftest import redis_server
from tests.gateway.proxy import DatabaseProxy, Wire
from tests.keys.conftest import made_up, mistral
from tests.keys.keyring import name_of
from tests.postgres import APP_LOGIN, APP_PASSWORD, TEMPLATE, new_database
from tests.stores.deployment import ROOT, Deployment, environment

__all__ = ["made_up", "mistral", "redis_server"]

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(400)]
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


@pytest.fixture
def wire(broker):
    return broker[0]


def asked(mistral, plain):
    """How often Mistral was asked about a key."""
    return len(mistral.state.calls(key=name_of(plain), path="/v1/models"))


def test_two_workers_share_the_queue_and_ask_about_each_key_once(
    deployment, workspace, mistral, made_up
):
    deployment.start("worker", "second")
    plains = [made_up() for _ in range(12)]
    keys = [deployment.register(workspace, plain) for plain in plains]
    deployment.becomes_valid(*keys)
    assert Counter(asked(mistral, plain) for plain in plains) == {1: 12}
    deployment.kill("second")


def test_what_comes_while_the_broker_is_away_is_done_when_it_is_back(
    deployment, workspace, wire, made_up
):
    wire.cut()
    key = deployment.register(workspace, made_up())
    assert deployment.status(key) == "pending"
    wire.mend()
    deployment.becomes_valid(key)


def test_what_comes_while_there_is_no_worker_waits_for_one(deployment, workspace, made_up):
    deployment.kill("worker")
    key = deployment.register(workspace, made_up())
    assert deployment.status(key) == "pending"
    deployment.start("worker")
    deployment.becomes_valid(key)


def test_a_task_whose_worker_is_killed_in_the_middle_is_done_by_another(
    deployment, workspace, mistral, made_up
):
    plain = made_up(directives={"delay": 5})
    key = deployment.register(workspace, plain)
    deployment.wait_for(lambda: asked(mistral, plain) == 1)
    deployment.kill("worker")
    mistral.state.change(name_of(plain), directives={"delay": 0})
    deployment.start("worker")
    deployment.becomes_valid(key)
    assert deployment.get(f"/keys/{key}").json()["verdict"]["code"] == "ok"


def test_a_check_that_mistral_does_not_answer_is_tried_again(
    deployment, workspace, mistral, made_up
):
    plain = made_up(directives={"error": "service_unavailable"})
    key = deployment.register(workspace, plain)
    deployment.wait_for(lambda: asked(mistral, plain) > 0)
    deployment.wait_for(lambda: deployment.get(f"/keys/{key}").json()["verdict"] is not None)
    told = deployment.get(f"/keys/{key}").json()
    assert (told["status"], told["verdict"]["code"]) == ("pending", "mistral_unavailable")
    mistral.state.change(name_of(plain), directives={})
    deployment.becomes_valid(key)


POISON = """
import django; django.setup()
from aisuru_mistral.celery import app
app.send_task("no.such.task")
for arguments in ([], ["no-id"], [{}]):
    app.send_task("keys.validate", args=arguments)
with app.connection_for_write() as connection, connection.channel() as channel:
    send = connection.Producer(channel).publish
    there = {"routing_key": "aisuru", "content_encoding": "utf-8"}
    send(b"\\xff\\x00", content_type="application/json", **there)
    send(b"[]", content_type="application/json", **there)
    send(b"{}", content_type="application/x-python-serialize", **there)
    send(b"\\x80\\x04K*.", content_type="application/data", **there)
"""


def test_poisoned_messages_stop_nobody(deployment, workspace, made_up):
    subprocess.run([sys.executable, "-c", POISON], env=deployment.environment, cwd=ROOT, check=True)
    key = deployment.register(workspace, made_up())
    deployment.becomes_valid(key)
