"""Somebody who may write to the queue, and writes what no worker can do."""

import kombu
import psycopg
import redis
from celery import Celery

from aisuru_mistral import broker as brokers
from tenants.common.models import new_id
from tests.stores.deployment import Deployment

#: What is no message of pgmq's transport, as JSON.
_ROWS = ("[1, 2]", '"text"', "{}", '{"body": "%", "properties": {}}')
#: What is no message of Redis's transport.
_ENTRY = '{"body": "e30=", "properties": {}, "headers": {}}'
#: What is a message on every broker, but no task.
_BODIES = (
    ("application/json", b'{"no": "task"}'),
    ("application/json", b"[]"),
    ("application/json", b"\xff\x00"),
    ("application/x-python-serialize", b"{}"),
    ("application/x-python-serialize", b"\x00\xff"),
    ("application/data", b"\x80\x04K*."),
)


class Poisoner:
    """Writes to the queue of a deployment.

    Args:
        deployment: whose workers have to do with it.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._url = deployment.environment["CELERY_BROKER_URL"]
        self._database = deployment.environment["DATABASE_URL"]
        self._queue = deployment.queue
        self._app = Celery("poisoner")
        self._app.conf.update(brokers.celery_settings(self._url))
        self._app.conf.task_default_queue = self._queue

    def send(self, task: str, *args: object) -> None:
        """Send a task."""
        self._app.send_task(task, args=args)

    def send_bad_arguments(self) -> None:
        """Send tasks that are not there, or cannot be done with what they are given."""
        self.send("no.such.task", "x")
        self.send("keys.validate")
        self.send("keys.validate", "no-id")
        self.send("keys.validate", {})
        self.send("keys.validate", str(new_id()), str(new_id()))
        self.send("keys.validate", "x" * 3_000_000, "no id")

    def send_garbage(self) -> None:
        """Write what is no task at all, as raw as the broker takes it."""
        if self._url.startswith("pgmq"):
            with psycopg.connect(self._database, autocommit=True) as connection:
                for message in _ROWS:
                    connection.execute("SELECT pgmq.send('aisuru', %s::jsonb)", [message])
        elif self._url.startswith("redis"):
            with redis.Redis.from_url(self._url) as server:
                server.lpush(self._queue, _ENTRY)
        options = self._app.conf.broker_transport_options
        with kombu.Connection(self._url, transport_options=options) as connection:
            producer = connection.Producer(routing_key=self._queue)
            for content_type, body in _BODIES:
                producer.publish(body, content_type=content_type, content_encoding="utf-8")

    def parked(self) -> dict[tuple[str, str], int]:
        """Tell which tasks were taken out of the queue, why, and after how many deliveries."""
        with psycopg.connect(self._database, autocommit=True) as connection:
            rows = connection.execute(
                "SELECT task, reason, max(deliveries) FROM assistance_repeatedtask"
                " WHERE reason <> '' GROUP BY 1, 2"
            ).fetchall()
        return {(task, reason): deliveries for task, reason, deliveries in rows}
