"""A request on its way to Mistral, and its connection until the answer is taken or given up."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Final

from tenants.mistral.connection import Connection
from tenants.mistral.connections import Connections
from tenants.mistral.errors import answer_lost, cut_short
from tenants.mistral.upstream import Outgoing, UpstreamResponse

#: Bytes of a body that go out with the head of the request, and of each piece of a larger one.
AT_ONCE: Final = 64 * 1024
_FIRST_REFUSAL: Final = 300

#: A piece, and whether nothing follows it.
type _Piece = tuple[bytes | memoryview, bool]
type _Pieces = AsyncGenerator[_Piece]


class Sending:
    """A request, sent on entering; see `UpstreamPool.send`.

    A large body, and one in pieces, is written beside the waiting for its answer; its first piece
    is had before anything else. An answer that refuses it before its end cuts it short; any other
    waits for the rest. What its pieces raise breaks the request off.
    """

    __slots__ = ("_connection", "_connections", "_is_sent", "_is_whole", "_outgoing", "_upload")

    def __init__(self, connections: Connections, outgoing: Outgoing) -> None:
        self._connections = connections
        self._outgoing = outgoing
        self._connection: Connection | None = None
        self._upload: asyncio.Task[None] | None = None
        # No byte is left to be handed to the loop; and nothing is left to do but to wait.
        self._is_whole = self._is_sent = True

    async def __aenter__(self) -> UpstreamResponse:
        """Send, and wait for the head of the answer.

        Raises:
            NeverReachedError: no connection, or none free in time; or the connection or the pieces
                ended before the request was whole.
            AnswerLostError: sent, and no answer came.
            KeyRefusedError: no header can carry this key; nothing was sent.
        """
        outgoing = self._outgoing
        outgoing.require_sendable_key()
        body: bytes | memoryview
        if isinstance(outgoing.body, bytes) and len(outgoing.body) <= AT_ONCE:
            body, pieces = outgoing.body, None
        else:
            pieces = _framed(outgoing)
            body, self._is_whole = await _first(pieces)
        connections = self._connections
        try:
            connection = connections.at_hand() or await connections.lend(outgoing.connect)
        except BaseException:
            if pieces is not None:
                await pieces.aclose()
            raise
        self._connection = connection
        connection.begin(outgoing.head() + body, outgoing.idle)
        if pieces is not None:
            self._is_sent = False
            self._upload = asyncio.create_task(self._write(connection, pieces))
        try:
            await connection.answered()
        except BaseException:
            await self._leave(connection)
            raise
        if not connection.status:
            error = answer_lost() if self._is_whole else cut_short()
            await self._leave(connection)
            raise error
        return UpstreamResponse(connection)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of the answer; one that is not over loses its connection."""
        if self._connection is not None:
            await self._leave(self._connection)

    async def _leave(self, connection: Connection) -> None:
        self._connection = None
        upload = self._upload
        if not self._is_sent or not connection.is_over:
            connection.close()
        self._connections.give_back(connection)
        if upload is not None and not upload.done():
            upload.cancel()
            await asyncio.wait({upload})  # its pieces are the caller's, who may go on with them

    async def _write(self, connection: Connection, pieces: _Pieces) -> None:
        """Write the rest of the body, until it is refused or its pieces end or fail."""
        try:
            # What the pieces raise is known to whoever gives them.
            with suppress(Exception):
                async with aclosing(pieces):
                    async for piece, is_last in pieces:
                        if connection.status >= _FIRST_REFUSAL:
                            return
                        self._is_whole = is_last
                        await connection.write(piece)
                self._is_sent = True
        finally:
            if not self._is_sent and connection.status < _FIRST_REFUSAL:
                connection.close()


async def _first(pieces: _Pieces) -> _Piece:
    """Have the first piece, and whether it is all.

    Raises:
        NeverReachedError: they failed before it.
    """
    with suppress(Exception):
        async for piece in pieces:
            return piece
        return b"", True
    raise cut_short()


async def _framed(outgoing: Outgoing) -> _Pieces:
    """Cut a body into pieces, or frame those that it comes in; with each, whether it is the last.

    Raises:
        ValueError: not as many bytes as the head of the request says; none beyond it is given.
    """
    body, length = outgoing.body, outgoing.length
    if isinstance(body, bytes):
        whole = memoryview(body)
        for start in range(0, len(body), AT_ONCE):
            yield whole[start : start + AT_ONCE], start + AT_ONCE >= len(body)
        return
    if length is None:
        async for piece in body:
            if piece:
                yield b"%x\r\n%b\r\n" % (len(piece), piece), False
        yield b"0\r\n\r\n", True
        return
    left = length
    async for piece in body:
        left -= len(piece)
        if left < 0:
            break
        yield piece, left == 0
    if left:
        raise ValueError("not as many bytes as were announced")
