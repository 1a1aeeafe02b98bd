"""The gateway's way to Mistral: a pool that hands bytes on as they arrive (ADR 22).

It does not decode, follow redirects, keep cookies, ask a proxy or retry a POST. An error tells
whether the request can have reached Mistral, which decides whether a call may cost money, and holds
nothing of the request.

The caller must not hold a database transaction; on the event loop there is none to check.
"""

import re
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from tenants.common.secrets import Secret
from tenants.mistral.address import join, service_root
from tenants.mistral.connections import Connections
from tenants.mistral.headers import USER_AGENT
from tenants.mistral.sending import Sending
from tenants.mistral.tls import trusted
from tenants.mistral.upstream import Outgoing

_BODILESS = frozenset({"GET", "DELETE"})
_PORTS = {"http": 80, "https": 443}
# What would end a header, be read in another way by somebody (RFC 9110 §5.5), or is no byte.
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]|[^\x00-\xff]")


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
        address = urlsplit(service_root(base_url))
        self._is_secure = address.scheme == "https"
        self._prefix = address.path
        self._host = (address.hostname or "").encode("idna").decode()
        self._port = address.port or _PORTS[address.scheme]
        shown = f"[{self._host}]" if ":" in self._host else self._host
        if address.port is not None and address.port != _PORTS[address.scheme]:
            shown = f"{shown}:{address.port}"
        self._always = f" HTTP/1.1\r\nHost: {shown}\r\nUser-Agent: {USER_AGENT}\r\n"
        self._limits = limits
        self._timeouts = timeouts
        self._connections: Connections | None = None

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
    ) -> Sending:
        """Prepare a request, to be sent by `async with … as response`.

        Leaving the block before the end of the answer closes the connection. Use it inside the
        event loop that will close the pool.

        Args:
            method: HTTP method, not HEAD.
            path: from `/v1` on, query included, already encoded.
            headers: what `tenants.mistral.headers.forwarded` let through.
            body: sent as it is; pieces are sent as they come, and what they raise breaks it off.
            length: of a body that comes in pieces; None: not known.
            key: goes into the Authorization header.
            accept_encoding: what Mistral may compress with; nothing is decoded here.
            idle: seconds without a byte, if other than the pool's.

        Raises:
            ValueError: a path that is none of the API's, or a header that cannot be sent.
        """
        target = join(self._prefix, path)
        sent = "".join(f"{name}: {value}\r\n" for name, value in headers.items() if _fits(value))
        start = f"{method} {target}{self._always}Accept-Encoding: {accept_encoding}\r\n{sent}"
        if not isinstance(body, bytes):
            framing = (
                "Transfer-Encoding: chunked" if length is None else f"Content-Length: {length}"
            )
            start = f"{start}{framing}\r\n"
        elif body or method not in _BODILESS:
            start = f"{start}Content-Length: {len(body)}\r\n"
        outgoing = Outgoing(
            start,
            body,
            key=key,
            length=length,
            connect=self._timeouts.connect,
            idle=self._timeouts.idle if idle is None else idle,
        )
        return Sending(self._open(), outgoing)

    async def close(self) -> None:
        """Close the connections; requests still under way lose their answers."""
        if self._connections is not None:
            self._connections.close()
            self._connections = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _open(self) -> Connections:
        """Make the connections' keeper on first use: it belongs to the loop that runs then."""
        if self._connections is None:
            self._connections = Connections(
                self._host,
                self._port,
                trusted() if self._is_secure else None,
                most=self._limits.connections,
                keepalive=self._limits.keepalive,
            )
        return self._connections


def _fits(value: str) -> bool:
    """Tell that a header can be sent.

    Raises:
        ValueError: it cannot.
    """
    if _UNSENDABLE.search(value):
        raise ValueError("a character in a header that none can have")
    return True
