"""What this process knows of model tokens: pictures at most a second old, so that revocation holds.

A picture in use is fetched anew before it is too old, so that callers do not wait for the database;
many callers of one token wait for one look-up. It refuses noise without asking the database (the
token's checksum), and tokens that nobody has met yet have a thread and a short queue of their own:
whoever guesses tokens cannot delay those that exist.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

import structlog
from django.db import Error as DatabaseFault
from django.db import connection
from django.utils import timezone, translation

from tenants.common import scope
from tenants.common.problems import Unavailable
from tenants.common.secrets import Secret
from tenants.common.tokens import TokenKind, digest, kind_of
from tenants.gateway import traffic
from tenants.gateway.bounds import Bounds
from tenants.gateway.traffic import UNKNOWN, Traffic
from tenants.registry import snapshots, status
from tenants.registry.snapshots import Snapshot
from tenants.registry.status import BlockedReason
from tenants.spend import policies, pricebook
from tenants.spend.calls import UnpricedPolicy
from tenants.spend.pricebook import PriceBook

log = structlog.get_logger(__name__)

_REFRESHERS = 2
_SWEEP = 2.0


@dataclass(slots=True)
class Picture:
    """A model token's snapshot with the prices of its time.

    Attributes:
        blocked: why its model answers no calls; None when it does.
        explanation: the same as a sentence.
        allows_unpriced: its workspace lets calls without a known price through.
        usual_tokens: how long its answers usually are; None when nobody knows.
        key: the opened key, put here by ``calls`` for as long as the picture: about a second.
        is_closed_for_now: the key could not be opened, because a key service does not answer.
        traffic: what limits its calls besides money.
    """

    snapshot: Snapshot
    book: PriceBook
    blocked: BlockedReason | None = None
    explanation: str = ""
    allows_unpriced: bool = False
    usual_tokens: int | None = None
    key: Secret[str] | None = field(default=None, repr=False)
    is_closed_for_now: bool = False
    traffic: Traffic = UNKNOWN


def load(token_digest: bytes) -> Picture | None:
    """Read a picture from the database; None for a token that is not ours, revoked or over."""
    organization_id = snapshots.organization_of(token_digest)
    if organization_id is None:
        return None
    book = pricebook.of_organization(organization_id)
    chosen = policies.current(organization_id)
    with scope.tenant(organization_id):
        found = snapshots.find(token_digest)
        if found is None:
            return None
        reason = found.blocked(timezone.now())
        known = traffic.load(found) if reason is None else UNKNOWN
    if reason is None:
        workspace_id, model = found.workspace.id, found.model.canonical_model
        return Picture(
            found,
            book,
            allows_unpriced=chosen.of(workspace_id).unpriced is UnpricedPolicy.ALLOW,
            usual_tokens=chosen.output_tokens(workspace_id, model),
            traffic=known,
        )
    with translation.override("en"):
        return Picture(found, book, reason, status.explain(reason))


class Pictures:
    """The pictures of one process, for its event loop.

    Args:
        bounds: ages and sizes.
        load: reads one from the database, in a thread.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        bounds: Bounds,
        load: Callable[[bytes], Picture | None] = load,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bounds = bounds
        self._load = load
        self._clock = clock
        self._known: dict[bytes, tuple[Picture, float]] = {}
        self._met: dict[bytes, None] = {}
        self._unknown: dict[bytes, float] = {}
        self._loading: dict[bytes, asyncio.Task[Picture | None]] = {}
        self._strangers = 0
        self._sweeping: asyncio.TimerHandle | None = None
        self._refreshers = ThreadPoolExecutor(_REFRESHERS, "gateway-pictures")
        self._doorman = ThreadPoolExecutor(1, "gateway-unknown-tokens")

    async def find(self, token: str) -> Picture | None:
        """Find what a token stands for now; None for one that may call nothing.

        Raises:
            Unavailable: the database does not answer, or too many unknown tokens are asked about.
        """
        key = digest(token)
        kept = self._known.get(key)
        now = self._clock()
        if kept is not None:
            age = now - kept[1]
            if age < self._bounds.refresh:
                return kept[0]
            refreshing = self._loading.get(key) or self._start(key, self._refreshers)
            if age < self._bounds.fresh:
                return kept[0]
            return await self._wait(refreshing)
        loading = self._loading.get(key)
        if loading is None:
            if kind_of(token) is not TokenKind.MODEL:
                return None
            refused_at = self._unknown.get(key)
            if refused_at is not None and now - refused_at < self._bounds.fresh:
                return None
            if key in self._met:
                loading = self._start(key, self._refreshers)
            elif self._strangers >= self._bounds.strangers:
                raise Unavailable("busy", "Too many tokens are being looked up.", retry_after=1)
            else:
                loading = self._start(key, self._doorman)
        return await self._wait(loading)

    def close(self) -> None:
        """Forget everything and let the threads end."""
        self._known.clear()
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._refreshers.shutdown(wait=False, cancel_futures=True)
        self._doorman.shutdown(wait=False, cancel_futures=True)

    def _start(self, key: bytes, pool: ThreadPoolExecutor) -> "asyncio.Task[Picture | None]":
        # Its age counts from before the query: what is revoked meanwhile is seen a refresh later.
        task = asyncio.create_task(self._fetch(key, pool, self._clock()))
        self._loading[key] = task
        if pool is self._doorman:
            self._strangers += 1
        task.add_done_callback(partial(self._finished, key, pool is self._doorman))
        return task

    async def _fetch(self, key: bytes, pool: ThreadPoolExecutor, began: float) -> Picture | None:
        loop = asyncio.get_running_loop()
        picture = await loop.run_in_executor(pool, _in_thread, self._load, key)
        if picture is None:
            self._known.pop(key, None)
            self._met.pop(key, None)
            _keep(self._unknown, key, began, self._bounds.strangers)
        else:
            self._unknown.pop(key, None)
            _keep(self._met, key, None, self._bounds.pictures)
            _keep(self._known, key, (picture, began), self._bounds.pictures)
            if self._sweeping is None:
                self._sweeping = loop.call_later(_SWEEP, self._sweep)
        return picture

    def _sweep(self) -> None:
        """Drop what is too old to be used: with a picture goes its opened key."""
        too_old = self._clock() - self._bounds.fresh
        for key, (_, began) in list(self._known.items()):
            if began > too_old:
                break
            del self._known[key]
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(_SWEEP, self._sweep) if self._known else None

    def _finished(self, key: bytes, stranger: bool, task: "asyncio.Task[Picture | None]") -> None:  # noqa: FBT001 - a done-callback's shape
        self._loading.pop(key, None)
        self._strangers -= stranger
        if not task.cancelled() and task.exception() is not None:
            log.warning("picture_failed", error=type(task.exception()).__name__)

    async def _wait(self, task: "asyncio.Task[Picture | None]") -> Picture | None:
        """Wait, for a bounded time, for a look-up that others may wait for too."""
        done, _ = await asyncio.wait((task,), timeout=self._bounds.open_wait)
        if done and not task.cancelled() and task.exception() is None:
            return task.result()
        raise Unavailable(
            "metering_unavailable",
            "The service cannot reach its database; nothing was sent to Mistral. Try again.",
            retry_after=1,
        )


def _keep[Value](kept: dict[bytes, Value], key: bytes, value: Value, most: int) -> None:
    """Put at the end, and drop from the front what is too many: the longest not fetched anew."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > most:
        del kept[next(iter(kept))]


def _in_thread(load: Callable[[bytes], Picture | None], key: bytes) -> Picture | None:
    """Load on this thread's own connection; one that broke meanwhile is replaced once."""
    try:
        return load(key)
    except DatabaseFault:
        connection.close()
        return load(key)
