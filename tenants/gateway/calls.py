"""Opens a call before it goes to Mistral and settles it afterwards, once, whatever happened.

The only importer of custody here. What a call used is Mistral's usage where there is one; where it
is missing the settlement is an estimate and says why. It refuses to send what is not held.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from uuid import UUID

from tenants.common.problems import Conflict, Invalid, Unavailable
from tenants.common.secrets import Secret
from tenants.gateway import limited
from tenants.gateway.endpoints import FREE, Kind
from tenants.gateway.permits import Permit
from tenants.gateway.requests import Request
from tenants.gateway.snapshots import Picture, load
from tenants.gateway.usage import Observation, used
from tenants.gateway.writer import Writer
from tenants.keys import custody, doubting
from tenants.mistral.errors import UpstreamFailure
from tenants.registry import catalog
from tenants.spend.calls import (
    CONNECTORS,
    MOST_CONNECTOR_CALLS,
    CallIntent,
    Category,
    Estimate,
    Outcome,
    Settlement,
    derived,
    instant_of,
    period_of,
)
from tenants.spend.pricing import (
    Cost,
    Meter,
    Modifier,
    Prices,
    PriceState,
    Quantities,
    UnitPrice,
    cost,
    worst_case,
)

_MINUTE = 60_000
_PRIORITY = "priority"
# What costs nothing whatever the model: every meter has a price, and it is zero on purpose.
_NO_CHARGE = {meter: UnitPrice(0, Decimal(0), 1, free=True) for meter in Meter}


def _never(_failure: UpstreamFailure) -> bool:
    return False


@dataclass(slots=True)
class Call:
    """A call whose hold is durable: it may go out, and must be settled.

    Attributes:
        started: ``time.perf_counter()`` when the request came in.
        at: the instant whose prices hold.
        extra: modifiers that hold for every call, as of a regional host.
        is_kept: its hold stays: what it made is metered later.
        permit: of the rate limits, which learn from how the call goes.
        may_retry: decides about another attempt when Mistral has refused this one.
    """

    intent: CallIntent
    picture: Picture
    request: Request
    key: Secret[str]
    started: float
    at: datetime
    prices: Prices
    extra: tuple[Modifier, ...]
    writer: Writer
    settlement: Settlement | None = None
    is_kept: bool = False
    permit: Permit | None = None
    may_retry: Callable[[UpstreamFailure], bool] = _never


def load_opened(token_digest: bytes) -> Picture | None:
    """Read a picture and open its key, in a thread: a key service may have to be asked.

    So no call ever waits for the network to open a key, and the event loop never does. A key that
    does not open is checked soon, which then says so wherever the key is shown.
    """
    picture = load(token_digest)
    if picture is not None and picture.blocked is None:
        open_key(picture)
        if picture.key is None and not picture.is_closed_for_now:
            snapshot = picture.snapshot
            doubting.doubt(snapshot.organization.id, snapshot.key.id)
    return picture


def borrow_key(picture: Picture) -> Secret[str]:
    """Give the key behind a model; it stays open for as long as the picture is kept.

    Raises:
        Conflict: it was shredded, or does not open.
        Unavailable: ``vault_unavailable``: nobody can open it now.
    """
    if picture.key is not None:
        return picture.key
    if picture.is_closed_for_now:
        raise Unavailable(
            "vault_unavailable",
            "The API key behind this model cannot be opened now: the service that guards the"
            " encryption keys does not answer. Nothing was sent to Mistral. Try again.",
            retry_after=2,
        )
    raise Conflict(
        "model_blocked",
        "The API key behind this model cannot be opened. Replace its secret.",
        reason="key_undecryptable",
    )


def open_key(picture: Picture) -> None:
    """Open a picture's key, in a thread; what became of it shows when it is borrowed."""
    sealed = picture.snapshot.key.sealed
    if sealed is None:
        return
    try:
        picture.key = custody.open_sealed(sealed)
    except custody.UndecryptableError:
        picture.key = None
    except Unavailable:
        picture.is_closed_for_now = True


async def open_call(
    *,
    writer: Writer,
    picture: Picture,
    request: Request,
    call_id: UUID,
    message_id: str,
    started: float,
    extra: tuple[Modifier, ...] = (),
    request_id: str = "",
) -> Call:
    """Hold what a call may cost, durably, before anything is sent.

    ``request_id`` is what the caller is told, where that is not the call's own id.

    Raises:
        Conflict: the key cannot be opened, or the month began in another currency.
        Payment: a limit stands in the way, or the price is unknown where a limit is set.
        Unavailable: the ledger does not answer, or nobody can open the key now.
    """
    snapshot = picture.snapshot
    key = borrow_key(picture)
    at = instant_of(call_id)
    currency = snapshot.organization.currency
    prices = _prices(picture, request, currency, at)
    is_free = request.endpoint.kind in FREE
    if is_free:
        prices = replace(prices, currency=currency, meters=_NO_CHARGE)
    bound = request.bound
    if bound.max_tokens is None and picture.usual_tokens is not None:
        bound = replace(bound, usual_tokens=picture.usual_tokens)
    try:
        most = worst_case(bound, prices, (*request.modifiers, *extra))
    except ValueError:
        raise Invalid(
            "too_large", "The request asks for more tokens than can be counted."
        ) from None
    if request.calls_connectors or request.endpoint.kind is Kind.NEW:
        most = replace(most, cost=Cost(PriceState.UNPRICED, None, currency))
    intent = CallIntent(
        call_id=call_id,
        organization_id=snapshot.organization.id,
        workspace_id=snapshot.workspace.id,
        key_id=snapshot.key.id,
        model_id=snapshot.model.id,
        endpoint=request.endpoint.path,
        requested_model=request.priced_as or snapshot.model.mistral_model,
        period=_period(call_id.int >> 80, snapshot.organization.timezone),
        worst_case=most,
        message_id=message_id,
        allows_unpriced=picture.allows_unpriced,
        request_id=request_id,
        category=Category.FREE if is_free else None,
    )
    verdict = await writer.open(intent)
    if verdict.refusal is not None:
        raise limited.refusal_of(
            verdict.refusal, intent, replace(request, bound=bound), snapshot.organization.timezone
        )
    if request.aftermath is not None:
        request.aftermath.intent = intent
    return Call(intent, picture, request, key, started, at, prices, extra, writer)


