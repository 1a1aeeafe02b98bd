"""Carries a call to Mistral and its answer back, byte for byte and as it arrives, and settles it.

A caller who leaves a stream does not stop it at once: its last frame tells what it cost, so it is
read on for a bounded time and size. A stream that breaks off is broken off for the caller too: an
ending that looked whole would be a lie. Nothing of requests or answers is kept or logged.
"""

import asyncio
import time

import structlog

from tenants.common import tracing
from tenants.common.problems import Problem, Unavailable
from tenants.gateway import refusals, weighing
from tenants.gateway.bounds import Bounds
from tenants.gateway.calls import Call, may_cost, settle_call
from tenants.gateway.departures import Departure, Departures
from tenants.gateway.doubts import Doubts
from tenants.gateway.encodings import Unpacker, plain
from tenants.gateway.endpoints import FREE, Kind
from tenants.gateway.exchange import Exchange
from tenants.gateway.outlet import Outlet
from tenants.gateway.tail import StreamTail, Told
from tenants.gateway.tripwire import Place, Spoken, screen, suspects
from tenants.gateway.uploads import Upload
from tenants.gateway.usage import Observation, note
from tenants.gateway.veil import Veil
from tenants.gateway.weighing import LIGHT
from tenants.mistral.classification import classify
from tenants.mistral.errors import (
    AnswerLostError,
    Family,
    MistralError,
    Reach,
    UpstreamFailure,
    WireError,
)
from tenants.mistral.pool import UpstreamPool
from tenants.mistral.sending import Sending
from tenants.mistral.upstream import UpstreamResponse
from tenants.registry.models import OnDisconnect
from tenants.spend.calls import Estimate, Outcome
from tenants.spend.pricing import Cost, PriceState

log = structlog.get_logger(__name__)

_FIRST_REFUSAL, _FIRST_FAILURE = 300, 500
_EVENT_STREAM = "text/event-stream"


