"""Bounds the bytes of answers that are kept until their callers have taken them.

An answer that is no stream is read whole before its first byte goes on: its price is a header.
Small ones are bounded by how many calls there may be. All others share a budget, of which no
organization has more than its part; for what has no room its answer is read on when there is some.
One of those that wait goes on all the same, so that they do not wait for each other for ever.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self
from uuid import UUID

from tenants.gateway.bounds import Bounds
from tenants.gateway.weighing import LIGHT


class Departures:
    """The answers that are kept in one process."""

    def __init__(self, limits: Bounds) -> None:
        self.limits = limits
        self._kept: dict[UUID, int] = {}
        self._all = 0
        self._beyond: Departure | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def take(self, taker: "Departure", more: int) -> None:
        """Set so many bytes more aside, as soon as there is room for them."""
        whose = taker.whose
        while not self._has_room(whose, more) and self._beyond is not taker:
            if self._beyond is None:
                self._beyond = taker
                break
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            await turn
        self._kept[whose] = self._kept.get(whose, 0) + more
        self._all += more

    def give(self, taker: "Departure", size: int) -> None:
        """Give bytes back, and let those who wait look again."""
        if self._beyond is taker:
            self._beyond = None
        self._all -= size
        left = self._kept[taker.whose] - size
        if left:
            self._kept[taker.whose] = left
        else:
            del self._kept[taker.whose]
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)

    def _has_room(self, whose: UUID, more: int) -> bool:
        of_one = self._kept.get(whose, 0) + more
        return of_one <= self.limits.answers_of_one and self._all + more <= self.limits.answers


class Departure:
    """One answer that is kept until the block is left.

    Args:
        departures: of the process.
        whose: organization's part it counts for.
    """

    __slots__ = ("_departures", "_size", "whose")

    def __init__(self, departures: Departures, whose: UUID) -> None:
        self._departures = departures
        self._size = 0
        self.whose = whose

    def __enter__(self) -> Self:
        """Begin with nothing."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of what was kept."""
        if self._size:
            self._departures.give(self, self._size)

    async def keep(self, size: int) -> None:
        """Have room for so many bytes in all, or for more; little needs none."""
        if size > max(LIGHT, self._size):
            await self._departures.take(self, size - self._size)
            self._size = size
