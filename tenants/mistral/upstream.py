"""An answer of Mistral's whose head has arrived, whichever client brings it."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from tenants.mistral.errors import UNREADABLE, WireError
from tenants.mistral.headers import read_correlation_id


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
