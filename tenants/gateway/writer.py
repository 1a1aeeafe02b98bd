"""The group-commit writer: how calls reach the ledger without a commit for each.

Two threads, each with a connection of its own and one writer id: one opens calls, whose callers
wait, the other settles them, for which nobody waits. Whatever arrives while a round trip is under
way goes with the next one. A settlement is kept and repeated until the ledger has it; an opening
whose caller has given up is settled as not sent.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Literal

import structlog
from django.db import Error as DatabaseFault
from django.db import connection

from tenants.common.models import new_id
from tenants.common.problems import Unavailable
from tenants.gateway.bounds import Bounds
from tenants.gateway.patience import Patience
from tenants.spend import recovery
from tenants.spend.calls import CallIntent, OpenVerdict, Outcome, RefusalReason, Settlement
from tenants.spend.meter import Meter, MeterUnavailable

log = structlog.get_logger(__name__)

type _Opening = tuple[CallIntent, "asyncio.Future[OpenVerdict]"]

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0


class Writer:
    """One process's way to the ledger; its methods belong to the event loop."""

    def __init__(self, bounds: Bounds, make_meter: Callable[..., Meter] = Meter) -> None:
        self._bounds = bounds
        writer_id = new_id()
        self._openings: _Line[_Opening] = _Line(
            "gateway-open", make_meter(writer_id), self._open, bounds.batch, _is_awaited
        )
        self._settlements: _Line[Settlement] = _Line(
            "gateway-settle", make_meter(writer_id), _settle, bounds.batch
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._patience = Patience(bounds.open_wait)
        self._gathered: list[Settlement] = []
        self._handover: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Start the threads, on behalf of the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._openings.start()
        self._settlements.start(before=_recover)

    async def open(self, intent: CallIntent) -> OpenVerdict:
        """Wait until a call's hold is durable, or refused.

        A refusal is asked for again if this process had anything to settle meanwhile, once that is
        settled: nobody is refused because of holds of calls that are over.

        Raises:
            Unavailable: the ledger did not answer in time; the call must not be made.
        """
        loop = self._loop
        if loop is None or self.backlog > self._bounds.backlog:
            raise _unavailable()
        settled = self._settlements.done
        answer: asyncio.Future[OpenVerdict] = loop.create_future()
        self._openings.put((intent, answer))
        try:
            verdict = await self._patience.wait(answer)
            if verdict.is_accepted or not self._may_be_stale(verdict, settled):
                return verdict
            self._hand_over()
            passed: asyncio.Future[None] = loop.create_future()
            self._settlements.mark(_Mark(loop, passed))
            await self._patience.wait(passed)
            again: asyncio.Future[OpenVerdict] = loop.create_future()
            self._openings.put((intent, again))
            return await self._patience.wait(again)
        except TimeoutError:
            raise _unavailable() from None

    def settle(self, settlement: Settlement) -> None:
        """Take a settlement; it will reach the ledger, and nobody waits for it.

        They are gathered for a moment, so that a thread does not wake for each.
        """
        self._gathered.append(settlement)
        if self._handover is None and self._loop is not None:
            self._handover = self._loop.call_later(self._bounds.settle_pause, self._hand_over)

    def _may_be_stale(self, verdict: OpenVerdict, settled: int) -> bool:
        """Tell whether what a refusal counted as held may be over by now.

        The ledger may have settled it between its verdict and our reading of that, so what is done
        is compared with what was ``settled`` when the call was sent to be judged.
        """
        refusal = verdict.refusal
        if refusal is None or refusal.reason is not RefusalReason.LIMIT:
            return False
        line = self._settlements
        return bool(self._gathered or line.waiting or line.done != settled)

    @property
    def backlog(self) -> int:
        """How many calls wait to be opened or settled."""
        return len(self._gathered) + self._openings.waiting + self._settlements.waiting

    async def stop(self) -> None:
        """Write what is left, for a bounded time, and let go of the writer's lock."""
        until = time.monotonic() + self._bounds.stop
        await asyncio.to_thread(self._openings.stop, until)
        self._hand_over()
        await asyncio.to_thread(self._settlements.stop, until)
        self._patience.stop()
        left = self.backlog
        if left:
            log.error("settlements_left", count=left)

    def _hand_over(self) -> None:
        if self._handover is not None:
            self._handover.cancel()
            self._handover = None
        gathered, self._gathered = self._gathered, []
        for settlement in gathered:
            self._settlements.put(settlement)

    def _open(self, meter: Meter, batch: Sequence[_Opening]) -> None:
        """Open a batch, in the opener's thread."""
        verdicts = meter.open_calls([intent for intent, _ in batch])
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._answer, batch, verdicts)

    def _answer(self, batch: Sequence[_Opening], verdicts: Sequence[OpenVerdict]) -> None:
        """Wake the callers, in the event loop."""
        for (intent, waiting), verdict in zip(batch, verdicts, strict=True):
            if not waiting.done():
                waiting.set_result(verdict)
            elif verdict.is_accepted:
                self.settle(Settlement.nothing(intent, Outcome.NOT_SENT))


