"""How much waits for the workers, whatever the broker."""

from typing import Any

from django.conf import settings

from aisuru_mistral.celery import app
from tenants.support import figures


def queues() -> list[figures.Queue]:
    """Ask the broker; in PostgreSQL it is known too since when the oldest waits.

    A broker that does not answer has no queues to tell of.
    """
    found = figures.queues()
    if settings.BROKER_URL.startswith("pgmq") and found is not None:
        return found
    name = app.conf.task_default_queue
    try:
        with app.connection_for_read() as connection:
            connection.ensure_connection(max_retries=1, timeout=2)
            channel: Any = connection.default_channel
            declared = channel.queue_declare(name, passive=True)
    except Exception:  # noqa: BLE001 - each broker raises its own kind
        return []
    return [figures.Queue(name, declared.message_count, None)]
