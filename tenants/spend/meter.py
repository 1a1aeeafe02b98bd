"""The meter: opens and settles calls in batches, one database round trip each.

The rules live in two SECURITY DEFINER functions (``migrations/sql``): a batch may span many
organizations, and nobody but they can write a balance, a hold or an event. The meter keeps a
session lock under its writer id for as long as its process lives; holds of a writer whose lock is
free are turned into estimates by ``recover_orphans``. It connects past any pooler, therefore.

There are two: ``Meter`` blocks its thread, ``LoopMeter`` belongs to an event loop. Both go the same
steps. They refuse to guess: whatever the database did not confirm is ``MeterUnavailable``, and
repeating the same call ids afterwards doubles nothing.

    MeterUnavailable   the database did not answer; nothing is known to have happened
"""

from collections.abc import Generator, Sequence
from typing import Any, LiteralString
from uuid import UUID

import orjson
import psycopg
import structlog
from psycopg.rows import tuple_row

from tenants.common.models import new_id
from tenants.spend.calls import (
    CallIntent,
    OpenVerdict,
    Refusal,
    RefusalReason,
    SettledCall,
    SettledState,
    Settlement,
    SubjectKind,
)
from tenants.spend.channel import Channel, ChannelBroken, Rows, past_poolers
from tenants.spend.rows import Row, event_row, hold_row

log = structlog.get_logger(__name__)

_CONNECT: LiteralString = (
    "SELECT set_config('statement_timeout', '10s', false),"
    " pg_advisory_lock_shared(hashtextextended($1, 0))"
)
_OPEN: LiteralString = "SELECT * FROM spend_open($1::uuid, $2::json)"
_SETTLE: LiteralString = "SELECT * FROM spend_settle($1::json)"
#: What values can cause, whoever sends them: repeating changes nothing, and would block the line.
_UNSTORABLE = (
    psycopg.DataError,
    psycopg.IntegrityError,
    psycopg.errors.CardinalityViolation,
    psycopg.errors.ProgramLimitExceeded,
    psycopg.errors.RaiseException,
    psycopg.errors.StatementTooComplex,
)
_ATTEMPTS = 2
_PREPARE_AFTER = 2
# Longer than the database lets a statement last.
_ANSWER_PATIENCE = 12

type _Statement = tuple[LiteralString, tuple[str | bytes, ...]]
#: Statements to run; each is answered by its rows, or by the error that the values caused.
type _Steps[Result] = Generator[_Statement, Rows, Result]


class MeterUnavailable(Exception):  # noqa: N818 - a state of the world, named for its reader
    """The database did not answer; nothing is known to have happened. Repeating is harmless."""


