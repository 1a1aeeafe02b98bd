"""What goes to Mistral, and an answer whose head has arrived, whichever client brings it."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from dataclasses import replace

from tenants.common.secrets import Secret
from tenants.mistral.errors import UNREADABLE, UNSENDABLE_KEY, KeyRefusedError, WireError
from tenants.mistral.headers import read_correlation_id
from tenants.mistral.masking import is_plausible_key


class Outgoing[Body: bytes | AsyncIterable[bytes]]:
    """A request as a client is to send it. No dataclass: there is one for every call.

    Args:
        method: HTTP method.
        url: whole, already encoded.
        headers: all but the Authorization.
        body: at once, or as it comes.
        key: for the Authorization.
        connect: seconds to get a connection.
        idle: seconds without a byte of the answer.
    """

    __slots__ = ("_key", "body", "connect", "headers", "idle", "method", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Body,
        *,
        key: Secret[str],
        connect: float,
        idle: float,
    ) -> None:
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.connect = connect
        self.idle = idle
        self._key = key

    def require_sendable_key(self) -> None:
        """Refuse a key that no header can carry.

        Raises:
            KeyRefusedError: nothing was sent.
        """
        if not is_plausible_key(self._key.reveal()):
            raise KeyRefusedError(UNSENDABLE_KEY)

    @property
    def authorization(self) -> str:
        """The header that holds the key, in no variable of a frame that an error could keep."""
        return f"Bearer {self._key.reveal()}"


class UpstreamResponse(ABC):
    """The head, and the body as it arrives.

    Args:
        status: HTTP's.
        headers: names in any case; of a repeated header the first.
    """

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        self.status = status
        self.headers = headers

    @property
    def correlation_id(self) -> str | None:
        """Mistral's id of this answer."""
        return read_correlation_id(self.headers)

    @abstractmethod
    async def next_chunk(self) -> bytes:
        """Give what has arrived, at least one byte; nothing at the end of the answer.

        Raises:
            AnswerLostError: the connection broke, or stayed silent too long.
        """

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
