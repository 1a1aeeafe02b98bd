"""Works on whatever waits, batch by batch: what arrives during one goes with the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import structlog

from tenants.spend.meter import MeterUnavailable

log = structlog.get_logger(__name__)

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class BatchTask[Item]:
    """A task that takes everything that waits, up to a batch, and works on it; then again.

    While the ledger does not answer it repeats the same batch: what became of that one is not
    known, and repeating is harmless. Nothing else is tried meanwhile.

    Args:
        work: on a batch; raises `MeterUnavailable` while it is to be repeated.
        most: items of a batch.
        is_wanted: whether an item is still to be worked on; it is asked once.
        lost: is told of an item that work cannot be done on, by a fault of ours.

    Attributes:
        done: items so far.
    """

    def __init__(
        self,
        work: Callable[[Sequence[Item]], Awaitable[object]],
        most: int,
        is_wanted: Callable[[Item], bool] = lambda _item: True,
        lost: Callable[[Item], None] = lambda _item: None,
    ) -> None:
        self._lost = lost
        self._is_wanted = is_wanted
        self._work = work
        self._most = most
        self._queue: deque[Item] = deque()
        #: Each waits for everything that was put before it.
        self._marks: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._put = 0
        self.done = 0
        self._news: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self._until: float | None = None

    @property
    def waiting(self) -> int:
        """How many items wait, are being worked on, or could not be written in the time left."""
        return self._put - self.done

    def start(self, before: Callable[[], Awaitable[object]] | None = None) -> None:
        """Begin in the running event loop, with what is to happen before anything else."""
        self._task = asyncio.create_task(self._run(before))

    def put(self, item: Item) -> None:
        """Let an item wait for the next batch."""
        self._put += 1
        self._queue.append(item)
        self._wake()

    def passed(self) -> "asyncio.Future[None]":
        """Return what is done when everything is that was put until now."""
        mark: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._marks.append((self._put, mark))
        self._wake()
        return mark

    async def stop(self, until: float) -> None:
        """Finish what waits, until an instant of the loop's clock."""
        self._until = until
        self._wake()
        if self._task is not None:
            left = until - asyncio.get_running_loop().time()
            await asyncio.wait((self._task,), timeout=max(left, 0) + _LONGEST_PAUSE)
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _wake(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _run(self, before: Callable[[], Awaitable[object]] | None) -> None:
        if before is not None:
            await before()
        loop = asyncio.get_running_loop()
        while True:
            if not self._queue:
                self._pass_marks()
                if self._until is not None:
                    return
                # Whoever is ready in the same turn of the loop goes with the same batch.
                self._news = loop.create_future()
                await self._news
                continue
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), self._most))]
            # Decided once: what was tried and not confirmed is repeated, whoever still waits.
            wanted = [item for item in batch if self._is_wanted(item)]
            self.done += len(batch) - len(wanted)
            if wanted:
                await self._attempt(wanted)
            self._pass_marks()

    def _pass_marks(self) -> None:
        while self._marks and self._marks[0][0] <= self.done:
            _, mark = self._marks.popleft()
            if not mark.done():
                mark.set_result(None)

    async def _attempt(self, batch: Sequence[Item]) -> None:
        """Work on a batch; a fault of ours costs the item that has it, and never the task."""
        try:
            self.done += await self._persist(batch)
        except Exception as error:  # noqa: BLE001 - the task outlives whatever a single call does
            log.error("writer_fault", error=type(error).__name__, calls=len(batch))  # noqa: TRY400 - a traceback could quote a call
            if len(batch) > 1:
                for item in batch:
                    await self._attempt([item])
            else:
                self.done += 1
                self._lost(batch[0])

    async def _persist(self, batch: Sequence[Item]) -> int:
        pause = _FIRST_PAUSE
        while self._until is None or asyncio.get_running_loop().time() <= self._until:
            try:
                await self._work(batch)
            except MeterUnavailable:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                return len(batch)
        return 0
