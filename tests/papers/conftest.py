"""The service on loopback, for papers that are played: their commands speak HTTP to it."""

import threading
from queue import SimpleQueue
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest
from django.core.wsgi import get_wsgi_application
from django.db import connection

from tenants.common import queue
from tests.keys.conftest import _timing, mistral

__all__ = ["_timing", "mistral"]


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def service(mistral, settings, monkeypatch):
    """Serve, with a worker that does at once what is enqueued."""
    work: SimpleQueue[tuple[Any, tuple[str, ...]] | None] = SimpleQueue()
    monkeypatch.setattr(queue, "_enqueue", lambda task, ids: work.put((task, ids)))
    settings.AISURU_API_URL = f"{mistral.url}/api/v2"
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=_Quiet)
    threads = [
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True),
        threading.Thread(target=_work, args=(work,), daemon=True),
    ]
    for thread in threads:
        thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    work.put(None)
    server.shutdown()
    for thread in threads:
        thread.join()
    server.server_close()


def _work(work: SimpleQueue[Any]) -> None:
    while (found := work.get()) is not None:
        task, ids = found
        if task.name in {"keys.validate", "registry.publish"}:
            task.run(*ids)
    connection.close()
