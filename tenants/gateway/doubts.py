"""Tells the room of keys that Mistral refused a call because of its key, which is checked anew.

The refusal itself decides nothing: the check does. A caller waits for none of this, and a crowd of
refused calls asks for one check.
"""

import asyncio
import time
from collections.abc import Callable

import structlog

from tenants.common.problems import Unavailable
from tenants.gateway.calls import Call
from tenants.gateway.shelf import Shelf
from tenants.keys import doubting
from tenants.mistral.errors import Family, UpstreamFailure

log = structlog.get_logger(__name__)

_ABOUT_THE_KEY = frozenset({Family.KEY, Family.BILLING})
_MOST_REMEMBERED = 10_000


class Doubts:
    """Which keys of one process were doubted lately.

    Args:
        shelf: for the database.
        clock: in seconds.
    """

    def __init__(self, shelf: Shelf, clock: Callable[[], float] = time.monotonic) -> None:
        self._shelf = shelf
        self._clock = clock
        self._told: dict[object, float] = {}
        self._telling: set[asyncio.Task[None]] = set()

    def hear(self, call: Call, failure: UpstreamFailure) -> None:
        """Have the key of a refused call checked soon, if it may be the reason."""
        if failure.family not in _ABOUT_THE_KEY:
            return
        key_id, now = call.intent.key_id, self._clock()
        if now - self._told.get(key_id, -doubting.PAUSE) < doubting.PAUSE:
            return
        if len(self._told) >= _MOST_REMEMBERED:
            self._told.clear()
        self._told[key_id] = now
        task = asyncio.create_task(self._tell(call))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell(self, call: Call) -> None:
        intent = call.intent
        try:
            await self._shelf.run(doubting.doubt, intent.organization_id, intent.key_id)
        except Unavailable:
            log.warning("doubt_untold", key=str(intent.key_id))
