"""The same on every broker: work is done once, whatever becomes of broker, workers and messages."""

import subprocess
import sys
from collections import Counter

import pytest

from tests.keys.keyring import name_of
from tests.stores.deployment import ROOT

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(400)]


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
