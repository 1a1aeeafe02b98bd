"""Poisoned messages on every broker: none is tried for ever, each leaves a trace, work goes on."""

import kombu
import psycopg
import pytest
import redis
from celery import Celery

from aisuru_mistral import broker as brokers
from tenants.assistance.parking import MOST_REPEATS
from tenants.common.models import new_id

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


def test_no_message_is_tried_for_ever_and_work_goes_on(deployment, workspace, made_up):
    poisoner = Poisoner(deployment)

    def key_becomes_valid():
        key = deployment.register(workspace, made_up())

        def valid():
            deployment.keep("worker")
            return deployment.status(key) == "valid"

        deployment.wait_for(valid)

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

    deployment.wait_for(both_are_parked, 150)
    found = poisoner.parked()
    assert found["tests.end_child", "repeated"] == MOST_REPEATS
    assert ("no.such.task", "unknown") in found
    key_becomes_valid()

    parked = [line["said"] for line in deployment.doctor() if line["code"] == "parked"]
    assert any("tests.end_worker" in said for said in parked), parked
