"""What goes to Mistral, and an answer whose head has arrived."""

from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import replace

from tenants.common.secrets import Secret
from tenants.mistral.connection import Connection
from tenants.mistral.errors import (
    UNREADABLE,
    UNSENDABLE_KEY,
    KeyRefusedError,
    WireError,
    answer_lost,
)
from tenants.mistral.headers import read_correlation_id
from tenants.mistral.masking import is_plausible_key


class Outgoing:
    """A request as it is to be sent. No dataclass: there is one for every call.

    Args:
        start: request line and headers as they are written, all but the Authorization.
        body: at once, or as it comes.
        key: for the Authorization.
        length: bytes of a body that comes in pieces; None: not known.
        connect: seconds to get a connection.
        idle: seconds without a byte of the answer.
    """

    __slots__ = ("_key", "_start", "body", "connect", "idle", "length")

    def __init__(
        self,
        start: str,
        body: bytes | AsyncIterable[bytes],
        *,
        key: Secret[str],
        length: int | None,
        connect: float,
        idle: float,
    ) -> None:
        self._start = start
        self._key = key
        self.body = body
        self.length = length
        self.connect = connect
        self.idle = idle

    def require_sendable_key(self) -> None:
        """Refuse a key that no header can carry.

        Raises:
            KeyRefusedError: nothing was sent.
        """
        if not is_plausible_key(self._key.reveal()):
            raise KeyRefusedError(UNSENDABLE_KEY)

    def head(self) -> bytes:
        """Write the head with the key in it, for no variable that an error's frames could keep."""
        return f"{self._start}Authorization: Bearer {self._key.reveal()}\r\n\r\n".encode("latin-1")


class UpstreamResponse:
    """The head, and the body as it arrives.

    Attributes:
        status: HTTP's.
        headers: names in lower case; of a repeated header the first.
    """

    __slots__ = ("_connection", "headers", "status")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.status: int = connection.status
        self.headers: Mapping[str, str] = connection.headers

    @property
    def correlation_id(self) -> str | None:
        """Mistral's id of this answer."""
        return read_correlation_id(self.headers)

    async def next_chunk(self) -> bytes:
        """Give what has arrived, at least one byte; nothing at the end of the answer.

        Raises:
            AnswerLostError: the connection broke, or stayed silent too long.
        """
        connection = self._connection
        if connection.headers is self.headers:  # else it speaks for somebody else by now
            part = await connection.next_part()
            if part or connection.is_over:
                return part
        raise answer_lost(self.status, self.correlation_id)

    async def read(
        self,
        limit: int,
        first: bytes = b"",
        keep: Callable[[int], Awaitable[None]] | None = None,
    ) -> bytes:
        """Read the whole answer of at most `limit` bytes.

        Args:
            limit: bytes, beyond which it is not read.
            first: what has been read of it.
            keep: is told how many bytes there are, before more are read.

        Raises:
            AnswerLostError: it did not come whole.
            WireError: it is larger.
        """
        body = bytearray(first)
        if keep is not None:
            await keep(len(body))
        while chunk := await self.next_chunk():
            body += chunk
            if len(body) > limit:
                failure = replace(
                    UNREADABLE, http_status=self.status, correlation_id=self.correlation_id
                )
                raise WireError("body", f"at most {limit} bytes", failure)
            if keep is not None:
                await keep(len(body))
        return bytes(body)
