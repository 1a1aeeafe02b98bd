"""One HTTP exchange with a caller, in ASGI's messages."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from tenants.common.problems import Problem
from tenants.gateway import refusals, telemetry
from tenants.gateway.bounds import bounds
from tenants.gateway.refusals import Headers
from tenants.gateway.weighing import LIGHT

#: Bytes that are handed over at once. The server takes any number of them in one piece, and keeps
#: them until its caller has read them.
_PIECE = 64 * 1024

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]


@dataclass(slots=True)
class Exchange:
    """One HTTP exchange with a caller.

    Attributes:
        leave: lets go of the request's body when the exchange is over.
        may_cost: Mistral may bill something of what was sent for it.
    """

    receive: Receive
    send: Send
    request_id: str
    is_started: bool = False
    extra: Headers = field(default_factory=list)
    leave: Callable[[], None] | None = None
    may_cost: bool = False

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a body that is whole.

        Raises:
            TimeoutError: the caller takes it too slowly.
        """
        if status != HTTPStatus.NO_CONTENT:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self.start(status, headers)
        if len(body) > LIGHT:
            await self._send_slowly(body)
        else:
            await self.send({"type": "http.response.body", "body": body})

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head."""
        self.is_started = True
        headers.append((b"x-request-id", self.request_id.encode()))
        headers += self.extra
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def _send_slowly(self, body: bytes) -> None:
        """Send a large body as fast as its caller takes it: the server keeps a few pieces only."""
        limits, last = bounds(), len(body) - _PIECE
        async with asyncio.timeout(limits.lag + len(body) / limits.slowest):
            for at in range(0, len(body), _PIECE):
                piece = {"body": body[at : at + _PIECE], "more_body": at < last}
                await self.send({"type": "http.response.body", **piece})

    async def refuse(self, problem: Problem) -> None:
        """Answer with a refusal of ours, if the answer has not begun: else it stays broken off."""
        if self.is_started:
            return
        telemetry.note_refused(problem.code, problem.members.get("reason"))
        await self.answer(*refusals.ours(problem, self.request_id))
