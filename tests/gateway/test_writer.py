"""The writer: many calls in few round trips, nothing lost when the ledger is away for a while."""

import asyncio
from datetime import date
from uuid import uuid4

import pytest

from tenants.common.models import new_id
from tenants.common.problems import Unavailable
from tenants.gateway import writer as writers
from tenants.gateway.bounds import Bounds
from tenants.gateway.patience import Patience
from tenants.gateway.writer import Writer
from tenants.spend.calls import (
    CallIntent,
    OpenVerdict,
    Outcome,
    Refusal,
    RefusalReason,
    Settlement,
)
from tenants.spend.meter import MeterUnavailable
from tenants.spend.pricing import Bound, Prices, worst_case

BOUNDS = Bounds(open_wait=0.5, settle_pause=0.01, backlog=50, stop=1)
MOST = worst_case(Bound(10), Prices("m", "EUR", {}))


class Ledger:
    """What both meters of a writer write to; it can be away, slow, or full."""

    def __init__(self) -> None:
        self.opened: list[list[CallIntent]] = []
        self.settled: list[Settlement] = []
        self.is_away = False
        self.is_full = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def open_calls(self, calls):
        await self.may_answer.wait()
        if self.is_away:
            raise MeterUnavailable
        self.opened.append(list(calls))
        refusal = Refusal(RefusalReason.LIMIT) if self.is_full else None
        return [OpenVerdict(call.call_id, refusal) for call in calls]

    async def settle_calls(self, settlements):
        await self.may_answer.wait()
        if self.is_away:
            raise MeterUnavailable
        self.settled += settlements
        self.is_full = False

    def close(self) -> None:
        """Nothing to close."""


def intent() -> CallIntent:
    return CallIntent(
        *(new_id(), uuid4(), uuid4(), uuid4(), uuid4()),
        endpoint="/v1/embeddings",
        requested_model="m",
        period=date(2026, 11, 1),
        worst_case=MOST,
    )


@pytest.fixture
async def ledger():
    return Ledger()


@pytest.fixture
async def writer(ledger, monkeypatch):
    monkeypatch.setattr(writers, "_recover", lambda: None)
    made = Writer(BOUNDS, lambda _writer_id: ledger)
    made.start()
    yield made
    ledger.is_away = False
    ledger.may_answer.set()
    await made.stop()


async def until(happens) -> None:
    async with asyncio.timeout(5):
        while not happens():  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)


async def test_what_arrives_during_a_round_trip_goes_with_the_next_one(writer, ledger):
    ledger.may_answer.clear()
    first = asyncio.create_task(writer.open(intent()))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(writer.open(intent())) for _ in range(30)]
    await asyncio.sleep(0.05)
    ledger.may_answer.set()
    assert all(verdict.is_accepted for verdict in await asyncio.gather(first, *others))
    assert [len(batch) for batch in ledger.opened] == [1, 30]


@pytest.mark.parametrize("is_late", [True, False], ids=["patience is over", "the caller left"])
async def test_who_gives_up_in_the_very_turn_of_the_verdict_holds_nothing(writer, ledger, is_late):
    work = writer._openings._work

    async def open_and_give_up(batch):
        await work(batch)
        if is_late:
            writer._patience._overdue.add(caller)
        caller.cancel()

    writer._openings._work = open_and_give_up
    call = intent()
    caller = asyncio.create_task(writer.open(call))
    with pytest.raises(Unavailable if is_late else asyncio.CancelledError):
        await caller
    await until(lambda: ledger.settled)
    assert [(one.intent, one.outcome) for one in ledger.settled] == [(call, Outcome.NOT_SENT)]


async def test_a_caller_waits_a_bounded_time_and_an_opening_that_came_too_late_is_released(
    writer, ledger
):
    ledger.is_away = True
    call = intent()
    with pytest.raises(Unavailable):
        await writer.open(call)
    ledger.is_away = False
    await until(lambda: ledger.settled)
    (released,) = ledger.settled
    assert (released.intent, released.outcome) == (call, Outcome.NOT_SENT)


async def test_while_the_ledger_is_away_only_the_first_batch_is_tried(writer, ledger):
    ledger.is_away = True
    first = asyncio.create_task(writer.open(intent()))
    await asyncio.sleep(0.05)
    others = [asyncio.create_task(writer.open(intent())) for _ in range(10)]
    refused = await asyncio.gather(first, *others, return_exceptions=True)
    assert {type(answer) for answer in refused} == {Unavailable}
    ledger.is_away = False
    assert (await writer.open(intent())).is_accepted
    assert sum(len(batch) for batch in ledger.opened) == 2


