"""HTTP as ASGI brings it: one exchange, its answer in one piece or as a stream.

Refuses to know Mistral.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

type Scope = MutableMapping[str, Any]
type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Header = tuple[bytes, bytes]
type Fault = Literal["hang", "reset", "cut"]

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"
MAXIMUM_BODY = 64 * 1024 * 1024


class ExchangeError(Exception):
    """The exchange cannot go on: BodyTooLarge | CallerLeft | Interrupted."""


class BodyTooLarge(ExchangeError):  # noqa: N818 - reads as what happened
    """The request body passed MAXIMUM_BODY."""


class CallerLeft(ExchangeError):  # noqa: N818 - reads as what happened
    """The caller closed the connection before the answer was complete."""


class Interrupted(ExchangeError):  # noqa: N818 - reads as what happened
    """The connection is broken on purpose, or the simulator stops."""


@dataclass(slots=True)
class Reply:
    """An answer in one piece; `fault` replaces or spoils it."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: list[Header] = field(default_factory=list)
    fault: Fault | None = None


@dataclass(slots=True)
class StreamReply:
    """Server-sent events, each with the completion tokens that it carries.

    They are taken one by one, as they are sent: a lazy iterable bills what it gives.
    """

    events: Iterable[tuple[bytes, int]]
    status: int = 200
    content_type: bytes = EVENT_STREAM
    headers: list[Header] = field(default_factory=list)


def json_reply(status: int, payload: Any) -> Reply:
    """A JSON answer."""
    return Reply(status=status, body=orjson.dumps(payload))


def named_event(name: str, payload: Any) -> bytes:
    """A server-sent event with a name."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(payload) + b"\n\n"


class Exchange:
    """One request and the connection that waits for its answer."""

    __slots__ = (
        "_left",
        "_receive",
        "_send",
        "_waiting",
        "headers",
        "method",
        "path",
        "query",
        "scope",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope.get("query_string", b"")
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self._receive = receive
        self._send = send
        self._left: asyncio.Future[None] | None = None
        self._waiting: asyncio.Future[None] | None = None

    async def read_body(self) -> bytes:
        """The whole request body.

        Raises:
            BodyTooLarge: it is larger than MAXIMUM_BODY.
            CallerLeft: the caller went away while sending it.
        """
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body"):
            return bytes(message.get("body", b""))
        parts: list[bytes] = []
        size = 0
        while True:
            if message["type"] != "http.request":
                raise CallerLeft
            part = message.get("body", b"")
            size += len(part)
            if size > MAXIMUM_BODY:
                raise BodyTooLarge
            parts.append(part)
            if not message.get("more_body"):
                return b"".join(parts)
            message = await self._receive()

    async def pause(self, seconds: float | None, waiting: "set[asyncio.Future[None]]") -> None:
        """Wait; None is for ever. `waiting` is where the simulator finds what it must wake to stop.

        Raises:
            CallerLeft: the caller went away meanwhile.
            Interrupted: the simulator stops.
        """
        loop = asyncio.get_running_loop()
        if self._left is None:
            self._left = asyncio.ensure_future(self._until_left())
        timer: asyncio.Future[None] = loop.create_future()
        handle = loop.call_later(seconds, _finish, timer) if seconds is not None else None
        waiting.add(timer)
        try:
            await asyncio.wait((timer, self._left), return_when=asyncio.FIRST_COMPLETED)
            if not timer.done():
                raise CallerLeft
            timer.result()
        finally:
            waiting.discard(timer)
            if handle is not None:
                handle.cancel()
            timer.cancel()

    async def _until_left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def close(self) -> None:
        """Stop listening for the caller's departure."""
        if self._left is not None:
            self._left.cancel()

    async def start(self, reply: Reply | StreamReply, *, length: int | None) -> None:
        """Send status and headers."""
        headers = [(b"content-type", reply.content_type), *reply.headers]
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        await self._send(
            {"type": "http.response.start", "status": reply.status, "headers": headers}
        )

    async def write(self, body: bytes, *, more: bool) -> None:
        """Send one piece of the body."""
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


def _finish(timer: "asyncio.Future[None]") -> None:
    if not timer.done():
        timer.set_result(None)
