"""A thread whose work is done in turns: one piece of an organization's, then one of the next.

Whoever brings much work waits for it longer; whoever brings little waits for one piece of each of
the others at most.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Any
from uuid import UUID

type _Work = tuple[Future[Any], Callable[[], Any]]


class Turns:
    """One thread.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)
        self._lock = Lock()
        # Whose turn it is stands first.
        self._waiting: dict[UUID, deque[_Work]] = {}

    async def do[Result](self, whose: UUID, work: Callable[[], Result]) -> Result:
        """Have work done when it is its organization's turn."""
        # No name for what is awaited: an error would know it, and it the error.
        return await asyncio.wrap_future(self._lined_up(whose, work))

    def _lined_up[Result](self, whose: UUID, work: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        with self._lock:
            self._waiting.setdefault(whose, deque()).append((future, work))
        # Not for this work, but for that whose turn it is then.
        self._thread.submit(self._do_next)
        return future

    def _do_next(self) -> None:
        with self._lock:
            whose = next(iter(self._waiting))
            works = self._waiting.pop(whose)
            future, work = works.popleft()
            if works:
                self._waiting[whose] = works  # behind all others
        if not future.set_running_or_notify_cancel():
            return  # nobody waits for it any more
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - whoever waits for it gets it
            future.set_exception(error)
            del future  # the error knows this frame, and the future the error: a circle
        else:
            future.set_result(result)
