"""Other keys of a workspace that a call may go out with, where the workspace's policy wants that.

Only a key of another workspace of Mistral's adds quota; the bill is Mistral's to that key, and ours
names it. Nothing here is older than a picture may be: a revoked key is out within a second.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

from django.db import Error as DatabaseFault
from django.db import connection

from tenants.common import scope
from tenants.gateway import traffic
from tenants.gateway.calls import open_key
from tenants.gateway.snapshots import Picture
from tenants.registry import snapshots
from tenants.registry.snapshots import KeyFacts

_UNUSED = 60.0


class Alternates:
    """The alternates of one process's models.

    Args:
        fresh: seconds for which what was read is good.
        clock: seconds, monotonic.
    """

    def __init__(self, fresh: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._fresh = fresh
        self._clock = clock
        self._known: dict[UUID, tuple[float, tuple[Picture, ...]]] = {}
        self._swept = clock()

    async def of(self, picture: Picture) -> tuple[Picture, ...]:
        """Find the pictures that a call of this one may be made with instead."""
        now = self._clock()
        model_id = picture.snapshot.model.id
        kept = self._known.get(model_id)
        if kept is not None and now - kept[0] < self._fresh:
            return kept[1]
        try:
            pictures = await asyncio.to_thread(_load, picture)
        except DatabaseFault:
            pictures = ()
        self._known[model_id] = (now, pictures)
        self._sweep(now)
        return pictures

    def known(self, picture: Picture) -> tuple[Picture, ...]:
        """Find them without asking the database."""
        kept = self._known.get(picture.snapshot.model.id)
        return kept[1] if kept is not None else ()

    def _sweep(self, now: float) -> None:
        """Forget what is old: it holds opened keys."""
        if now - self._swept > _UNUSED:
            self._swept = now
            self._known = {
                model: kept for model, kept in self._known.items() if now - kept[0] < self._fresh
            }


def _load(picture: Picture) -> tuple[Picture, ...]:
    """Read them, and open their keys, on this thread's own connection."""
    try:
        keys = snapshots.alternates(picture.snapshot)
        with scope.tenant(picture.snapshot.organization.id):
            pictures = [_with_key(picture, key) for key in keys]
    finally:
        connection.close()
    for other in pictures:
        open_key(other)
    return tuple(other for other in pictures if other.key is not None)


def _with_key(picture: Picture, key: KeyFacts) -> Picture:
    snapshot = replace(picture.snapshot, key=key)
    return replace(picture, snapshot=snapshot, key=None, traffic=traffic.load(snapshot))