class Relay:
    """Carries calls over one pool of connections."""

    def __init__(self, pool: UpstreamPool, bounds: Bounds, doubts: Doubts) -> None:
        self._pool = pool
        self._bounds = bounds
        self._departures = Departures(bounds)
        self._doubts = doubts

    async def carry(
        self, exchange: Exchange, call: Call, headers: dict[str, str]
    ) -> UpstreamFailure | None:
        """Send a call to Mistral and its answer to the caller; settle it whatever happens.

        Returns:
            Mistral's refusal, if the caller was not told of it because there is another attempt.
        """
        seen = Observation(is_unseen=True)
        idle = call.picture.snapshot.model.timeout or self._bounds.idle
        began = time.monotonic()
        upload = call.request.body
        problem = refused = None
        try:
            with tracing.span("mistral") as here:
                refused = await self._carry(exchange, call, headers, seen, idle)
                here.set_attribute("http.response.status_code", seen.http_status or 0)
        except TimeoutError:
            problem = refusals.timed_out()
        except MistralError as error:
            if isinstance(upload, Upload) and upload.fault is not None and seen.http_status is None:
                seen.outcome = Outcome.NOT_SENT  # not whole, and so nothing that Mistral could read
                raise upload.fault from None
            is_late = time.monotonic() - began >= idle and error.failure.reach is not Reach.NEVER
            problem = refusals.timed_out() if is_late else _failed(error, call, seen)
        finally:
            exchange.may_cost = exchange.may_cost or may_cost(seen)
            settle_call(call, seen)
            if isinstance(upload, Upload):
                upload.close()
        if problem is not None:
            await exchange.refuse(problem)
        return refused

    async def _carry(
        self,
        exchange: Exchange,
        call: Call,
        headers: dict[str, str],
        seen: Observation,
        idle: float,
    ) -> UpstreamFailure | None:
        # The head comes within `idle`; what follows it has the time that `total` leaves.
        async with self._send(call, headers, idle) as answer:
            seen.http_status = answer.status
            told = answer.headers.get("mistral-correlation-id") or answer.correlation_id or ""
            seen.correlation_id = Veil(call.key).text(told)
            if answer.status >= _FIRST_REFUSAL:
                return await self._refusal(exchange, call, answer, seen)
            if call.permit is not None:
                call.permit.heard(answer.headers)
            if answer.headers.get("content-type", "").lower().startswith(_EVENT_STREAM):
                async with asyncio.timeout(self._bounds.total) as limit:
                    await _Stream(exchange, call, seen, self._bounds, limit).relay(answer)
            elif call.request.endpoint.kind is Kind.DOWNLOAD:
                async with asyncio.timeout(self._bounds.total):
                    await self._download(exchange, call, answer, seen)
            else:
                with Departure(self._departures, call.intent.organization_id) as kept:
                    await self._whole(exchange, call, answer, seen, kept)
        return None

    def _send(self, call: Call, headers: dict[str, str], idle: float) -> Sending:
        request = call.request
        target = request.target or request.endpoint.path
        if isinstance(request.body, bytes):
            return self._pool.send(
                request.method,
                target,
                headers,
                request.body,
                key=call.key,
                idle=idle,
            )
        # An upload takes as long as the caller takes for it; how long that may be is bounded there.
        return self._pool.send(
            request.method,
            target,
            headers,
            request.body.pieces(),
            key=call.key,
            length=request.body.length,
            idle=self._bounds.total,
        )

    async def _download(
        self, exchange: Exchange, call: Call, answer: UpstreamResponse, seen: Observation
    ) -> None:
        """Hand on what may be larger than memory; the next piece is read when this one is taken."""
        headers = Veil(call.key).head(answer.headers)
        if length := answer.headers.get("content-length"):
            headers.append((b"content-length", length.encode()))
        await exchange.start(answer.status, headers)
        outlet = Outlet(exchange, self._bounds.lag)
        try:
            while chunk := await answer.next_chunk():
                if outlet.is_gone:
                    seen.outcome = Outcome.DISCONNECTED
                    return
                await outlet.give(chunk)
        finally:
            outlet.close()
        seen.outcome = Outcome.COMPLETED
        settle_call(call, seen)
        await exchange.send({"type": "http.response.body", "body": b""})

    async def _whole(
        self,
        exchange: Exchange,
        call: Call,
        answer: UpstreamResponse,
        seen: Observation,
        kept: Departure,
    ) -> None:
        body = await self._read(answer, self._bounds.answer, kept)
        await weighing.apart(
            call.intent.organization_id, len(body), self._note, call, answer, body, seen
        )
        seen.doubt, seen.outcome = Estimate.USAGE_MISSING, Outcome.COMPLETED
        headers = Veil(call.key).head(answer.headers)
        if call.request.aftermath is not None:
            try:
                body = await call.request.aftermath.whole(body)
            except Unavailable as fault:
                if fault.code != "metering_unavailable" or call.request.endpoint.kind in FREE:
                    raise
                raise refusals.unkept() from None
            finally:
                call.is_kept = call.request.aftermath.keeps_hold
        cost = settle_call(call, seen)
        if cost.state is not PriceState.UNPRICED and not call.is_kept:
            headers.append((b"x-aim-cost", _price_tag(cost)))
        await exchange.answer(answer.status, headers, await _without_secrets(body, call))

    def _note(self, call: Call, answer: UpstreamResponse, body: bytes, seen: Observation) -> None:
        note(call.request.endpoint.kind, plain(body, answer.headers, self._bounds.answer), seen)

    async def _refusal(
        self, exchange: Exchange, call: Call, answer: UpstreamResponse, seen: Observation
    ) -> UpstreamFailure | None:
        """Pass a refusal of Mistral's on: it costs nothing, and may quote the key."""
        if answer.status < _FIRST_FAILURE:
            seen.outcome = Outcome.REFUSED
        try:
            body = await self._read(answer, refusals.LARGEST_ERROR)
        except (MistralError, TimeoutError):
            body = b""
        headers = [
            header
            for header in Veil(call.key).head(answer.headers)
            if header[0] not in {b"content-type", b"content-encoding"}
        ]
        failure = classify(answer.status, answer.headers, body, path=call.intent.endpoint)
        if call.permit is not None:
            call.permit.refused(failure, answer.headers)
        self._doubts.hear(call, failure)
        settle_call(call, seen)
        if call.may_retry(failure):
            return failure
        if failure.family is Family.QUOTA and "retry-after" not in answer.headers:
            headers += _when(call)
        await exchange.answer(
            answer.status,
            [*headers, refusals.JSON],
            refusals.theirs(answer.status, body, call.key),
        )
        return None

    async def _read(
        self, answer: UpstreamResponse, largest: int, kept: Departure | None = None
    ) -> bytes:
        """Read an answer to its end; nearly always it has arrived at once, and needs no clock."""
        told = answer.headers.get("content-length", "")
        length = int(told) if told.isdecimal() else 0
        if kept is not None and length > LIGHT:  # it may come at once, before it could wait
            async with asyncio.timeout(self._bounds.total):
                await kept.keep(min(length, largest))
        first = await answer.next_chunk()
        is_whole = not first or length == len(first)
        if is_whole and len(first) <= LIGHT:
            return first
        keep = None if kept is None else kept.keep
        async with asyncio.timeout(self._bounds.total):
            return await answer.read(largest, first, keep)


