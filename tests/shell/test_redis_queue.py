"""A worker on Redis: each place is given back, also when Redis cannot be told."""

from typing import Any

import pytest
from kombu import Connection
from redis.exceptions import ConnectionError as RedisGoneError

from aisuru_mistral.redis_queue import QoS, Transport


class Pipe:
    """A client whose connection breaks off at every execution."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def pipeline(self):
        return self

    def zrem(self, *_):
        return self

    hdel = zrem

    def execute(self):
        raise RedisGoneError("Connection closed by server.")

    def transaction(self, *_):
        raise RedisGoneError("Connection closed by server.")


class Channel:
    """What the count needs of a channel."""

    unacked_key = unacked_index_key = "unacked"
    do_restore = False

    def conn_or_acquire(self, _client=None):
        return Pipe()


@pytest.mark.parametrize(
    "give_back",
    [
        lambda count: count.ack("one"),
        lambda count: count.reject("one"),
        lambda count: count.reject("one", requeue=True),
    ],
)
def test_a_place_is_free_again_though_redis_was_not_told(give_back):
    count: Any = QoS(Channel(), prefetch_count=1)
    count._quick_append("one", object())
    assert not count.can_consume()
    with pytest.raises(RedisGoneError):
        give_back(count)
    count._flush()
    assert count.can_consume()


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_redis_is_spoken_to_in_our_way(scheme):
    with Connection(f"{scheme}://127.0.0.1:1/0") as connection:
        assert connection.get_transport_cls() is Transport
        assert Transport.Channel.QoS is QoS
