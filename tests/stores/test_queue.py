"""The same on every broker: work is done once, whatever becomes of broker, workers and messages."""

from collections import Counter

import pytest

from tenants.assistance.parking import MOST_REPEATS
from tests.keys.keyring import name_of
from tests.stores.poisoner import Poisoner

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(400)]


@pytest.fixture
def wire(broker):
    return broker.wire


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


def test_no_message_is_tried_for_ever_and_work_goes_on(deployment, workspace, made_up):
    poisoner = Poisoner(deployment)

    def key_becomes_valid():
        key = deployment.register(workspace, made_up())

        def valid():
            deployment.keep("worker")
            return deployment.status(key) == "valid"

        deployment.wait_for(valid)

    key_becomes_valid()
    poisoner.send_bad_arguments()
    poisoner.send_garbage()
    key_becomes_valid()

    def is_parked(task):
        deployment.keep("worker")
        return (task, "repeated") in poisoner.parked()

    # One after the other: a message that a worker of Redis's has taken, and not noted yet, is lost
    # with the worker. The sweeps ask again for what it was about; nobody does for these.
    for task in ("tests.end_child", "tests.end_worker"):
        poisoner.send(task, "poison")
        deployment.wait_for(lambda task=task: is_parked(task), 150)
        key_becomes_valid()
    found = poisoner.parked()
    assert found["tests.end_child", "repeated"] == MOST_REPEATS
    assert ("no.such.task", "unknown") in found
    parked = [line["said"] for line in deployment.doctor() if line["code"] == "parked"]
    assert any("tests.end_worker" in said for said in parked), parked