class _Stream:
    """One stream: to the caller while there is one, and on to its usage when there is none left."""

    def __init__(
        self,
        exchange: Exchange,
        call: Call,
        seen: Observation,
        bounds: Bounds,
        limit: asyncio.Timeout,
    ) -> None:
        self._exchange = exchange
        self._call = call
        self._seen = seen
        self._bounds = bounds
        self._limit = limit
        self._drained = 0
        self._spoken = Spoken()
        self._veil = Veil(call.key)
        self._outlet = Outlet(exchange, bounds.lag, self._hurry)

    async def relay(self, answer: UpstreamResponse) -> None:
        """Hand on chunk after chunk; the next is read when the caller has taken the last."""
        self._seen.is_unseen = False
        tail, unpacker = StreamTail(), None
        if encoding := answer.headers.get("content-encoding"):
            unpacker = Unpacker(encoding, self._bounds.answer)
        aftermath = self._call.request.aftermath
        is_whole = False
        try:
            await self._exchange.start(answer.status, self._veil.head(answer.headers))
            while chunk := await answer.next_chunk():
                tail.feed(unpacker.feed(chunk) if unpacker else chunk)
                if aftermath is not None:
                    await aftermath.opening(chunk)
                if not await self._hand_on(chunk):
                    break
            else:
                is_whole = True
        finally:
            # Synchronous, and so proof against cancellation.
            is_gone = self._outlet.is_gone
            self._outlet.close()
            self._judge(tail.finish(), is_whole=is_whole, is_gone=is_gone)
            settle_call(self._call, self._seen)
        if is_whole:
            if not is_gone:
                rest = {"type": "http.response.body", "body": self._veil.rest()}
                await self._exchange.send(rest)
            await self._spoken.judge(self._call.intent.organization_id)

    async def _hand_on(self, chunk: bytes) -> bool:
        """Give the caller a chunk, or count it when there is nobody; False when it is enough."""
        if self._outlet.is_gone:
            self._drained += len(chunk)
            return self._drained <= self._bounds.drain_bytes
        shown = self._veil.piece(chunk)
        if not shown:
            return True
        if self._spoken.hear(shown):
            shown = await _without_secrets(shown, self._call)
        await self._outlet.give(shown)
        return True

    def _hurry(self) -> None:
        """The caller has left: from now on the time is short."""
        wished = self._call.picture.traffic.policy.on_disconnect
        patience = self._bounds.drain_time if wished is OnDisconnect.DRAIN else 0.0
        soon = asyncio.get_running_loop().time() + patience
        when = self._limit.when()
        if when is None or soon < when:
            self._limit.reschedule(soon)

    def _judge(self, told: Told, *, is_whole: bool, is_gone: bool) -> None:
        seen = self._seen
        seen.usage, seen.model, seen.delivered = told.usage, told.model, told.delivered
        if self._drained or (is_gone and not is_whole):
            seen.outcome, seen.doubt = Outcome.DISCONNECTED, Estimate.DISCONNECTED
        elif told.failure is not None or not is_whole:
            seen.outcome, seen.doubt = Outcome.FAILED, Estimate.BROKEN_ANSWER
        else:
            seen.outcome, seen.doubt = Outcome.COMPLETED, Estimate.USAGE_MISSING


def _failed(error: MistralError, call: Call, seen: Observation) -> Problem:
    """Note what an answer that did not come means for the bill, and say it."""
    failure = error.failure
    if call.permit is not None:
        call.permit.lost(error)
    log.warning("call_failed", call=str(call.intent.call_id), failure=str(failure))
    if failure.reach is Reach.NEVER or not isinstance(error, AnswerLostError | WireError):
        seen.outcome = Outcome.NOT_SENT
    return refusals.unanswered(error)


def _when(call: Call) -> refusals.Headers:
    """Tell when calls like a refused one may go again, where Mistral has not told it."""
    wait = 0 if call.permit is None else call.permit.opens_in()
    return [(b"retry-after", b"%d" % wait)] if wait else []


async def _without_secrets(body: bytes, call: Call) -> bytes:
    """Mask the key, should an answer quote it, and other secrets of ours; else the same bytes."""
    body = Veil(call.key).whole(body)
    owner = call.intent.organization_id
    if found := await weighing.apart(owner, len(body), suspects, body):
        return await screen(body, found, seen_in=owner, place=Place.ANSWER)
    return body


def _price_tag(cost: Cost) -> bytes:
    return f"{cost.amount:.6f} {cost.currency}".encode()