@dataclass(frozen=True, slots=True)
class _Mark:
    """Stands in a line and tells the event loop when everything before it is done."""

    loop: asyncio.AbstractEventLoop
    passed: "asyncio.Future[None]"

    def pass_by(self) -> None:
        """Tell it, from the line's thread."""
        if not self.loop.is_closed():
            self.loop.call_soon_threadsafe(_succeed, self.passed)


class _Line[Item]:
    """A thread that takes everything that waits, up to a batch, and works on it; then again.

    While the ledger does not answer it repeats the same batch: what became of that one is not
    known, and repeating is harmless. Nothing else is tried meanwhile.
    """

    def __init__(
        self,
        name: str,
        meter: Meter,
        work: Callable[[Meter, Sequence[Item]], object],
        most: int,
        is_wanted: Callable[[Item], bool] = lambda _item: True,
    ) -> None:
        self._is_wanted = is_wanted
        self._meter = meter
        self._work = work
        self._most = most
        self._queue: SimpleQueue[Item | _Mark | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._before: Callable[[], None] | None = None
        # Each has one writer: the event loop counts what comes, the thread what is done.
        self._taken = 0
        self.done = 0
        self._until: float | None = None

    @property
    def waiting(self) -> int:
        """How many items wait, are being worked on, or could not be written in the time left."""
        return self._taken - self.done

    @property
    def _is_over(self) -> bool:
        return self._until is not None and time.monotonic() > self._until

    def start(self, before: Callable[[], None] | None = None) -> None:
        self._before = before
        self._thread.start()

    def put(self, item: Item) -> None:
        self._taken += 1
        self._queue.put(item)

    def mark(self, mark: _Mark) -> None:
        self._queue.put(mark)

    def stop(self, until: float) -> None:
        """Let the thread finish what waits, until an instant of the monotonic clock."""
        self._until = until
        self._queue.put(None)
        if self._thread.is_alive():
            self._thread.join(max(until - time.monotonic(), 0) + _LONGEST_PAUSE)

    def _run(self) -> None:
        if self._before is not None:
            self._before()
        while True:
            batch, mark = self._take()
            # Decided once: what was tried and not confirmed is repeated, whoever still waits.
            wanted = [item for item in batch if self._is_wanted(item)]
            self.done += len(batch) - len(wanted)
            if wanted:
                self._attempt(wanted)
            if isinstance(mark, _Mark):
                mark.pass_by()
            elif mark is None:
                self._meter.close()
                return

    def _take(self) -> "tuple[list[Item], _Mark | Literal[True] | None]":
        """Take what waits, up to a batch or a mark; with the mark, None at the end, or True."""
        batch: list[Item] = []
        item = self._queue.get()
        while item is not None and not isinstance(item, _Mark):
            batch.append(item)
            if len(batch) == self._most:
                return batch, True
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, item

    def _attempt(self, batch: Sequence[Item]) -> None:
        """Work on a batch; a fault of ours costs the item that has it, and never the thread."""
        try:
            self.done += self._persist(batch)
        except Exception as error:  # noqa: BLE001 - the thread outlives whatever a single call does
            log.error("writer_fault", error=type(error).__name__, calls=len(batch))  # noqa: TRY400 - a traceback could quote a call
            if len(batch) > 1:
                for item in batch:
                    self._attempt([item])
            else:
                self.done += 1

    def _persist(self, batch: Sequence[Item]) -> int:
        pause = _FIRST_PAUSE
        while not self._is_over:
            try:
                self._work(self._meter, batch)
            except MeterUnavailable:
                time.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                return len(batch)
        return 0


def _is_awaited(opening: _Opening) -> bool:
    return not opening[1].done()


def _settle(meter: Meter, batch: Sequence[Settlement]) -> None:
    meter.settle_calls(batch)


def _recover() -> None:
    """Turn what dead processes left open into estimates before anything else; beat repeats it."""
    try:
        recovery.recover_orphans()
    except DatabaseFault as error:
        log.warning("recovery_postponed", error=type(error).__name__)
    finally:
        connection.close()


def _succeed(waiting: "asyncio.Future[None]") -> None:
    if not waiting.done():
        waiting.set_result(None)


def _unavailable() -> Unavailable:
    return Unavailable(
        "metering_unavailable",
        "The service cannot write to its ledger; nothing was sent to Mistral. Try again.",
        retry_after=1,
    )
