"""The connections to one address: made when needed, lent to one request at a time, and kept.

The one that came back last is lent first, so that those beyond the need grow old and are closed.
Who finds no place waits, in order of arrival, and gets the next connection that comes back.
"""

import asyncio
import select
import socket
import ssl
from collections import deque
from collections.abc import Awaitable
from contextlib import suppress
from typing import Final, cast

from aiohappyeyeballs import AddrInfoType, start_connection

from tenants.mistral.connection import Connection
from tenants.mistral.errors import never_reached

#: Seconds unused after which a connection is looked at before it is lent.
_TRUSTED: Final = 1.0
#: Seconds for which a name's addresses are used again.
_ADDRESSES_LAST: Final = 10.0
#: Seconds that the next of a name's addresses waits for the one before (RFC 8305 §8).
_HEAD_START: Final = 0.25


class Connections:
    """Connections of one event loop, no more than so many at once.

    Args:
        host: name or address.
        port: of it.
        tls: None: it is spoken to in the clear.
        most: connections at once.
        keepalive: seconds for which an unused one is kept.
    """

    def __init__(
        self, host: str, port: int, tls: ssl.SSLContext | None, *, most: int, keepalive: float
    ) -> None:
        self._host = host
        self._port = port
        self._tls = tls
        self._places = most
        self._keepalive = keepalive
        self._kept: deque[tuple[Connection, float]] = deque()
        self._lent: set[Connection] = set()
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._sweeping: asyncio.TimerHandle | None = None
        self._looking_up: asyncio.Future[list[AddrInfoType]] | None = None
        self._looked_up = 0.0
        self._is_closed = False

    def at_hand(self) -> Connection | None:
        """Lend a connection that is there, if one is."""
        while self._kept:
            connection, since = self._kept.pop()
            unused = asyncio.get_running_loop().time() - since
            if _lives(connection, unused, self._keepalive):
                self._lent.add(connection)
                return connection
            connection.close()
            self._places += 1
        return None

    async def lend(self, patience: float) -> Connection:
        """Lend a connection: one that is there, or a new one, or the next that comes back.

        Args:
            patience: seconds.

        Raises:
            NeverReachedError: there was none in time.
        """
        ready = self.at_hand()
        if ready is not None:
            return ready
        with suppress(OSError):  # those of time-outs and of TLS are such, too
            async with asyncio.timeout(patience):
                connection = await self._place() or await self._connect()
                self._lent.add(connection)
                return connection
        raise never_reached()

    def give_back(self, connection: Connection) -> None:
        """Take a connection back, and keep it for the next request if it can carry one."""
        self._lent.discard(connection)
        if connection.is_reusable and not self._is_closed:
            self._hand_on(connection)
        else:
            connection.close()
            self._hand_on(None)

    def close(self) -> None:
        """Close all connections, those that are lent too, and send away who waits for one."""
        self._is_closed = True
        for connection in (*self._lent, *(kept for kept, _ in self._kept)):
            connection.close()
        self._kept.clear()
        for turn in self._waiting:
            if not turn.done():
                turn.set_exception(ConnectionAbortedError())
        if self._sweeping is not None:
            self._sweeping.cancel()
        if self._looking_up is not None:
            self._looking_up.cancel()

    async def _place(self) -> Connection | None:
        """Have a place to connect in, or the connection that somebody gives back."""
        if self._places:
            self._places -= 1
            return None
        turn: asyncio.Future[Connection | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            connection = await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(turn)
            elif turn.exception() is None:  # it came too late: to the next, then
                self._hand_on(turn.result())
            raise
        if connection is not None and connection.is_closed:
            return None
        return connection

    def _hand_on(self, connection: Connection | None) -> None:
        """Give a connection, or the place of one that is gone, to who waits first; else keep it."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(connection)
                return
        if connection is None:
            self._places += 1
            return
        loop = asyncio.get_running_loop()
        self._kept.append((connection, loop.time()))
        if self._sweeping is None:
            self._sweeping = loop.call_later(self._keepalive, self._sweep)

    def _sweep(self) -> None:
        """Close what has been unused for too long."""
        loop = asyncio.get_running_loop()
        too_old = loop.time() - self._keepalive
        while self._kept and self._kept[0][1] <= too_old:
            self._kept.popleft()[0].close()
            self._places += 1
        self._sweeping = None
        if self._kept:
            self._sweeping = loop.call_at(self._kept[0][1] + self._keepalive, self._sweep)

    async def _connect(self) -> Connection:
        """Connect in the place that was had; it is given on where that fails."""
        try:
            wire = await start_connection(
                await self._addresses(), happy_eyeballs_delay=_HEAD_START, interleave=1
            )
            try:
                wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                _, connection = await asyncio.get_running_loop().create_connection(
                    Connection,
                    sock=wire,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls is not None else None,
                )
            except BaseException:
                wire.close()
                raise
        except BaseException as error:
            if isinstance(error, OSError):
                self._looking_up = None  # perhaps it is elsewhere by now
            self._hand_on(None)
            raise
        if self._is_closed:
            connection.close()
            raise ConnectionAbortedError
        return connection

    async def _addresses(self) -> list[AddrInfoType]:
        """Look the name up, once for all who connect meanwhile and shortly after."""
        loop = asyncio.get_running_loop()
        current = self._looking_up
        if current is None or (current.done() and loop.time() - self._looked_up > _ADDRESSES_LAST):
            lookup = loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            current = asyncio.ensure_future(cast("Awaitable[list[AddrInfoType]]", lookup))
            self._looking_up = current
            current.add_done_callback(self._note_lookup)
        try:  # one who gives up does not take the answer away from the others
            return await asyncio.shield(current)
        except asyncio.CancelledError:
            if current.cancelled() and self._is_closed:
                raise ConnectionAbortedError from None
            raise

    def _note_lookup(self, found: "asyncio.Future[list[AddrInfoType]]") -> None:
        self._looked_up = found.get_loop().time()
        if not found.cancelled() and found.exception() is not None:
            self._looking_up = None


def _lives(connection: Connection, unused: float, keepalive: float) -> bool:
    """Tell whether a connection may carry another request.

    The other side may have closed it without the loop having seen it yet.
    """
    if connection.is_closed or unused >= keepalive:
        return False
    if unused < _TRUSTED:
        return True
    look = select.poll()
    look.register(connection.fileno(), select.POLLIN)
    return not look.poll(0)
