"""The queue in Redis, where a worker that could not acknowledge goes on.

Kombu counts a message as under way until Redis has taken its acknowledgement. If Redis breaks off
while every place of a worker is taken, nothing is ever given back: the worker asks for no more
work, and as it waits for nothing of Redis's either, it does not notice that it is cut off.
"""

from typing import Any, override

from kombu.transport import redis, virtual

_GONE: tuple[type[Exception], ...] = tuple(redis.get_redis_error_classes().connection_errors)


class QoS(redis.QoS):  # kombu is not typed
    """Gives a place back whatever Redis says; what it was not told it delivers once more, later."""

    @override
    def ack(self, delivery_tag: Any) -> None:
        """Acknowledge a message."""
        try:
            super().ack(delivery_tag)
        except _GONE:
            virtual.QoS.ack(self, delivery_tag)
            raise

    @override
    def reject(self, delivery_tag: Any, requeue: bool = False) -> None:
        """Throw a message away, or have it delivered again."""
        try:
            super().reject(delivery_tag, requeue)
        except _GONE:
            virtual.QoS.ack(self, delivery_tag)
            raise


class Channel(redis.Channel):  # kombu is not typed
    """Kombu's, with that count."""

    QoS = QoS


class Transport(redis.Transport):  # kombu is not typed
    """Kombu's, with that channel."""

    Channel = Channel
