"""How many gateway processes there are, by PostgreSQL: without Redis, each keeps to a share.

Every process holds a lock on a connection of its own for as long as it lives, and now and then
counts those that are held. It does not know what others have used: a limit divided by their number
is what nobody together can pass. A database that does not answer leaves the last number as it was;
nothing is sent to Mistral then anyway.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, LiteralString

import psycopg
import structlog

from tenants.common.models import new_id
from tenants.spend.channel import Channel, ChannelBroken

log = structlog.get_logger(__name__)

_PATIENCE = 5
#: The first half of the locks' names; the second is a process's own.
_KIND = 0x61696D67  # "aimg"
_JOIN: LiteralString = "SELECT pg_advisory_lock_shared($1::int, hashtext($2))"
_COUNT: LiteralString = """
    SELECT count(DISTINCT objid) FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2 AND classid = $1::int AND granted
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


class Siblings:
    """One process among all that serve the gateway; it belongs to an event loop.

    Args:
        parameters: gives what psycopg connects with, past any pooler.
        every: seconds between two counts.
    """

    def __init__(self, parameters: Callable[[], Mapping[str, Any]], every: float) -> None:
        self._channel = Channel(parameters, (_JOIN, (str(_KIND), str(new_id()))), _PATIENCE)
        self._every = every
        self._task: asyncio.Task[None] | None = None
        #: How many processes there were when they were counted last, this one among them.
        self.number = 1

    def start(self) -> None:
        """Join the others, and go on counting, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    def stop(self) -> None:
        """Leave: the others find out when they count again."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self._channel.close()

    async def count(self) -> None:
        """Count those that live."""
        try:
            [(found,)] = await self._channel.execute(_COUNT, (str(_KIND),))
        except (psycopg.Error, ChannelBroken) as error:
            log.warning("siblings_not_counted", error=type(error).__name__, number=self.number)
            return
        if found != self.number:
            log.info("siblings", number=found)
        self.number = max(found, 1)

    async def _run(self) -> None:
        while True:
            await self.count()
            await asyncio.sleep(self._every)
