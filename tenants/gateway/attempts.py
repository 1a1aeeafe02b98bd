"""Makes a call: waits for its turn, opens it in the ledger, sends it, and perhaps tries again.

Another attempt is made only while the caller has been sent nothing and Mistral has refused: because
of a quota, if the call can wait for it or has another key, or because its servers were full, as
often as the workspace's policy allows. Each attempt is a line of its own in the ledger, with the
first one's id as its ``request_id``; a refused one costs nothing.
"""

import asyncio
import random
from dataclasses import dataclass, replace
from functools import partial
from uuid import UUID

from tenants.common.models import new_id
from tenants.gateway.calls import Call, open_call
from tenants.gateway.endpoints import BESIDE_MODELS, Kind
from tenants.gateway.exchange import Exchange
from tenants.gateway.failover import Alternates
from tenants.gateway.pacing import CallerLeftError, Pacer, patience
from tenants.gateway.permits import Permit
from tenants.gateway.relay import Relay
from tenants.gateway.requests import Request
from tenants.gateway.snapshots import Picture
from tenants.gateway.writer import Writer
from tenants.mistral.errors import Family, Quota, UpstreamFailure
from tenants.spend.pricing import Modifier

_MOST_ATTEMPTS = 4
_CAPACITY_PAUSE = 0.5
#: What another workspace of Mistral's cannot answer: it does not have what is named.
_STAYING = BESIDE_MODELS | {Kind.CONVERSATION}


@dataclass(slots=True)
class Wanted:
    """What a caller wants.

    Attributes:
        call_id: of the first attempt, and what the caller is told as ``x-request-id``.
        started: ``time.perf_counter()`` when the request came in.
        headers: that go to Mistral.
    """

    picture: Picture
    request: Request
    call_id: UUID
    message_id: str
    started: float
    headers: dict[str, str]


class Attempts:
    """How calls are made in one process.

    Args:
        extra: modifiers that hold for every call, as of a regional host.
    """

    def __init__(
        self,
        writer: Writer,
        relay: Relay,
        pacer: Pacer,
        alternates: Alternates,
        extra: tuple[Modifier, ...] = (),
    ) -> None:
        self._writer = writer
        self._relay = relay
        self._pacer = pacer
        self._alternates = alternates
        self._extra = extra

    async def make(self, exchange: Exchange, wanted: Wanted) -> None:
        """Make a call and answer the caller.

        Raises:
            Problem: it was not sent.
            CallerLeftError: before it was sent.
        """
        until = self._pacer.clock() + patience(wanted.picture)
        tried = 0
        while True:
            tried += 1
            chosen = wanted
            if wanted.picture.traffic.policy.failover and _may_move(wanted.request):
                chosen = replace(wanted, picture=await self._choose(wanted.picture))
            refused = await self._try(exchange, chosen, tried, until)
            if refused is None:
                return
            await self._pause(exchange, refused, tried)

    async def _choose(self, picture: Picture) -> Picture:
        """Choose the model's own key, or another one if that would have to wait and may not."""
        others = await self._alternates.of(picture)
        if self._pacer.is_ready(picture):
            return picture
        return next((other for other in others if self._pacer.is_ready(other)), picture)

    async def _try(
        self, exchange: Exchange, wanted: Wanted, tried: int, until: float
    ) -> UpstreamFailure | None:
        """Make one attempt; tell why Mistral refused it if there may be another one."""
        is_whole = isinstance(wanted.request.body, bytes)
        # What is still being sent to us cannot be listened to for the caller's leaving, nor twice.
        receive = exchange.receive if is_whole else _nothing
        permit = await self._pacer.admit(
            wanted.picture, wanted.request, wanted.message_id, receive, until
        )
        try:
            permit.keep_away()
            call = await self._open(wanted, tried)
        except BaseException:
            permit.withdraw()
            raise
        call.permit = permit
        if tried < _MOST_ATTEMPTS and is_whole and permit.is_of_model:
            call.may_retry = partial(self._is_worth_it, wanted, permit, tried, until)
        return await self._relay.carry(exchange, call, wanted.headers)

    async def _open(self, wanted: Wanted, tried: int) -> Call:
        return await open_call(
            writer=self._writer,
            picture=wanted.picture,
            request=wanted.request,
            call_id=wanted.call_id if tried == 1 else new_id(),
            message_id=wanted.message_id,
            started=wanted.started,
            extra=self._extra,
            request_id="" if tried == 1 else str(wanted.call_id),
        )

    def _is_worth_it(
        self, wanted: Wanted, permit: Permit, tried: int, until: float, failure: UpstreamFailure
    ) -> bool:
        """Decide whether a refused call is tried again, once the refusal has been learned from."""
        now = self._pacer.clock()
        if failure.family is Family.QUOTA:
            picture = wanted.picture
            if picture.traffic.policy.failover and _may_move(wanted.request):
                others = self._alternates.known(picture)
                if any(self._pacer.is_ready(other) for other in others):
                    return True
            return failure.quota is Quota.WINDOW and permit.lane.bucket.gate.until < until
        if failure.family is Family.CAPACITY:
            return (
                tried <= permit.lane.traffic.policy.capacity_retries
                and now + _pause(failure, tried) < until
            )
        return False

    async def _pause(self, exchange: Exchange, failure: UpstreamFailure, tried: int) -> None:
        """Wait politely for a full Mistral; a used-up quota has a gate, where the next one waits.

        Raises:
            CallerLeftError: meanwhile.
        """
        if failure.family is not Family.CAPACITY:
            return
        left = asyncio.ensure_future(exchange.receive())
        try:
            done, _ = await asyncio.wait((left,), timeout=_pause(failure, tried))
        finally:
            left.cancel()
        if done:
            raise CallerLeftError


def _may_move(request: Request) -> bool:
    """Tell whether another workspace of Mistral's can answer: this one keeps nothing for it."""
    return (
        isinstance(request.body, bytes)
        and request.endpoint.kind not in _STAYING
        and request.aftermath is None
        and not request.names_files
    )


async def _nothing() -> object:
    """Receive nothing, ever."""
    return await asyncio.get_running_loop().create_future()


def _pause(failure: UpstreamFailure, tried: int) -> float:
    backoff: float = _CAPACITY_PAUSE * 2 ** (tried - 1)
    # Callers that were refused together shall not come back together.
    backoff *= 1 + random.random() / 2  # noqa: S311 - no secret
    return max(backoff, float(failure.retry_after_seconds or 0))
