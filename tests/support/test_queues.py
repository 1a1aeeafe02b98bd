"""How long the queue is, on each broker: also where nothing was ever sent, or all of it is done."""

import socket

import kombu
import pytest
from celery import Celery
from django.db import connection

from tenants.common.models import new_id
from tenants.support import figures
from tenants.support.figures import Queue
from tests.gateway.conftest import redis_server
from tests.gateway.tenancy import eventually

__all__ = ["redis_server"]


def address_of(kind, request):
    if kind == "redis":
        return f"redis://127.0.0.1:{request.getfixturevalue('redis_server')}/0"
    try:
        socket.create_connection(("127.0.0.1", 5672), timeout=1).close()
    except OSError:
        pytest.skip("no RabbitMQ on this machine")
    return "amqp://guest:guest@127.0.0.1:5672//"


@pytest.fixture
def use(monkeypatch, settings):
    """Have the figures ask another broker."""

    def use(url):
        app = Celery(broker=url, set_as_current=False)
        app.conf.task_default_queue = f"aisuru_{new_id().hex}"
        monkeypatch.setattr(figures, "current_app", app)
        settings.BROKER_URL = url
        return app

    return use


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_a_queue_is_as_long_as_what_waits_in_it_and_empty_where_it_is_not_there(kind, use, request):
    app = use(address_of(kind, request))
    name = app.conf.task_default_queue

    def length(expected):
        return figures.queues() == [Queue(name, expected, None)]

    assert length(0), "nothing was ever sent"
    with app.connection_for_write() as broker:
        queue = broker.SimpleQueue(name)
        try:
            queue.put("work")
            eventually(lambda: length(1))
            queue.get(timeout=5).ack()
            eventually(lambda: length(0))
        finally:
            queue.close()
            kombu.Queue(name, channel=broker.default_channel).delete()
            kombu.Exchange(name, channel=broker.default_channel).delete()


def test_in_postgresql_too(use):
    app = use("pgmq://")
    name = app.conf.task_default_queue
    assert Queue(name, 0, None) in (figures.queues() or [])
    with connection.cursor() as cursor:
        cursor.execute("SELECT pgmq.create(%s)", [name])
        cursor.execute("SELECT pgmq.send(%s, '{}'::jsonb)", [name])
    [found] = [queue for queue in figures.queues() or [] if queue.name == name]
    assert found.length == 1


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "amqp://guest:guest@127.0.0.1:1//"])
def test_a_broker_that_is_away_is_not_an_empty_queue(url, use):
    use(url)
    assert figures.queues() is None
