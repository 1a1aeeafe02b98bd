"""Ends the connections whose callers take nothing any more of what was written to them.

granian waits for ever for a caller who reads nothing and leaves the connection open. So the process
looks now and then at what its own connections still have to deliver, and resets those of which
nothing was taken for a while. ``TCP_USER_TIMEOUT`` would have the kernel do it, but that counts
from when a window was full until a whole segment fits in: it also ends callers who read slowly and
all the time.

Linux is asked what was taken (``/proc``, ``TCP_INFO``); on anything else nothing is done.
"""

import asyncio
import fcntl
import os
import socket
import struct
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

_DESCRIPTORS = Path("/proc/self/fd")
_CAN_LOOK = _DESCRIPTORS.is_dir()
#: A connection is looked at so many times within the seconds that end it.
_LOOKS = 4
_FAMILIES = {socket.AF_INET, socket.AF_INET6}
_NOTHING = bytes(4)
#: Bytes that the other side has acknowledged, and where they are in Linux's ``struct tcp_info``.
_ACKED, _ACKED_AT = struct.Struct("=Q"), 120
#: ``struct linger``: closing sends a reset, and keeps nothing that is undelivered.
_AT_ONCE = struct.pack("ii", 1, 0)


async def watch(seconds: float) -> None:
    """End what is stuck for these seconds or a quarter more, for as long as the process lives."""
    undelivered = Undelivered(seconds)
    while _CAN_LOOK:
        await asyncio.sleep(seconds / _LOOKS)
        with suppress(OSError):  # no descriptor is left to look with
            undelivered.look()


class Undelivered:
    """What this process has written to its callers and they have not taken yet.

    Connections that it has opened itself, to Mistral or PostgreSQL, are left alone.

    Args:
        seconds: for which a caller may take nothing.
        clock: in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._ports: set[int] = set()
        # By connection: how much of it was taken, and when that was seen first.
        self._seen: dict[int, tuple[int, float]] = {}

    def look(self) -> None:
        """Look at all connections once, and end those that are stuck."""
        # What the server listens on is settled once it does.
        self._ports = self._ports or _listened_on()
        now, ended = self._clock(), 0
        before, self._seen = self._seen, {}
        for descriptor in _descriptors():
            # Most are no sockets or have delivered everything; any may be closed meanwhile.
            with suppress(OSError):
                if not _has_something(descriptor):
                    continue
                with _held(descriptor) as connection:
                    if not self._is_callers(connection):
                        continue
                    identity, taken = os.fstat(connection.fileno()).st_ino, _taken(connection)
                    seen = before.get(identity)
                    since = now if seen is None or seen[0] != taken else seen[1]
                    if now - since < self._seconds:
                        self._seen[identity] = taken, since
                    else:
                        _end(connection)
                        ended += 1
        if ended:
            log.info("connections_ended", count=ended, reason="nothing_taken")

    def _is_callers(self, connection: socket.socket) -> bool:
        return connection.family in _FAMILIES and connection.getsockname()[1] in self._ports


def _descriptors() -> list[int]:
    return [int(entry.name) for entry in _DESCRIPTORS.iterdir()]


def _has_something(descriptor: int) -> bool:
    """Tell whether something is undelivered, more cheaply than by asking the socket for all."""
    return fcntl.ioctl(descriptor, termios.TIOCOUTQ, _NOTHING) != _NOTHING


@contextmanager
def _held(descriptor: int) -> Iterator[socket.socket]:
    """Give a socket that stays the same, even if its descriptor becomes another's meanwhile."""
    own = os.dup(descriptor)
    try:
        held = socket.socket(fileno=own)
    except OSError:  # it is no socket
        os.close(own)
        raise
    with held:
        yield held


def _listened_on() -> set[int]:
    ports = set()
    for descriptor in _descriptors():
        with suppress(OSError), _held(descriptor) as held:
            is_listening = held.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            if held.family in _FAMILIES and is_listening:
                ports.add(held.getsockname()[1])
    return ports


def _taken(connection: socket.socket) -> int:
    """Return how many bytes the other side has taken since the connection began."""
    told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED_AT + _ACKED.size)
    taken: int = _ACKED.unpack_from(told, _ACKED_AT)[0]
    return taken


def _end(connection: socket.socket) -> None:
    """Have the server notice that there is nobody: it closes, which resets the connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    connection.shutdown(socket.SHUT_RDWR)