def _prices(picture: Picture, request: Request, currency: str, at: datetime) -> Prices:
    """Find the prices to hold by: the dearest, where it is not known which model will answer."""
    if request.priced_as == "":
        return picture.book.dearest(currency, at)
    snapshot = picture.snapshot
    asked = request.priced_as
    model = snapshot.leads_to(asked) if asked else snapshot.model.canonical_model
    return picture.book.prices_for(model, currency, at)


def settle_call(call: Call, seen: Observation) -> Cost:
    """Settle a call by what is known, and return what it cost; a second time changes nothing."""
    if call.settlement is None:
        call.settlement = _settlement(call, seen)
        if call.is_kept:
            call.writer.keep(call.intent)
        else:
            call.writer.settle(call.settlement)
        if call.permit is not None:
            # Tokens that are told and free, as those of recordings, count for rates all the same.
            counted, told = call.settlement.quantities, seen.usage
            call.permit.finish(
                max(counted.prompt_tokens, told.prompt_tokens or 0),
                max(counted.completion_tokens, told.completion_tokens or 0),
            )
        if seen.usage.connector_calls:
            call.writer.settle(_connectors(call, seen.usage.connector_calls, seen))
    return call.settlement.cost


def _connectors(call: Call, times: int, seen: Observation) -> Settlement:
    """Post what connectors did in an event of its own; Mistral publishes no price for it."""
    counted = Quantities(requests=0, connector_calls=min(times, MOST_CONNECTOR_CALLS))
    intent = replace(
        call.intent, call_id=derived(call.intent.call_id, "connectors"), endpoint=CONNECTORS
    )
    return Settlement(
        intent=intent,
        outcome=seen.outcome,
        quantities=counted,
        cost=cost(counted, call.prices, call.extra),
        http_status=seen.http_status,
        answered_model=_answered(call, seen),
        correlation_id=seen.correlation_id,
    )


def _settlement(call: Call, seen: Observation) -> Settlement:
    if not may_cost(seen):
        return Settlement.nothing(
            call.intent, seen.outcome, seen.http_status, _duration(call), seen.correlation_id
        )
    quantities, estimate = used(call.request, seen, call.intent.worst_case.quantities)
    return Settlement(
        intent=call.intent,
        outcome=seen.outcome,
        quantities=quantities,
        cost=_cost(call, seen, quantities, estimate),
        http_status=seen.http_status,
        answered_model=_answered(call, seen),
        estimate=estimate,
        duration=_duration(call),
        correlation_id=seen.correlation_id,
    )


def may_cost(seen: Observation) -> bool:
    """Tell whether Mistral may bill a call: it was sent, and was not refused."""
    if seen.outcome in {Outcome.NOT_SENT, Outcome.REFUSED}:
        return False
    return seen.http_status is None or seen.http_status < 300  # noqa: PLR2004 - only a success is billed


def _cost(call: Call, seen: Observation, quantities: Quantities, estimate: Estimate) -> Cost:
    """Price by the snapshot that answered; by the one that was asked where that has no price.

    A fine-tuned model is no alias: it is priced by its own name, whatever the answer calls it.
    """
    prices = call.prices
    if call.request.endpoint.kind is Kind.NEW:
        return Cost(PriceState.UNPRICED, None, prices.currency)
    is_tuned = catalog.base_of(prices.mistral_model) is not None
    model = _answered(call, seen)
    if model and model != prices.mistral_model and not is_tuned:
        answered = call.picture.book.prices_for(model, prices.currency, call.at)
        prices = answered if answered.meters else prices
    modifiers = call.extra
    if estimate is not Estimate.EXACT and seen.usage.service_tier is None:
        modifiers = (*call.request.modifiers, *modifiers)
    elif seen.usage.service_tier == _PRIORITY:
        modifiers = (Modifier.PRIORITY, *modifiers)
    return cost(quantities, prices, modifiers)


def _answered(call: Call, seen: Observation) -> str:
    """Name the snapshot that answered: answers echo the alias that was asked, which may have moved.

    Empty when nothing tells, unless the catalogue would take what was asked for another one.
    """
    snapshot = call.picture.snapshot
    if seen.model:
        return snapshot.leads_to(seen.model)
    return snapshot.moved.get(call.intent.requested_model, "")


def _duration(call: Call) -> timedelta:
    return timedelta(seconds=time.perf_counter() - call.started)


@lru_cache(maxsize=4096)
def _period_of_minute(minute: int, zone: str) -> date:
    return period_of(UUID(int=(minute * _MINUTE) << 80), zone)


def _period(milliseconds: int, zone: str) -> date:
    """Find the budget month; every zone's months begin with a minute."""
    return _period_of_minute(milliseconds // _MINUTE, zone)
