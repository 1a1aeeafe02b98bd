"""The group-commit writer: how calls reach the ledger without a commit for each.

Two tasks, each with a connection of its own and one writer id: one opens calls, whose callers wait,
the other settles them, for which nobody waits. Whatever arrives while a round trip is under way
goes with the next one. A settlement is kept and repeated until the ledger has it; an opening whose
caller has given up is settled as not sent. All of it lives in the event loop: handing calls to a
thread and back cost more than the ledger itself.
"""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from uuid import UUID

import structlog
from django.db import Error as DatabaseFault
from django.db import connection

from tenants.common.models import new_id
from tenants.common.problems import Unavailable
from tenants.gateway import telemetry
from tenants.gateway.batching import BatchTask
from tenants.gateway.bounds import Bounds
from tenants.gateway.patience import Patience
from tenants.spend import recovery
from tenants.spend.calls import (
    CallIntent,
    OpenVerdict,
    Outcome,
    Refusal,
    RefusalReason,
    Settlement,
)
from tenants.spend.meter import LoopMeter

log = structlog.get_logger(__name__)

type _Opening = tuple[CallIntent, "asyncio.Future[OpenVerdict]"]

# Of the time that other processes have to settle: when their refusal is asked about again.
_LOOKS = (0.15, 0.35, 1.0)