class Meter:
    """One process's hand on the ledger. It belongs to one thread and connects when first used.

    Args:
        writer_id: names this process among the holds; a new one unless told.
    """

    def __init__(self, writer_id: UUID | None = None) -> None:
        self.writer_id = writer_id or new_id()
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None

    def open_calls(self, calls: Sequence[CallIntent]) -> list[OpenVerdict]:
        """Judge calls in order against every limit that matches, and hold what each may cost.

        An accepted call's hold is committed when this returns and survives this process. A call id
        that is open already is accepted again, and held once.

        Raises:
            MeterUnavailable: nothing is known; do not call Mistral. Repeating is harmless.
        """
        return self._go(_open(self.writer_id, calls))

    def settle_calls(self, settlements: Sequence[Settlement]) -> list[SettledCall]:
        """Post what calls really used and release their holds, each call id once for ever.

        A call without a hold is posted all the same: usage is never lost. A call that recovery has
        posted as an estimate gets one correction with the difference.

        Raises:
            MeterUnavailable: nothing is known; keep the settlements and repeat.
        """
        return self._go(_settle(settlements))

    def close(self) -> None:
        """Disconnect: the writer's lock is free, and what it left open will be recovered."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _go[Result](self, steps: "_Steps[Result]") -> Result:
        try:
            statement = next(steps)
            while True:
                try:
                    rows = self._execute(*statement)
                except _UNSTORABLE as error:
                    statement = steps.throw(error)
                else:
                    statement = steps.send(rows)
        except StopIteration as end:
            result: Result = end.value
            return result

    def _execute(self, query: LiteralString, values: tuple[str | bytes, ...]) -> Rows:
        """Run one statement in a transaction of its own; connect, and try again once, if need be.

        Raises:
            DataError and the like (``_UNSTORABLE``): the database cannot store these very values.
            MeterUnavailable: it did not answer.
        """
        texts = [value.decode() if isinstance(value, bytes) else value for value in values]
        for attempt in range(_ATTEMPTS):
            try:
                return self._connected().execute(query, texts, binary=True).fetchall()
            except _UNSTORABLE:
                raise
            except psycopg.Error as error:
                log.warning("meter_fault", error=type(error).__name__, attempt=attempt)
                self.close()
                if attempt == _ATTEMPTS - 1:
                    raise MeterUnavailable("the database does not answer") from error
        raise AssertionError("unreachable")

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        if self._connection is None:
            parameters = {
                **past_poolers(),
                "autocommit": True,
                "prepare_threshold": _PREPARE_AFTER,
                "row_factory": tuple_row,
                "cursor_factory": psycopg.RawCursor,
            }
            connection = psycopg.connect(**parameters)
            connection.execute(_CONNECT, (str(self.writer_id),))
            self._connection = connection
        return self._connection


class LoopMeter:
    """The same for an event loop, one batch at a time; see ``Meter`` for what each promises.

    Args:
        writer_id: names this process among the holds.
    """

    def __init__(self, writer_id: UUID) -> None:
        self._writer_id = writer_id
        self._channel = Channel(past_poolers, (_CONNECT, (str(writer_id),)), _ANSWER_PATIENCE)

    async def open_calls(self, calls: Sequence[CallIntent]) -> list[OpenVerdict]:
        """Judge calls in order, and hold what each may cost.

        Raises:
            MeterUnavailable: nothing is known; do not call Mistral. Repeating is harmless.
        """
        return await self._go(_open(self._writer_id, calls))

    async def settle_calls(self, settlements: Sequence[Settlement]) -> list[SettledCall]:
        """Post what calls really used and release their holds.

        Raises:
            MeterUnavailable: nothing is known; keep the settlements and repeat.
        """
        return await self._go(_settle(settlements))

    def close(self) -> None:
        """Disconnect: the writer's lock is free, and what it left open will be recovered."""
        self._channel.close()

    async def _go[Result](self, steps: "_Steps[Result]") -> Result:
        try:
            statement = next(steps)
            while True:
                try:
                    rows = await self._execute(*statement)
                except _UNSTORABLE as error:
                    statement = steps.throw(error)
                else:
                    statement = steps.send(rows)
        except StopIteration as end:
            result: Result = end.value
            return result

    async def _execute(self, query: LiteralString, values: tuple[str | bytes, ...]) -> Rows:
        """Run one statement; a connection that was broken before is replaced once."""
        for attempt in range(_ATTEMPTS):
            try:
                return await self._channel.execute(query, values)
            except _UNSTORABLE:
                raise
            except (psycopg.Error, ChannelBroken) as error:
                log.warning("meter_fault", error=type(error).__name__, attempt=attempt)
                if attempt == _ATTEMPTS - 1:
                    raise MeterUnavailable("the database does not answer") from error
        raise AssertionError("unreachable")


def _open(writer_id: UUID, calls: Sequence[CallIntent]) -> "_Steps[list[OpenVerdict]]":
    rows = {call.call_id: hold_row(call) for call in calls}
    refused = yield from _send(_OPEN, (str(writer_id),), list(rows.values()))
    if not refused:
        return [OpenVerdict(call.call_id) for call in calls]
    refusals = {row[0]: _refusal(row) for row in refused}
    return [OpenVerdict(call.call_id, refusals.get(call.call_id)) for call in calls]


def _settle(settlements: Sequence[Settlement]) -> "_Steps[list[SettledCall]]":
    rows = {entry.intent.call_id: event_row(entry) for entry in settlements}
    told = yield from _send(_SETTLE, (), list(rows.values()))
    states = {row[0]: SettledState(row[1]) for row in told}
    return [
        SettledCall(call_id, states.get(call_id, SettledState.SETTLED))
        for call_id in (entry.intent.call_id for entry in settlements)
    ]


def _send(query: LiteralString, before: tuple[str, ...], rows: list[Row]) -> "_Steps[Rows]":
    """Send a batch; when the database cannot store it, find the call that it cannot store."""
    if not rows:
        return []
    try:
        return (yield query, (*before, orjson.dumps(rows)))
    except _UNSTORABLE as error:
        if len(rows) == 1:
            log.error("call_malformed", call_id=str(rows[0]["id"]), error=type(error).__name__)  # noqa: TRY400 - a traceback would quote the row
            return [(rows[0]["id"], RefusalReason.MALFORMED, None, None, None, None, None, "")]
    found: Rows = []
    for row in rows:
        found += yield from _send(query, before, [row])
    return found


def _refusal(row: tuple[Any, ...]) -> Refusal:
    _call_id, reason, kind, subject_id, limit, spent, held, currency = row
    return Refusal(
        RefusalReason(reason),
        SubjectKind(kind) if kind else None,
        subject_id,
        limit,
        spent,
        held,
        currency,
    )
