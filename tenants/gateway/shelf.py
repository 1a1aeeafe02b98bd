"""The gateway's look-ups of who made what at Mistral and what it is, off the event loop.

Two threads with connections of their own: what a caller waits for here is a short query. When the
database does not answer, nothing is shown and nothing is sent.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import structlog
from django.db import Error as DatabaseFault
from django.db import connection

from tenants.common.problems import Conflict, Unavailable
from tenants.gateway import references
from tenants.keys import cards
from tenants.registry import resources
from tenants.registry.models import ResourceKind
from tenants.registry.resources import Kept, Owner
from tenants.registry.snapshots import Snapshot
from tenants.spend import batches
from tenants.spend.calls import CallIntent

log = structlog.get_logger(__name__)

_THREADS = 2
_ATTEMPTS = 4
_PAUSE = 0.25
#: Seconds: the sweep that looks for jobs to meter, and the metering.
_METERED_AFTER = 15
_NOUNS = {
    ResourceKind.FILE: "File",
    ResourceKind.BATCH_JOB: "Batch job",
    ResourceKind.CONVERSATION: "Conversation",
    ResourceKind.AGENT: "Agent",
}


def owner_of(snapshot: Snapshot) -> Owner:
    """Name the workspace and token that a request comes from."""
    return Owner(
        snapshot.organization.id, snapshot.workspace.id, snapshot.model.id, snapshot.token_id
    )


class Shelf:
    """What the workspaces have at Mistral, for the event loop."""

    def __init__(self, *, is_regional: bool = False) -> None:
        self._is_regional = is_regional
        self._threads = ThreadPoolExecutor(_THREADS, "gateway-shelf")

    async def require(
        self, owner: Owner, kind: ResourceKind, ids: Collection[str]
    ) -> dict[str, Kept]:
        """Find things by their ids.

        Raises:
            NotFound: one of them is not there, or somebody else's.
            Unavailable: the database does not answer.
        """
        found = await self.among(owner, kind, ids)
        for mistral_id in ids:
            if mistral_id not in found:
                raise references.missing(_NOUNS[kind], mistral_id)
        return found

    async def among(
        self, owner: Owner, kind: ResourceKind, ids: Collection[str]
    ) -> dict[str, Kept]:
        """Find, of these ids, those that the owner's workspace has."""
        possible = [one for one in ids if references.is_possible(one)]
        if not possible:
            return {}
        return await self.run(resources.find, owner, kind, possible)

    async def is_elsewhere(self, owner: Owner, kind: ResourceKind, mistral_id: str) -> bool:
        """Tell whether another workspace of the organization has a thing."""
        return await self.run(resources.is_elsewhere, owner, kind, mistral_id)

    async def keep(
        self, owner: Owner, kind: ResourceKind, things: Mapping[str, Mapping[str, Any]]
    ) -> bool:
        """Write down what was made; see ``resources.keep``."""
        return await self.run(resources.keep, owner, kind, things) if things else True

    async def keep_job(
        self, owner: Owner, intent: CallIntent, mistral_id: str, endpoint: str, *, hours: int
    ) -> None:
        """Write down a batch job, whose hold stands from now on; see ``batches.register``."""
        await self.run(
            batches.register,
            owner=owner,
            intent=intent,
            mistral_id=mistral_id,
            endpoint=endpoint,
            hours=hours,
            regional=self._is_regional,
        )

    async def refuse_unmetered(self, owner: Owner, job_id: str | None) -> None:
        """Refuse to delete what is still to be read for the bill, and have it read soon.

        Args:
            owner: whose it is.
            job_id: Mistral's, of the job that it belongs to; None: any job of the workspace.

        Raises:
            Conflict: the job is not metered yet.
        """
        if await self.run(batches.hurry, owner, job_id):
            raise Conflict(
                "batch_not_metered",
                "What this batch job used is still to be read from its output. Delete it when the"
                " job is over and has been metered: try again after `Retry-After`.",
                retry_after=_METERED_AFTER,
            )

    async def learn(
        self, owner: Owner, kind: ResourceKind, mistral_id: str, facts: Mapping[str, Any]
    ) -> None:
        """Replace what is known of a thing."""
        await self.run(resources.learn, owner, kind, mistral_id, facts)

    async def hear(self, owner: Owner, mistral_id: str, seconds: int) -> None:
        """Add seconds of recordings to what a conversation has."""
        await self.run(resources.hear, owner, mistral_id, seconds)

    async def forget(self, owner: Owner, kind: ResourceKind, mistral_id: str) -> None:
        """Mark a thing as deleted at Mistral."""
        await self.run(resources.forget, owner, kind, mistral_id)

    async def card(self, owner: Owner, key_id: UUID, mistral_id: str) -> dict[str, Any]:
        """Find Mistral's card of a model as a key sees it; empty while none is known."""
        return await self.run(cards.find, owner.organization_id, key_id, mistral_id)

    async def change_card(self, owner: Owner, mistral_id: str, answer: Mapping[str, Any]) -> None:
        """Write down how a model of the owner's workspace was changed."""
        place = owner.organization_id, owner.workspace_id
        await self.run(cards.change, *place, mistral_id, answer)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run[**Arguments, Result](
        self,
        work: Callable[Arguments, Result],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Result:
        """Do some work with the database in a thread; repeated for a while when it does not answer.

        Raises:
            Unavailable: the database does not answer.
        """
        loop = asyncio.get_running_loop()
        for attempt in range(_ATTEMPTS):
            try:
                return await loop.run_in_executor(
                    self._threads, lambda: _in_thread(lambda: work(*args, **kwargs))
                )
            except DatabaseFault as error:
                log.warning("shelf_fault", error=type(error).__name__, attempt=attempt)
            await asyncio.sleep(_PAUSE)
        raise Unavailable(
            "metering_unavailable",
            "The service cannot reach its database. Try again.",
            retry_after=1,
        )


def _in_thread[Result](work: Callable[[], Result]) -> Result:
    """Work on this thread's own connection, which is given up when it broke."""
    try:
        return work()
    except DatabaseFault:
        connection.close()
        raise
