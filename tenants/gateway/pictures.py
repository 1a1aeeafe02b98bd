"""What this process knows of model tokens: pictures at most a second old, so that revocation holds.

Whether a picture in use still holds is asked before it is too old, so that callers do not wait for
the database, and about all that are due at once; only what has changed is read again. Many callers
of one token wait for one look-up. It refuses noise without asking the database (the token's
checksum), and tokens that nobody has met yet have a thread and a short queue of their own: whoever
guesses tokens cannot delay those that exist.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import structlog
from django.db import Error as DatabaseFault
from django.db import connection

from tenants.common.problems import Unavailable
from tenants.common.tokens import TokenKind, digest, kind_of
from tenants.gateway.bounds import Bounds
from tenants.gateway.snapshots import Picture, load, stamps_of, still_holds

log = structlog.get_logger(__name__)

_REFRESHERS = 2
_SWEEP = 2.0

type _Answer = asyncio.Future[Picture | None]


class _Kept(NamedTuple):
    """A picture: as of when it is known to hold, and when it was read."""

    picture: Picture
    as_of: float
    read_at: float


class Pictures:
    """The pictures of one process, for its event loop.

    Args:
        bounds: ages and sizes.
        load: reads one from the database, in a thread.
        stamps: reads the stamps of many tokens, in a thread.
        holds: tells whether a picture holds, given its token's stamp.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        bounds: Bounds,
        load: Callable[[bytes], Picture | None] = load,
        stamps: Callable[[Mapping[bytes, Picture]], Mapping[bytes, int]] = stamps_of,
        holds: Callable[[Picture, int | None], bool] = still_holds,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bounds = bounds
        self._load = load
        self._stamps = stamps
        self._holds = holds
        self._clock = clock
        self._known: dict[bytes, _Kept] = {}
        self._met: dict[bytes, None] = {}
        self._unknown: dict[bytes, float] = {}
        self._loading: dict[bytes, _Answer] = {}
        self._doubted: dict[bytes, _Answer] = {}
        self._checking: asyncio.Task[None] | None = None
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
            age = now - kept.as_of
            if age < self._bounds.refresh:
                return kept.picture
            refreshing = self._loading.get(key) or self._doubt(key)
            if age < self._bounds.fresh:
                return kept.picture
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
        if self._checking is not None:
            self._checking.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._refreshers.shutdown(wait=False, cancel_futures=True)
        self._doorman.shutdown(wait=False, cancel_futures=True)

    def _doubt(self, key: bytes) -> "_Answer":
        """Have a picture checked, together with all the others that are due by then."""
        answer: _Answer = asyncio.get_running_loop().create_future()
        self._loading[key] = self._doubted[key] = answer
        if self._checking is None:
            self._checking = asyncio.create_task(self._check())
        return answer

    async def _check(self) -> None:
        """Ask about everything that is doubted, in one query; then about what came meanwhile."""
        try:
            while self._doubted:
                doubted, self._doubted = self._doubted, {}
                try:
                    await self._check_together(doubted)
                except Exception as error:  # noqa: BLE001 - whoever waits is told that nothing is known
                    log.warning("picture_failed", error=type(error).__name__)
                    for key, answer in doubted.items():
                        if not answer.done():
                            self._settle(key, answer)
        finally:
            self._checking = None

    async def _check_together(self, doubted: "Mapping[bytes, _Answer]") -> None:
        loop, began = asyncio.get_running_loop(), self._clock()
        known = {key: kept for key in doubted if (kept := self._known.get(key)) is not None}
        pictures = {key: kept.picture for key, kept in known.items()}
        stamps = await loop.run_in_executor(self._refreshers, _in_thread, self._stamps, pictures)
        for key, answer in doubted.items():
            kept, stamp = known.get(key), stamps.get(key)
            is_young = kept is not None and began - kept.read_at < self._bounds.whole
            if kept is not None and is_young and self._holds(kept.picture, stamp):
                self._remember(key, _Kept(kept.picture, began, kept.read_at))
                self._settle(key, answer, kept.picture)
            else:
                self._start(key, self._refreshers, stamp).add_done_callback(partial(_pass, answer))

    def _settle(self, key: bytes, answer: "_Answer", picture: Picture | None = None) -> None:
        """End a check: with the picture that holds, or with nothing known."""
        if self._loading.get(key) is answer:
            del self._loading[key]
        if picture is None:
            answer.cancel()
        elif not answer.done():
            answer.set_result(picture)

    def _start(
        self, key: bytes, pool: ThreadPoolExecutor, stamp: int | None = None
    ) -> "asyncio.Task[Picture | None]":
        # Its age counts from before the query: what is revoked meanwhile is seen a refresh later.
        task = asyncio.create_task(self._fetch(key, pool, self._clock(), stamp))
        self._loading[key] = task
        if pool is self._doorman:
            self._strangers += 1
        task.add_done_callback(partial(self._finished, key, pool is self._doorman))
        return task

    async def _fetch(
        self, key: bytes, pool: ThreadPoolExecutor, began: float, stamp: int | None
    ) -> Picture | None:
        loop = asyncio.get_running_loop()
        picture = await loop.run_in_executor(pool, _in_thread, self._load, key)
        if picture is None:
            self._known.pop(key, None)
            self._met.pop(key, None)
            _keep(self._unknown, key, began, self._bounds.strangers)
        else:
            self._unknown.pop(key, None)
            _keep(self._met, key, None, self._bounds.pictures)
            picture.stamp = stamp
            self._remember(key, _Kept(picture, began, began))
        return picture

    def _remember(self, key: bytes, kept: "_Kept") -> None:
        _keep(self._known, key, kept, self._bounds.pictures)
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    def _sweep(self) -> None:
        """Drop what was not used for a while: with a picture goes its opened key."""
        too_old = self._clock() - self._bounds.kept
        for key, kept in list(self._known.items()):
            if kept.as_of > too_old:
                break
            del self._known[key]
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(_SWEEP, self._sweep) if self._known else None

    def _finished(self, key: bytes, stranger: bool, task: "asyncio.Task[Picture | None]") -> None:  # noqa: FBT001 - a done-callback's shape
        self._loading.pop(key, None)
        self._strangers -= stranger
        if not task.cancelled() and task.exception() is not None:
            log.warning("picture_failed", error=type(task.exception()).__name__)

    async def _wait(self, task: "_Answer") -> Picture | None:
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


def _pass(answer: _Answer, task: "asyncio.Task[Picture | None]") -> None:
    """Tell who waits for a check what was read instead."""
    if answer.done():
        return
    if task.cancelled() or task.exception() is not None:
        answer.cancel()
    else:
        answer.set_result(task.result())


def _in_thread[Asked, Told](read: Callable[[Asked], Told], asked: Asked) -> Told:
    """Read on this thread's own connection; one that broke meanwhile is replaced once."""
    try:
        return read(asked)
    except DatabaseFault:
        connection.close()
        return read(asked)