class Writer:
    """One process's way to the ledger; its methods belong to the event loop."""

    def __init__(self, bounds: Bounds, make_meter: Callable[..., LoopMeter] = LoopMeter) -> None:
        self._bounds = bounds
        writer_id = new_id()
        opener, settler = make_meter(writer_id), make_meter(writer_id)
        self._opener, self._settler = opener, settler
        self._openings: BatchTask[_Opening] = BatchTask(
            self._open, bounds.batch, _is_awaited, self._unopened
        )
        self._settlements: BatchTask[Settlement] = BatchTask(self._settle, bounds.batch)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._patience = Patience(bounds.open_wait)
        self._gathered: list[Settlement] = []
        self._handover: asyncio.TimerHandle | None = None
        #: Calls under way: what this process holds.
        self._holds: dict[UUID, CallIntent] = {}

    def start(self) -> None:
        """Start both tasks in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._openings.start()
        self._settlements.start(before=lambda: asyncio.to_thread(_recover))

    async def open(self, intent: CallIntent) -> OpenVerdict:
        """Wait until a call's hold is durable, or refused.

        Nobody is refused because of holds of calls that are over: a refusal is asked about again
        when what this process had to settle is settled, and, where other processes' holds stand in
        the way, when they have had the time to settle theirs.

        Raises:
            Unavailable: the ledger did not answer in time; the call must not be made.
        """
        if self._loop is None or self.backlog > self._bounds.backlog:
            raise _unavailable()
        settled = self._settlements.done
        try:
            verdict = await self._ask(intent)
            if verdict.refusal is not None and self._may_be_stale(verdict.refusal, settled):
                self._hand_over()
                await self._patience.wait(self._settlements.passed())
                verdict = await self._ask(intent)
            asked = self._loop.time()
            for look in _LOOKS:
                if verdict.refusal is None or not self._is_for_others(verdict.refusal, intent):
                    break
                until = asked + look * self._bounds.others
                await asyncio.sleep(until - self._loop.time())
                verdict = await self._ask(intent)
        except TimeoutError:
            raise _unavailable() from None
        if verdict.is_accepted:
            self._holds[intent.call_id] = intent
        return verdict

    async def _ask(self, intent: CallIntent) -> OpenVerdict:
        answer: asyncio.Future[OpenVerdict] = asyncio.get_running_loop().create_future()
        self._openings.put((intent, answer))
        try:
            return await self._patience.wait(answer)
        except (TimeoutError, asyncio.CancelledError):
            # Its verdict may have come in the very turn in which the caller gave up: nobody else
            # knows then that it holds something.
            is_told = answer.done() and not answer.cancelled() and answer.exception() is None
            if is_told and answer.result().is_accepted:
                self._release(Settlement.nothing(intent, Outcome.NOT_SENT))
            raise

    def settle(self, settlement: Settlement) -> None:
        """Take a settlement; it will reach the ledger, and nobody waits for it.

        They are gathered for a moment, so that few round trips carry many.
        """
        self._holds.pop(settlement.intent.call_id, None)
        self._release(settlement)

    def keep(self, intent: CallIntent) -> None:
        """Let a call's hold stand when the call is over: what it made is settled later."""
        self._holds.pop(intent.call_id, None)

    def _release(self, settlement: Settlement) -> None:
        self._gathered.append(settlement)
        if self._handover is None and self._loop is not None:
            self._handover = self._loop.call_later(self._bounds.settle_pause, self._hand_over)

    def _may_be_stale(self, refusal: Refusal, settled: int) -> bool:
        """Tell whether what a refusal counted as held may be over by now.

        The ledger may have settled it between its verdict and our reading of that, so what is done
        is compared with what was ``settled`` when the call was sent to be judged.
        """
        if refusal.reason is not RefusalReason.LIMIT:
            return False
        task = self._settlements
        return bool(self._gathered or task.waiting or task.done != settled)

    def _is_for_others(self, refusal: Refusal, intent: CallIntent) -> bool:
        """Tell whether a call would fit if nothing were held but what this process holds."""
        amount = intent.worst_case.cost.amount
        if refusal.limit is None or refusal.spent is None or amount is None:
            return False
        own = self._held_for(refusal.subject_id or intent.organization_id)
        others = (refusal.held or Decimal(0)) - own
        return others > 0 and refusal.spent + own + amount <= refusal.limit

    def _held_for(self, payer: UUID) -> Decimal:
        """Sum up what this process holds for an organization, a workspace, a model or a key."""
        return sum(
            (
                hold.worst_case.cost.amount or Decimal(0)
                for hold in self._holds.values()
                if payer in (hold.organization_id, hold.workspace_id, hold.model_id, hold.key_id)
            ),
            Decimal(0),
        )

    @property
    def backlog(self) -> int:
        """How many calls wait to be opened or settled."""
        return len(self._gathered) + self._openings.waiting + self._settlements.waiting

    async def stop(self) -> None:
        """Write what is left, for a bounded time, and let go of the writer's lock."""
        until = asyncio.get_running_loop().time() + self._bounds.stop
        await self._openings.stop(until)
        self._hand_over()
        await self._settlements.stop(until)
        self._opener.close()
        self._settler.close()
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

    async def _open(self, batch: Sequence[_Opening]) -> None:
        """Open a batch and wake its callers."""
        verdicts = await self._opener.open_calls([intent for intent, _ in batch])
        for (intent, waiting), verdict in zip(batch, verdicts, strict=True):
            if not waiting.done():
                waiting.set_result(verdict)
            elif verdict.is_accepted:
                self._release(Settlement.nothing(intent, Outcome.NOT_SENT))

    def _unopened(self, opening: _Opening) -> None:
        """Give up a call whose opening failed on our side: it may be held, and is not sent."""
        intent, waiting = opening
        self._release(Settlement.nothing(intent, Outcome.NOT_SENT))
        if not waiting.done():
            waiting.set_exception(TimeoutError())

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        await self._settler.settle_calls(batch)
        telemetry.note_settled(batch)


def _is_awaited(opening: _Opening) -> bool:
    return not opening[1].done()


def _recover() -> None:
    """Turn what dead processes left open into estimates before anything else; beat repeats it."""
    try:
        recovery.recover_orphans()
    except DatabaseFault as error:
        log.warning("recovery_postponed", error=type(error).__name__)
    finally:
        connection.close()


def _unavailable() -> Unavailable:
    return Unavailable(
        "metering_unavailable",
        "The service cannot write to its ledger; nothing was sent to Mistral. Try again.",
        retry_after=1,
    )
