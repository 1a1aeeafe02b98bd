"""The bare pass-throughs that the gateway is measured against: one client each, no metering at all.

They read the whole request, replace the Authorization header, and relay what comes, part by part.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import httpx
from pyreqwest.client import Client, ClientBuilder

from aisuru_mistral import env
from tenants.common.secrets import Secret
from tenants.mistral.pool import UpstreamPool

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]

UPSTREAM = env.load().mistral_api_url
_KEPT = frozenset({"content-type", "content-length"})
_KEY = "upstream" * 4
_HEADERS = {"authorization": "Bearer upstream", "content-type": "application/json"}


async def _read(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _start(status: int, headers: Any) -> Message:
    kept = [
        (name.lower().encode(), value.encode())
        for name, value in headers.items()
        if name.lower() in _KEPT or name.lower().startswith("x-ratelimit")
    ]
    return {"type": "http.response.start", "status": status, "headers": kept}


class WithAiohttp:
    """Pass through with aiohttp."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._session is not None:
            await self._session.close()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
            )
        body = await _read(receive)
        url = UPSTREAM + scope["path"]
        async with self._session.post(url, data=body, headers=_HEADERS) as answer:
            await send(_start(answer.status, answer.headers))
            if answer.content_length is not None:
                whole = await answer.read()
                await send({"type": "http.response.body", "body": whole})
                return
            async for part in answer.content.iter_any():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


class WithHttpx:
    """Pass through with httpx."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if self._client is None:
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
            self._client = httpx.AsyncClient(limits=limits, trust_env=False)
        body = await _read(receive)
        url = UPSTREAM + scope["path"]
        async with self._client.stream("POST", url, content=body, headers=_HEADERS) as answer:
            await send(_start(answer.status_code, answer.headers))
            if "content-length" in answer.headers:
                await send({"type": "http.response.body", "body": await answer.aread()})
                return
            async for part in answer.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


class WithPyreqwest:
    """Pass through with pyreqwest, whose stream is read from its first chunk on, not its last."""

    def __init__(self) -> None:
        self._client: Client | None = None

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if self._client is None:
            builder = ClientBuilder().tcp_nodelay(True).follow_redirects(False).no_proxy()  # noqa: FBT003 - pyreqwest's own signatures
            self._client = builder.gzip(False).http1_only().build()  # noqa: FBT003
        asked = self._client.post(UPSTREAM + scope["path"]).headers(_HEADERS)
        asked = asked.body_bytes(await _read(receive)).streamed_read_buffer_limit(1)
        async with asked.build_streamed() as answer:
            await send(_start(answer.status, answer.headers))
            if answer.get_header("content-length") is not None:
                whole = bytes(await answer.bytes())
                await send({"type": "http.response.body", "body": whole})
                return
            reader = answer.body_reader
            while part := await reader.read_chunk():
                message = {"type": "http.response.body", "body": bytes(part), "more_body": True}
                await send(message)
            await send({"type": "http.response.body", "body": b""})


class WithOurs:
    """Pass through with the gateway's own client."""

    def __init__(self) -> None:
        self._pool: UpstreamPool | None = None

    async def close(self) -> None:
        """Let go of the connections."""
        if self._pool is not None:
            await self._pool.close()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if self._pool is None:
            self._pool = UpstreamPool(UPSTREAM)
        body = await _read(receive)
        headers = {"content-type": "application/json"}
        asked = self._pool.send("POST", scope["path"], headers, body, key=Secret(_KEY))
        async with asked as answer:
            await send(_start(answer.status, answer.headers))
            if "content-length" in answer.headers:
                whole = await answer.read(1024 * 1024)
                await send({"type": "http.response.body", "body": whole})
                return
            while part := await answer.next_chunk():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})


with_aiohttp = WithAiohttp()
with_httpx = WithHttpx()
with_ours = WithOurs()
with_pyreqwest = WithPyreqwest()
