"""Reads the bodies of requests: how large, how slow and how many at once they may be.

Of all places for calls under way no organization has more than its part, with however many tokens.
A body that is read as a whole stays in memory until its call is over. Small ones are bounded by how
many calls there may be; all others share a budget, of which no organization has more than its part,
and so do forms that wait on disk.
A body comes piece by piece without long pauses, and at a rate that the slowest honest line has: who
sends a byte now and then is not waited for. Only waiting for the caller counts, not what happens
to the pieces.
"""

import time
from collections.abc import Mapping
from uuid import UUID

from tenants.common.problems import Invalid, Problem
from tenants.gateway.bounds import Bounds
from tenants.gateway.exchange import Message, Receive
from tenants.gateway.patience import Patience
from tenants.gateway.rooms import Full, Room
from tenants.gateway.spool import Spool
from tenants.gateway.weighing import LIGHT

_IN_MEMORY = Full(
    "Calls under way with this organization's tokens have too large bodies together. Wait for some"
    " to end, and try again.",
    "The gateway has too many large bodies under way. Try again.",
)
_ON_DISK = Full(
    "Forms of this organization's that tell their `model` after their file are too large together."
    " Send `model` before the file: then nothing has to wait here. Or wait for some to end.",
    "The gateway has too many forms that tell their `model` after their file. Send `model` before"
    " the file: then nothing has to wait here. Or try again.",
)


class Arrivals:
    """The bodies that are arriving, or kept, in one process.

    Attributes:
        memory: for bodies that are kept.
        disk: for forms that wait in temporary files.
    """

    def __init__(self, limits: Bounds) -> None:
        self.limits = limits
        self.patience = Patience(limits.receive)
        self.memory = Room(limits.bodies, limits.bodies_of_one, _IN_MEMORY)
        self.disk = Room(limits.waiting, limits.waiting_of_one, _ON_DISK)
        self._calls: dict[UUID, int] = {}

    def enter(self, whose: UUID) -> None:
        """Count a call that is under way.

        Raises:
            Problem: this organization has too many (429).
        """
        calls = self._calls.get(whose, 0) + 1
        if calls > self.limits.calls_of_organization:
            raise Problem(
                "too_many_at_once",
                "This organization's tokens have too many calls under way. Wait for some to end,"
                " and try again.",
                status=429,
                retry_after=1,
            )
        self._calls[whose] = calls

    def go(self, whose: UUID) -> None:
        """Count a call no longer."""
        left = self._calls[whose] - 1
        if left:
            self._calls[whose] = left
        else:
            del self._calls[whose]


class Arrival:
    """One call, under way until it leaves, and its body: to be had as a whole or piece by piece.

    Args:
        arrivals: of the process.
        whose: organization's budget it counts for.
        receive: the caller's messages.
        headers: of the request.

    Raises:
        Problem: its organization has too many calls under way (429).
    """

    __slots__ = (
        "_arrivals",
        "_has_left",
        "_headers",
        "_is_over",
        "_kept",
        "_receive",
        "_seen",
        "_spool",
        "_waited",
        "_whose",
    )

    def __init__(
        self, arrivals: Arrivals, whose: UUID, receive: Receive, headers: Mapping[bytes, bytes]
    ) -> None:
        self._arrivals = arrivals
        self._whose = whose
        self._receive = receive
        self._headers = headers
        self._kept = 0
        self._seen = 0
        self._waited = 0.0
        self._is_over = False
        self._has_left = False
        self._spool: Spool | None = None
        arrivals.enter(whose)

    async def whole(self) -> bytes:
        """Read the whole body, and keep room for it until ``leave``.

        Raises:
            Invalid: too large (413), too slow (408), compressed (415) or not whole (400).
            Problem: there is no room for it now (429, 503).
        """
        most = self._arrivals.limits.body
        if self._headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Invalid("unsupported_encoding", "Send the body uncompressed.", status=415)
        told = self._headers.get(b"content-length", b"0")
        if told.isdigit() and int(told) > most:
            raise _too_large(most)
        message = await self._next()
        body: bytes = message.get("body", b"")
        self._keep(len(body))
        if not message.get("more_body"):
            return body
        parts = [body]
        while message.get("more_body"):
            message = await self._next_in_time()
            parts.append(message.get("body", b""))
            self._keep(len(parts[-1]))
        return b"".join(parts)

    async def piece(self) -> bytes:
        """Read the next piece; nothing at the end of the body.

        Raises:
            Invalid: it came too slowly, or not at all.
        """
        while not self._is_over:
            message = await self._next_in_time()
            self._is_over = not message.get("more_body", False)
            if data := message.get("body", b""):
                self._seen += len(data)
                return bytes(data)
        return b""

    def keep(self, size: int) -> None:
        """Have room for so many bytes, in all, of what comes piece by piece; little needs none.

        Raises:
            Problem: there is no room for them now (429, 503).
        """
        wanted = size if size > LIGHT and not self._has_left else 0
        if wanted > self._kept:
            self._arrivals.memory.take(self._whose, wanted - self._kept)
        elif wanted < self._kept:
            self._arrivals.memory.give(self._whose, self._kept - wanted)
        self._kept = wanted

    def spool(self) -> Spool:
        """Have a temporary file, until ``leave`` at the latest; one at most."""
        self._spool = Spool(self._arrivals.disk, self._whose)
        return self._spool

    def leave(self) -> None:
        """Let go of what was kept, for good; it is done once."""
        self._has_left = True
        if self._spool is not None:
            self._spool.close()
        self._arrivals.go(self._whose)
        if self._kept:
            self._arrivals.memory.give(self._whose, self._kept)
            self._kept = 0

    def _keep(self, more: int) -> None:
        self._seen += more
        if self._seen > self._arrivals.limits.body:
            raise _too_large(self._arrivals.limits.body)
        if self._seen > LIGHT:
            missing = self._seen - self._kept
            self._arrivals.memory.take(self._whose, missing)
            self._kept += missing

    async def _next(self) -> Message:
        try:
            message = await self._arrivals.patience.wait(self._receive())
        except TimeoutError:
            raise _too_slow() from None
        if message["type"] != "http.request":
            # Who has left does not hear it; who sent no body that can be read, as in chunks whose
            # sizes are no numbers, would else be told by the server that it had failed.
            raise Invalid("broken_body", "The body did not arrive whole.", status=400)
        return message

    async def _next_in_time(self) -> Message:
        began = time.monotonic()
        message = await self._next()
        self._waited += time.monotonic() - began
        limits = self._arrivals.limits
        if message.get("more_body") and self._waited > limits.lag + self._seen / limits.slowest:
            raise _too_slow()
        return message


def _too_slow() -> Invalid:
    return Invalid("too_slow", "The body did not arrive in time.", status=408)


def _too_large(most: int) -> Invalid:
    return Invalid("body_too_large", f"The body is larger than {most} bytes.", status=413)