async def test_settlements_are_kept_and_repeated_until_the_ledger_has_them(writer, ledger):
    ledger.is_away = True
    for _ in range(20):
        writer.settle(Settlement.nothing(intent()))
    await asyncio.sleep(0.3)
    assert ledger.settled == []
    ledger.is_away = False
    await until(lambda: len(ledger.settled) == 20)
    assert writer.backlog == 0


async def test_a_backlog_is_bounded_by_refusing_new_calls_at_once(writer, ledger):
    ledger.is_away = True
    for _ in range(BOUNDS.backlog + 1):
        writer.settle(Settlement.nothing(intent()))
    with pytest.raises(Unavailable):
        async with asyncio.timeout(0.2):
            await writer.open(intent())


async def test_before_a_refusal_what_is_over_is_settled_and_the_ledger_asked_again(writer, ledger):
    ledger.is_full = True
    assert not (await writer.open(intent())).is_accepted
    writer.settle(Settlement.nothing(intent()))
    assert (await writer.open(intent())).is_accepted
    assert len(ledger.settled) == 1


async def test_a_refusal_is_asked_again_if_a_settlement_overtook_its_verdict(
    writer, ledger, monkeypatch
):
    ledger.is_full = True
    judge = ledger.open_calls

    async def judge_then_settle(calls):
        verdicts = await judge(calls)  # refused for what is settled while the verdict is on its way
        writer.settle(Settlement.nothing(intent()))
        await until(lambda: writer.backlog == 1)  # only the opening itself is left
        return verdicts

    monkeypatch.setattr(ledger, "open_calls", judge_then_settle)
    assert (await writer.open(intent())).is_accepted


async def test_a_call_that_breaks_the_ledger_costs_itself_only(writer, ledger, monkeypatch):
    poison = intent()
    accept = ledger.settle_calls

    async def settle(settlements):
        if any(entry.intent is poison for entry in settlements):
            raise ZeroDivisionError
        await accept(settlements)

    monkeypatch.setattr(ledger, "settle_calls", settle)
    for call in (intent(), poison, intent()):
        writer.settle(Settlement.nothing(call))
    await until(lambda: len(ledger.settled) == 2)
    await until(lambda: writer.backlog == 0)


async def test_an_opening_that_breaks_is_refused_at_once_and_holds_nothing(
    writer, ledger, monkeypatch
):
    poison = intent()
    accept = ledger.open_calls

    async def opened(calls):
        verdicts = await accept(calls)
        if any(call is poison for call in calls):
            raise ZeroDivisionError  # the hold is there
        return verdicts

    monkeypatch.setattr(ledger, "open_calls", opened)
    others = [asyncio.create_task(writer.open(intent())) for _ in range(2)]
    async with asyncio.timeout(BOUNDS.open_wait / 2):
        with pytest.raises(Unavailable):
            await writer.open(poison)
        assert all([(await other).is_accepted for other in others])
    await until(lambda: ledger.settled)
    (given_up,) = ledger.settled
    assert (given_up.intent, given_up.outcome) == (poison, Outcome.NOT_SENT)
    assert writer.backlog == 0


async def test_a_stop_writes_what_is_left_and_does_not_wait_for_ever(ledger, monkeypatch):
    monkeypatch.setattr(writers, "_recover", lambda: None)
    first = Writer(BOUNDS, lambda _writer_id: ledger)
    first.start()
    first.settle(Settlement.nothing(intent()))
    await first.stop()
    assert len(ledger.settled) == 1
    second = Writer(BOUNDS, lambda _writer_id: ledger)
    second.start()
    ledger.is_away = True
    second.settle(Settlement.nothing(intent()))
    async with asyncio.timeout(6):
        await second.stop()
    assert second.backlog == 1


async def test_patience_ends_a_wait_and_leaves_others_alone():
    patience = Patience(0.2)
    assert await patience.wait(asyncio.sleep(0, "done")) == "done"
    with pytest.raises(TimeoutError):
        await patience.wait(asyncio.sleep(5))
    cancelled = asyncio.create_task(patience.wait(asyncio.sleep(5)))
    await asyncio.sleep(0.01)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    patience.stop()
