"""The gateway's way to Mistral: a pool that hands bytes on as they arrive.

aiohttp carries streams, pyreqwest (`brief.py`) what comes in one piece: each is the faster there.

It does not decode, follow redirects, keep cookies or retry a POST. An error tells whether the
request can have reached Mistral, which decides whether a call may cost money, and holds nothing of
the request: aiohttp's own errors, which hold its headers, are never chained.

The caller must not hold a database transaction; on the event loop there is none to check.
"""

import asyncio
import io
from collections.abc import AsyncIterable, Awaitable, Mapping
from dataclasses import dataclass
from typing import Self

import aiohttp
from pyreqwest.client import Client
from yarl import URL

from tenants.common.secrets import Secret
from tenants.mistral import brief
from tenants.mistral.address import join, service_root
from tenants.mistral.brief import BriefSending
from tenants.mistral.errors import MistralError, answer_lost, never_reached
from tenants.mistral.headers import USER_AGENT
from tenants.mistral.tls import trusted
from tenants.mistral.upstream import Outgoing, UpstreamResponse

# aiohttp warns above this size, because a single write of so much would hold up the loop.
_MAX_SINGLE_WRITE = 1024 * 1024
_NOT_CONNECTED = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ServerFingerprintMismatch,
)
_LOST = (aiohttp.ClientError, OSError)


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How many connections at once, and how long (seconds) an unused one is kept.

    Kept shorter than a server keeps its side: a POST on a connection that the server is closing
    fails without telling whether it was read.
    """

    connections: int = 1000
    keepalive: float = 15.0


@dataclass(frozen=True, slots=True)
class PoolTimeouts:
    """Seconds to get a connection, and seconds without a byte of the answer.

    Mistral gives up after ten minutes of inactivity (docs, known limitations); so do we.
    """

    connect: float = 10.0
    idle: float = 600.0


class _Response(UpstreamResponse):
    """An answer that aiohttp brings."""

    def __init__(self, raw: aiohttp.ClientResponse) -> None:
        super().__init__(raw.status, raw.headers)
        self._raw = raw

    async def next_chunk(self) -> bytes:
        """Give what has arrived."""
        try:
            return await self._raw.content.readany()
        except _LOST:
            pass
        raise answer_lost(self.status, self.correlation_id)


class UpstreamPool:
    """Connections to one address, shared by all requests of an event loop.

    Args:
        base_url: `https://api.mistral.ai`, with or without `/v1`.
        limits: how many connections.
        timeouts: how long to wait.
    """

    def __init__(
        self,
        base_url: str,
        *,
        limits: PoolLimits = PoolLimits(),
        timeouts: PoolTimeouts = PoolTimeouts(),
    ) -> None:
        self._root = service_root(base_url)
        self._limits = limits
        self._timeouts = timeouts
        self._session: aiohttp.ClientSession | None = None
        self._client: Client | None = None

    def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | AsyncIterable[bytes] = b"",
        *,
        key: Secret[str],
        length: int | None = None,
        accept_encoding: str = "identity",
        idle: float | None = None,
        is_stream: bool = True,
    ) -> "Sending | BriefSending":
        """Prepare a request, to be sent by `async with … as response`.

        Leaving the block before the end of the answer closes the connection. Use it inside the
        event loop that will close the pool.

        Args:
            method: HTTP method.
            path: from `/v1` on, query included, already encoded.
            headers: what `tenants.mistral.headers.forwarded` let through.
            body: sent as it is; pieces are sent as they come, and what they raise breaks it off.
            length: of a body that comes in pieces; None: not known.
            key: goes into the Authorization header.
            accept_encoding: what Mistral may compress with; nothing is decoded here.
            idle: seconds without a byte, if other than the pool's.
            is_stream: whether the answer will come piece by piece, as far as is known: it decides
                which client is used, and nothing else.

        Raises:
            ValueError: a path that is none of the API's.
        """
        connect = self._timeouts.connect
        idle = self._timeouts.idle if idle is None else idle
        address = join(self._root, path)
        hygienic = {**headers, "Accept-Encoding": accept_encoding, "User-Agent": USER_AGENT}
        if length is not None:
            hygienic["Content-Length"] = str(length)
        if not is_stream and isinstance(body, bytes) and brief.can_carry(headers):
            return BriefSending(
                self._open_brief(),
                Outgoing(method, address, hygienic, body, key=key, connect=connect, idle=idle),
            )
        return Sending(
            self._open(),
            Outgoing(method, address, hygienic, body, key=key, connect=connect, idle=idle),
        )

    async def close(self) -> None:
        """Close the connections; requests still under way lose their answers."""
        if self._session is not None:
            await self._session.close()
            self._session = None
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _open_brief(self) -> Client:
        if self._client is None:
            limits = self._limits
            self._client = brief.open_client(
                limits.connections, limits.keepalive, self._timeouts.connect
            )
        return self._client

    def _open(self) -> aiohttp.ClientSession:
        """Open the session on first use: it belongs to the loop that runs then."""
        if self._session is None:
            self._session = aiohttp.ClientSession(
                auto_decompress=False,
                connector=aiohttp.TCPConnector(
                    keepalive_timeout=self._limits.keepalive,
                    limit=self._limits.connections,
                    ssl=trusted(),
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Accept", "Content-Type"),
                trust_env=False,
            )
        return self._session


class Sending:
    """A request, sent on entering; see `UpstreamPool.send`."""

    __slots__ = ("_outgoing", "_raw", "_session")

    def __init__(
        self,
        session: aiohttp.ClientSession,
        outgoing: Outgoing[bytes | AsyncIterable[bytes]],
    ) -> None:
        self._session = session
        self._outgoing = outgoing
        self._raw: aiohttp.ClientResponse | None = None

    async def __aenter__(self) -> UpstreamResponse:
        """Send, and wait for the head of the answer.

        Raises:
            NeverReachedError: no connection, or none free in time.
            AnswerLostError: sent, and no answer came.
            KeyRefusedError: no header can carry this key; nothing was sent.
        """
        outgoing = self._outgoing
        outgoing.require_sendable_key()
        # Errors are built in the handlers and raised after them: aiohttp's hold the request.
        failure: MistralError
        try:
            # aiohttp watches the silence after a request, but not a server that stops reading one.
            async with asyncio.timeout(outgoing.connect + outgoing.idle):
                self._raw = await self._request()
        except _NOT_CONNECTED:
            failure = never_reached()
        except _LOST:
            failure = answer_lost()
        else:
            return _Response(self._raw)
        raise failure

    async def __aexit__(self, *_: object) -> None:
        if self._raw is not None:
            self._raw.close()

    def _request(self) -> Awaitable[aiohttp.ClientResponse]:
        """Build the request here, so that no frame of an error holds the key."""
        outgoing = self._outgoing
        body: bytes | io.BytesIO | AsyncIterable[bytes] = outgoing.body
        if isinstance(body, bytes) and len(body) > _MAX_SINGLE_WRITE:
            body = io.BytesIO(body)
        return self._session.request(
            outgoing.method,
            URL(outgoing.url, encoded=True),
            allow_redirects=False,
            data=body or None,
            headers={**outgoing.headers, "Authorization": outgoing.authorization},
            timeout=aiohttp.ClientTimeout(
                total=None, connect=outgoing.connect, sock_read=outgoing.idle
            ),
        )
