"""A connection to PostgreSQL that the running event loop serves itself: no thread, no hand-over.

One statement at a time, prepared once per connection. It speaks through libpq, which psycopg wraps:
psycopg's own asynchronous connection builds a cursor and registers with the loop anew for every
statement. It refuses to guess: a connection that broke, or did not answer in time, is given up.

    ChannelBroken      the connection is gone; what became of the statement is not known
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from django.conf import settings
from django.db import connections
from psycopg import pq
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

type Rows = list[tuple[Any, ...]]

_FINE = frozenset({pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK})


class ChannelBroken(Exception):  # noqa: N818 - a state of the world, named for its reader
    """The connection is gone; what became of the statement is not known."""


def past_poolers() -> Mapping[str, Any]:
    """What psycopg connects with to PostgreSQL itself: a session that is nobody else's."""
    parameters: dict[str, Any] = connections[settings.DIRECT_DATABASE].get_connection_params()
    del parameters["cursor_factory"]
    return parameters


class Channel:
    """One connection, made when it is first used and again after it broke.

    Args:
        parameters: gives what psycopg connects with.
        greeting: the first statement on every connection, and its values.
        patience: seconds for an answer, and for a connection.
        notified: called after a notification has arrived.
    """

    def __init__(
        self,
        parameters: Callable[[], Mapping[str, Any]],
        greeting: tuple[str, Sequence[str]],
        patience: int,
        notified: Callable[[], None] | None = None,
    ) -> None:
        self._parameters = parameters
        self._greeting = greeting
        self._patience = patience
        self._notified = notified
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket = -1
        self._names: dict[str, bytes] = {}
        self._results: list[pq.abc.PGresult] = []
        self._waiting: asyncio.Future[None] | None = None

    async def execute(self, query: str, values: Sequence[str | bytes]) -> Rows:
        """Run one statement in a transaction of its own, and return its rows.

        Raises:
            psycopg.Error: the database refused the statement.
            ChannelBroken: nothing is known.
        """
        try:
            async with asyncio.timeout(self._patience):
                if self._connection is None:
                    await self._connect()
                return await self._run(query, values)
        except (psycopg.OperationalError, TimeoutError, OSError) as error:
            self.close()
            raise ChannelBroken(type(error).__name__) from error
        except BaseException:
            if self._waiting is not None:  # left in the middle of an answer
                self.close()
            raise

    def close(self) -> None:
        """Disconnect at once."""
        connection, self._connection = self._connection, None
        self._names.clear()
        self._results.clear()
        if connection is not None:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(self._socket)
                self._loop.remove_writer(self._socket)
            connection.pgconn.finish()
        self._wake()

    async def _connect(self) -> None:
        parameters = {**self._parameters(), "autocommit": True}
        connection = await psycopg.AsyncConnection.connect(**parameters)
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._socket = connection.pgconn.socket
        self._loop.add_reader(self._socket, self._read)
        await self._run(*self._greeting)

    async def _run(self, query: str, values: Sequence[str | bytes]) -> Rows:
        connection = self._connection
        if connection is None:
            raise psycopg.OperationalError("the connection is gone")
        name = self._names.get(query)
        if name is None:
            name = b"aim%d" % len(self._names)
            connection.pgconn.send_prepare(name, query.encode())
            await self._answer(connection.pgconn)
            self._names[query] = name
        octets = [value.encode() if isinstance(value, str) else value for value in values]
        connection.pgconn.send_query_prepared(name, octets, result_format=pq.Format.BINARY)
        result = await self._answer(connection.pgconn)
        if not result.ntuples:
            return []
        transformer = Transformer(connection)
        transformer.set_pgresult(result)
        return transformer.load_rows(0, result.ntuples, tuple)

    async def _answer(self, wire: pq.abc.PGconn) -> pq.abc.PGresult:
        """Wait for the result of what was sent."""
        loop = asyncio.get_running_loop()
        self._waiting = loop.create_future()
        if wire.flush():  # more than the socket takes at once
            loop.add_writer(self._socket, self._write)
        await self._waiting
        self._waiting = None
        if not self._results:
            raise psycopg.OperationalError("the connection is gone")
        result = self._results[-1]
        self._results.clear()
        if result.status not in _FINE:
            raise error_from_result(result)
        return result

    def _read(self) -> None:
        """Take what has arrived; called by the loop, also when the other end hangs up."""
        if self._connection is None:
            return
        wire = self._connection.pgconn
        try:
            wire.consume_input()
            while not wire.is_busy():
                result = wire.get_result()
                if result is None:
                    if self._results:
                        self._wake()
                    break
                self._results.append(result)
            while self._notified is not None and wire.notifies() is not None:
                self._notified()
        except psycopg.OperationalError:
            self._results.clear()
            self.close()

    def _write(self) -> None:
        if self._connection is None or self._loop is None:
            return
        try:
            if not self._connection.pgconn.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.OperationalError:
            self.close()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)
