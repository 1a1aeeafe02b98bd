"""Caps how many requests are under way at once: in the process, and of one token.

It stands before everything else and counts what callers present, known or not, so that nobody can
fill the process with requests that are slow to arrive or to be answered. It refuses in Mistral's
error shape and keeps no credential longer than its requests last.
"""

from collections.abc import Awaitable, Callable

from tenants.common.models import new_id
from tenants.common.problems import Problem
from tenants.gateway.bounds import Bounds, bounds
from tenants.gateway.exchange import Exchange, Message, Receive, Send
from tenants.gateway.telemetry import UNDER_WAY

type Application = Callable[[Message, Receive, Send], Awaitable[None]]

_AUTHORIZATION = b"authorization"
_BEARER = "bearer "


def bearer(value: bytes) -> str | None:
    """Read the token of an Authorization header, however its scheme is spelt; None without one.

    Who is counted and who is let in are read off by this alone: no spelling makes two of one.
    """
    text = value.decode("latin-1")
    return text[len(_BEARER) :].strip() if text[: len(_BEARER)].lower() == _BEARER else None


class Crowd:
    """An ASGI application that lets so many requests through to another.

    Args:
        inner: serves them.
        limits: how many.
    """

    def __init__(self, inner: Application, limits: Bounds | None = None) -> None:
        self._inner = inner
        self._limits = limits or bounds()
        self._under_way: dict[str | bytes, int] = {}
        self._all = 0

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        value = next((value for name, value in scope["headers"] if name == _AUTHORIZATION), b"")
        who = bearer(value) or value
        of_one = self._under_way.get(who, 0)
        if of_one >= self._limits.calls_of_one or self._all >= self._limits.calls:
            problem = _too_many_of_one() if of_one >= self._limits.calls_of_one else _too_many()
            await Exchange(receive, send, str(new_id())).refuse(problem)
            return
        self._under_way[who] = of_one + 1
        self._all += 1
        UNDER_WAY.set(self._all)
        try:
            await self._inner(scope, receive, send)
        finally:
            self._all -= 1
            UNDER_WAY.set(self._all)
            left = self._under_way[who] - 1
            if left:
                self._under_way[who] = left
            else:
                del self._under_way[who]


def _too_many_of_one() -> Problem:
    return Problem(
        "too_many_at_once",
        "This token has too many calls under way. Wait for some to end, and try again.",
        status=429,
        retry_after=1,
    )


def _too_many() -> Problem:
    return Problem(
        "busy", "The gateway has too many calls under way. Try again.", status=503, retry_after=1
    )
