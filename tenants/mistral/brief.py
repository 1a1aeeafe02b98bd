"""The way to Mistral for calls whose answer comes in one piece: pyreqwest, an HTTP client in Rust.

It costs about half of what aiohttp does for such a call (docs/benchmarks.md). For a stream it costs
more, because every chunk wakes the event loop from another thread: `stream.py` keeps those. What it
promises is the same: nothing is decoded, followed, kept or sent twice, and an error tells whether
the request can have reached Mistral and holds nothing of it. `idle` bounds the whole answer here.
"""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from multidict import CIMultiDict
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import DetailedPyreqwestError, PoolTimeoutError, PyreqwestError
from pyreqwest.http import HeaderMap
from pyreqwest.request import StreamRequest
from pyreqwest.response import Response

from tenants.mistral.errors import MistralError, answer_lost, never_reached
from tenants.mistral.tls import certificates
from tenants.mistral.upstream import Outgoing, UpstreamResponse

# What pyreqwest calls a ConnectError may also befall a request that was sent; only the cause tells.
# Should its words change, a call that was not sent counts as one that may have been: the safe side.
_NEVER_CONNECTED = "client error (Connect)"
_LOST = (PyreqwestError, OSError)
# What is told to be no longer is fetched in one go.
_ONE_PIECE = 1024 * 1024


def open_client(connections: int, keepalive: float, connect: float) -> Client:
    """Make the client of one event loop; it connects when first used."""
    builder = (
        ClientBuilder()
        .max_connections(connections)
        .pool_timeout(timedelta(seconds=connect))
        .connect_timeout(timedelta(seconds=connect))
        .pool_idle_timeout(timedelta(seconds=keepalive))
        .tcp_nodelay(True)  # noqa: FBT003 - pyreqwest's own signatures, here and below
        .follow_redirects(False)  # noqa: FBT003
        .default_cookie_store(False)  # noqa: FBT003
        .referer(False)  # noqa: FBT003
        .gzip(False)  # noqa: FBT003
        .brotli(False)  # noqa: FBT003
        .zstd(False)  # noqa: FBT003
        .deflate(False)  # noqa: FBT003
        .no_proxy()
        .http1_only()
    )
    for certificate in certificates():
        builder = builder.add_root_certificate_der(certificate)
    return builder.build()


def can_carry(headers: Mapping[str, str]) -> bool:
    """Tell whether these headers are plain enough: pyreqwest takes visible ASCII only."""
    return all(value.isascii() and value.isprintable() for value in headers.values())


class BriefResponse(UpstreamResponse):
    """An answer that pyreqwest brings."""

    def __init__(self, raw: Response) -> None:
        super().__init__(raw.status, _readable(raw.headers))
        self._raw = raw
        told = self.headers.get("content-length", "")
        self._is_one_piece = told.isdecimal() and int(told) <= _ONE_PIECE
        self._is_over = False

    async def next_chunk(self) -> bytes:
        """Give what has arrived; the whole answer at once where it is short."""
        if self._is_over:
            return b""
        try:
            if self._is_one_piece:
                self._is_over = True
                return bytes(await self._raw.bytes())
            return bytes(await self._raw.body_reader.read_chunk() or b"")
        except _LOST:
            pass
        raise answer_lost(self.status, self.correlation_id)


class BriefSending:
    """A request, sent on entering; see `UpstreamPool.send`."""

    __slots__ = ("_client", "_outgoing", "_request")

    def __init__(self, client: Client, outgoing: Outgoing[bytes]) -> None:
        self._client = client
        self._outgoing = outgoing
        self._request: StreamRequest | None = None

    async def __aenter__(self) -> BriefResponse:
        """Send, and wait for the head of the answer.

        Raises:
            NeverReachedError: no connection, or none free in time.
            AnswerLostError: sent, and no answer came.
            KeyRefusedError: no header can carry this key; nothing was sent.
        """
        self._outgoing.require_sendable_key()
        # Errors are built in the handlers and raised after them: theirs may hold the request.
        failure: MistralError
        try:
            self._request = self._prepare()
            raw = await self._request.__aenter__()
        except _LOST as error:
            self._request = None
            failure = never_reached() if _never_connected(error) else answer_lost()
        else:
            return BriefResponse(raw)
        raise failure

    async def __aexit__(self, *_: object) -> None:
        """Let go of the answer; one that is not over loses its connection."""
        if self._request is not None:
            await self._request.__aexit__(None, None, None)

    def _prepare(self) -> StreamRequest:
        """Build the request here, so that no frame of an error holds the key."""
        outgoing = self._outgoing
        asked = self._client.request(outgoing.method, outgoing.url).headers(outgoing.headers)
        asked = asked.header("authorization", outgoing.authorization, is_sensitive=True)
        # Its own clock ends a request; to leave one, as a cancelled task does, does not.
        asked = asked.timeout(timedelta(seconds=outgoing.connect + outgoing.idle))
        if outgoing.body:
            asked = asked.body_bytes(outgoing.body)
        return asked.streamed_read_buffer_limit(1).build_streamed()


def _readable(headers: HeaderMap) -> Mapping[str, str]:
    """Give the headers that can be read.

    pyreqwest reads visible ASCII only, and refuses all of them for one that is something else.
    """
    try:
        return CIMultiDict(headers.items())
    except ValueError:
        pass
    found = CIMultiDict[str]()
    for name in headers.keys():  # noqa: SIM118 - no mapping
        with suppress(ValueError):
            found[name] = headers[name]
    return found


def _never_connected(error: Exception) -> bool:
    if isinstance(error, PoolTimeoutError):
        return True
    if not isinstance(error, DetailedPyreqwestError):
        return False
    return any(cause["message"] == _NEVER_CONNECTED for cause in error.details["causes"] or ())
