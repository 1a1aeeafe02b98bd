"""Ends waits for callers that last too long, with one clock for all of them.

A timer for every wait costs more than the rest of reading a request; here a wait is an entry in a
dictionary, and something looks through it now and then. It refuses to be exact: a wait ends between
its patience and one look later.
"""

import asyncio
from collections.abc import Awaitable

_LOOKS = 8


class Patience:
    """How long the tasks of one event loop may wait for something.

    Args:
        seconds: that a wait may last.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._waiting: dict[asyncio.Task[object], float] = {}
        self._overdue: set[asyncio.Task[object]] = set()
        self._clock: asyncio.TimerHandle | None = None

    async def wait[Result](self, awaitable: Awaitable[Result]) -> Result:
        """Wait for something.

        Raises:
            TimeoutError: it took too long.
        """
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("waits belong to tasks")
        loop = asyncio.get_running_loop()
        self._waiting[task] = loop.time()
        if self._clock is None:
            self._clock = loop.call_later(self._seconds / _LOOKS, self._look)
        try:
            return await awaitable
        except asyncio.CancelledError:
            if task not in self._overdue:
                raise
            task.uncancel()
        finally:
            del self._waiting[task]
            self._overdue.discard(task)
        raise TimeoutError

    def stop(self) -> None:
        """Look no more."""
        if self._clock is not None:
            self._clock.cancel()

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        latest = loop.time() - self._seconds
        for task, since in list(self._waiting.items()):
            if since < latest and task not in self._overdue:
                self._overdue.add(task)
                task.cancel()
        again = self._seconds / _LOOKS
        self._clock = loop.call_later(again, self._look) if self._waiting else None
