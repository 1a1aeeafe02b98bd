"""Poisoned messages on every broker: none is tried for ever, each leaves a trace, work goes on."""

import json
import subprocess

import httpx
import kombu
import psycopg
import pytest
import redis
from celery import Celery

from aisuru_mistral import broker as brokers
from tenants.assistance.parking import MOST_REPEATS
from tenants.common.models import new_id
from tests.docker.deployment import ENTRYPOINT, broker, database, deployment, wait_for
from tests.gateway.conftest import redis_server
from tests.keys.conftest import made_up, mistral

__all__ = ["broker", "database", "deployment", "made_up", "mistral", "redis_server"]

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(300)]


class Poisoner:
    """Somebody who may write to the queue."""

    def __init__(self, deployment):
        self.url = deployment.environment["CELERY_BROKER_URL"]
        self.database = deployment.environment["DATABASE_URL"]
        self._app = Celery("poisoner")
        self._app.conf.update(brokers.celery_settings(self.url))

    def send(self, task, *args):
        return self._app.send_task(task, args=args).id

    def send_garbage(self):
        """Write what is no task at all, as raw as the broker takes it."""
        if self.url.startswith("pgmq"):
            with psycopg.connect(self.database, autocommit=True) as connection:
                for message in ("[1, 2]", '"text"', "{}", '{"body": "%", "properties": {}}'):
                    connection.execute("SELECT pgmq.send('aisuru', %s::jsonb)", [message])
        elif self.url.startswith("redis"):
            with redis.Redis.from_url(self.url) as server:
                server.lpush("aisuru", '{"body": "e30=", "properties": {}, "headers": {}}')
        with kombu.Connection(self.url, transport_options=self._options) as connection:
            producer = connection.Producer(routing_key="aisuru")
            producer.publish({"no": "task"}, serializer="json")
            producer.publish(b"\x00\xff", content_type="application/x-python-serialize")

    @property
    def _options(self):
        return self._app.conf.broker_transport_options

    def parked(self):
        with psycopg.connect(self.database, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT task, reason, max(deliveries) FROM assistance_repeatedtask"
                " WHERE reason <> '' GROUP BY 1, 2"
            ).fetchall()
        return {(task, reason): deliveries for task, reason, deliveries in rows}


def test_no_message_is_tried_for_ever_and_work_goes_on(deployment, made_up):
    client = deployment.connect()
    poisoner = Poisoner(deployment)

    def answers():
        try:
            return client.get("/organizations").status_code == 200
        except httpx.TransportError:
            return False

    wait_for(answers, deployment)
    made = client.post("/organizations", json={"name": "Poison", "owner_email": "p@p.example"})
    workspace = made.json()["default_workspace_id"]

    def key_becomes_valid():
        answer = client.post(f"/workspaces/{workspace}/keys", json={"name": "k", "key": made_up()})
        assert answer.status_code == 202, answer.text
        path = f"/keys/{answer.json()['id']}"

        def valid():
            deployment.keep("worker")
            return client.get(path).json()["status"] == "valid"

        wait_for(valid, deployment)

    key_becomes_valid()
    poisoner.send("no.such.task", "x")
    poisoner.send("keys.validate")
    poisoner.send("keys.validate", str(new_id()), str(new_id()))
    poisoner.send("keys.validate", "x" * 3_000_000, "no id")
    poisoner.send_garbage()
    key_becomes_valid()

    poisoner.send("tests.end_child", "one")
    poisoner.send("tests.end_worker", "two")

    def both_are_parked():
        deployment.keep("worker")
        found = poisoner.parked()
        return {("tests.end_child", "repeated"), ("tests.end_worker", "repeated")} <= set(found)

    wait_for(both_are_parked, deployment, 150)
    found = poisoner.parked()
    assert found["tests.end_child", "repeated"] == MOST_REPEATS
    assert ("no.such.task", "unknown") in found
    key_becomes_valid()

    said = subprocess.run(
        [ENTRYPOINT, "doctor", "--json"],
        env=deployment.environment,
        capture_output=True,
        text=True,
        check=False,
    ).stdout
    parked = [line for line in map(json.loads, said.splitlines()) if line["code"] == "parked"]
    assert any("tests.end_worker" in line["said"] for line in parked), said
