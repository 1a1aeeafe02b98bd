"""The queue in PostgreSQL, where a message that is none does not end its worker.

Kombu's transport takes every message for one of its own. One that is not would end each worker that
reads it, again whenever its time-out is over. Here it goes to the queue's archive.
"""

from typing import Any

from kombu.transport import pgmq

from tenants.assistance import parking


class Channel(pgmq.Channel):  # kombu is not typed
    """Archives what cannot be read."""

    def _pgmq_messages_to_python(self, messages: list[Any], queue: str) -> list[Any]:
        return [
            self._pgmq_message_to_python(message, queue)
            for message in messages
            if self._is_readable(message, queue)
        ]

    def _is_readable(self, message: Any, queue: str) -> bool:
        try:
            self.Message(dict(message.message), channel=self)
        except Exception:  # noqa: BLE001 - it is somebody else's, and may be anything
            name = self._queue_name(queue)
            self.pgmq.archive(name, message.msg_id)
            parking.park(f"{name}-{message.msg_id}", name, "malformed")
            return False
        return True


class Transport(pgmq.Transport):  # kombu is not typed
    """Kombu's, with that channel."""

    Channel = Channel
