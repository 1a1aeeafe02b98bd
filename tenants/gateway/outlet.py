"""Hands an answer to its caller piece by piece, and notices when there is nobody any more."""

import asyncio
from collections.abc import Callable

from tenants.gateway.exchange import Exchange, Message


def _nothing() -> None:
    pass


class Outlet:
    """Hands the pieces of one answer to its caller, for as long as there is one.

    A look now and then costs less than a timer for every piece, and is not exact: who takes nothing
    counts as gone after between one and two times the seconds. In an exchange's own task only.

    Args:
        exchange: with the caller.
        seconds: for which a caller may take nothing.
        when_gone: is called once the caller is.
    """

    __slots__ = (
        "_cancelled",
        "_clock",
        "_is_stuck",
        "_left",
        "_loop",
        "_seconds",
        "_send",
        "_since",
        "_task",
        "_when_gone",
    )

    def __init__(
        self, exchange: Exchange, seconds: float, when_gone: Callable[[], None] = _nothing
    ) -> None:
        self._send = exchange.send
        self._seconds = seconds
        self._when_gone = when_gone
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._cancelled = 0 if self._task is None else self._task.cancelling()
        self._since: float | None = None
        self._is_stuck = False
        self._clock: asyncio.TimerHandle | None = self._loop.call_later(seconds, self._look)
        self._left = asyncio.ensure_future(exchange.receive())
        self._left.add_done_callback(self._hear)

    @property
    def is_gone(self) -> bool:
        """Tell, until it is closed, whether there is nobody any more."""
        return self._is_stuck or self._left.done()

    async def give(self, piece: bytes) -> None:
        """Wait until the caller has taken a piece, or is gone."""
        self._since = self._loop.time()
        try:
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})
        except asyncio.CancelledError:
            # Whoever else has cancelled it as well means it.
            if not self._is_stuck or self._task is None or self._task.uncancel() > self._cancelled:
                raise
        self._since = None

    def close(self) -> None:
        """Look no more."""
        if self._clock is not None:
            self._clock.cancel()
        self._clock = None
        self._left.cancel()
        # granian's future keeps its callback, which keeps us: no collector sees the circle.
        del self._left

    def _hear(self, left: "asyncio.Future[Message]") -> None:
        if self._clock is not None and not left.cancelled():
            self._when_gone()

    def _look(self) -> None:
        if self._since is None or self._loop.time() - self._since < self._seconds:
            self._clock = self._loop.call_later(self._seconds, self._look)
        elif self._task is not None:
            self._is_stuck = True
            self._task.cancel()
            self._when_gone()
