"""One HTTP exchange with a caller, in ASGI's messages."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from tenants.common.problems import Problem
from tenants.gateway import refusals, telemetry
from tenants.gateway.refusals import Headers

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
        """Answer in one piece."""
        if status != HTTPStatus.NO_CONTENT:
            headers = [*headers, (b"content-length", b"%d" % len(body))]
        await self.start(status, headers)
        await self.send({"type": "http.response.body", "body": body})

    async def start(self, status: int, headers: Headers) -> None:
        """Send the head."""
        self.is_started = True
        headers.append((b"x-request-id", self.request_id.encode()))
        headers += self.extra
        await self.send({"type": "http.response.start", "status": status, "headers": headers})

    async def refuse(self, problem: Problem) -> None:
        """Answer with a refusal of ours, if the answer has not begun: else it stays broken off."""
        if self.is_started:
            return
        telemetry.note_refused(problem.code, problem.members.get("reason"))
        await self.answer(*refusals.ours(problem, self.request_id))
