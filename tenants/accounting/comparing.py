"""Compares our month with somebody else's, and says of every difference what it comes from.

A pure function: two sides in, lines out. What the two sides say of each meter splits a difference
into a part of price and a part of quantity; the parts of a line add up to its difference, exactly.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from tenants.accounting.figures import Figure, Figures, Place, Used
from tenants.common.money import rounded
from tenants.spend.pricing import Meter, Prices

_ZERO = Decimal(0)
#: Below this, a price or a total is the same: each event's cost was rounded to the nano-unit.
_GRAIN = Decimal("0.000001")


class Reason(StrEnum):
    """What a part of a difference comes from."""

    UNMETERED_USE = "unmetered_use"  # they count more: a key is used outside the gateway
    NOT_BILLED = "not_billed"  # we count more than they bill
    PRICE_RULE = "price_rule"  # the same quantity at another price
    CACHED_TOKENS = "cached_tokens"  # the same prompt, another share of it cached
    ESTIMATES = "estimates"  # our figure was an estimate
    INCLUDED_USAGE = "included_usage"  # part of the plan, not billed
    ROUNDING = "rounding"  # less than a millionth, or than the places that were typed can tell
    UNEXPLAINED = "unexplained"  # the figure tells too little


@dataclass(frozen=True, slots=True)
class Ours:
    """What our ledger says of a place in the other side's month."""

    amount: Decimal = _ZERO
    estimated: Decimal = _ZERO
    unpriced: int = 0
    meters: Mapping[Meter, int] = field(default_factory=dict)
    prices: Prices | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One place on both sides; ``difference`` is theirs minus ours, None when they tell no cost."""

    place: Place
    ours: Ours
    theirs: Figure
    difference: Decimal | None
    reasons: Mapping[Reason, Decimal]


def compare(ours: Mapping[Place, Ours], theirs: Figures) -> list[Line]:
    """Compare place by place, in a fixed order.

    Where they tell less than a place (no workspace, or no model), ours is added up to what they
    tell.
    """
    merged = _merge(ours, theirs)
    places = sorted(
        {*merged, *theirs},
        key=lambda one: (one.category, one.mistral_model, str(one.workspace_id or "")),
    )
    return [
        _line(place, merged.get(place, Ours()), theirs.get(place, Figure(_ZERO)))
        for place in places
    ]


def _merge(ours: Mapping[Place, Ours], theirs: Figures) -> dict[Place, Ours]:
    merged: dict[Place, Ours] = {}
    for place, found in ours.items():
        target = next((wide for wide in _widening(place) if wide in theirs), place)
        known = merged.get(target)
        merged[target] = found if known is None else _added(known, found)
    return merged


def _widening(place: Place) -> Iterator[Place]:
    yield place
    yield Place(place.category, "", place.workspace_id)
    yield Place(place.category, place.mistral_model)
    yield Place(place.category, "")


def _added(one: Ours, other: Ours) -> Ours:
    meters = {
        meter: one.meters.get(meter, 0) + other.meters.get(meter, 0)
        for meter in {*one.meters, *other.meters}
    }
    same = one.prices is not None and one.prices == other.prices
    return Ours(
        one.amount + other.amount,
        one.estimated + other.estimated,
        one.unpriced + other.unpriced,
        meters,
        one.prices if same else None,
    )


def _line(place: Place, ours: Ours, theirs: Figure) -> Line:
    if theirs.amount is None:
        return Line(place, ours, theirs, None, {})
    difference = rounded(theirs.amount) - ours.amount
    return Line(place, ours, theirs, difference, _reasons(ours, theirs, difference))


def _reasons(ours: Ours, theirs: Figure, difference: Decimal) -> dict[Reason, Decimal]:
    if not difference:
        return {}
    if abs(difference) < _GRAIN or abs(difference) <= theirs.grain:
        return {Reason.ROUNDING: difference}
    parts = _by_meter(ours, theirs)
    if parts is None:
        whole_is_missing = not ours.amount and not any(ours.meters.values())
        parts = {
            Reason.UNMETERED_USE if whole_is_missing and difference > 0 else Reason.UNEXPLAINED: (
                difference
            )
        }
    parts = _with_estimates(parts, ours.estimated)
    left = difference - sum((rounded(part) for part in parts.values()), _ZERO)
    found = {reason: rounded(part) for reason, part in parts.items() if rounded(part)}
    if left:
        reason = Reason.ROUNDING if abs(left) < _GRAIN else Reason.UNEXPLAINED
        found[reason] = found.get(reason, _ZERO) + left
    return found


def _by_meter(ours: Ours, theirs: Figure) -> dict[Reason, Decimal] | None:
    """Split by meter: price times our quantity, quantity times their price; None if not told."""
    if not theirs.meters:
        return None
    listed = _listed(ours)
    if any(quantity for meter, quantity in ours.meters.items() if quantity) and listed is None:
        return None
    factor = _factor(ours, listed or {})
    parts: dict[Reason, Decimal] = {}
    volumes: dict[Meter, Decimal] = {}
    for meter in {*theirs.meters, *(listed or {})}:
        used = theirs.meters.get(meter, Used())
        quantity = Decimal(ours.meters.get(meter, 0))
        our_price = (listed or {}).get(meter, _ZERO) * factor
        their_price = our_price if used.price is None else used.price
        _add(parts, Reason.PRICE_RULE, quantity * (their_price - our_price))
        volumes[meter] = (used.quantity - quantity) * their_price
        _add(parts, Reason.INCLUDED_USAGE, used.cost - used.quantity * their_price)
    cached, rest = _cached(ours, theirs, volumes)
    _add(parts, Reason.CACHED_TOKENS, cached)
    _add(parts, Reason.UNMETERED_USE if rest > 0 else Reason.NOT_BILLED, rest)
    return parts


def _listed(ours: Ours) -> dict[Meter, Decimal] | None:
    """Find our unit price of every meter that counted; None if one is not known."""
    prices: dict[Meter, Decimal] = {}
    for meter, quantity in ours.meters.items():
        known = ours.prices.meters.get(meter) if ours.prices else None
        if known is None and meter is Meter.CACHED_INPUT and ours.prices:
            known = ours.prices.meters.get(Meter.INPUT)
        if known is not None:
            prices[meter] = known.amount / known.per
        elif quantity:
            return None
    return prices


def _factor(ours: Ours, listed: Mapping[Meter, Decimal]) -> Decimal:
    """Find what our calls really cost of the list: batches half, priority more."""
    whole = sum((listed.get(meter, _ZERO) * count for meter, count in ours.meters.items()), _ZERO)
    if not whole or abs(whole - ours.amount) < _GRAIN:
        return Decimal(1)
    return ours.amount / whole


def _cached(
    ours: Ours, theirs: Figure, volumes: Mapping[Meter, Decimal]
) -> tuple[Decimal, Decimal]:
    """Tell tokens that moved between cached and not from those that only one side counts."""

    def change(meter: Meter) -> Decimal:
        return theirs.meters.get(meter, Used()).quantity - ours.meters.get(meter, 0)

    total = sum(volumes.values(), _ZERO)
    fresh, cached = change(Meter.INPUT), change(Meter.CACHED_INPUT)
    if not fresh or not cached or (fresh > 0) == (cached > 0):
        return _ZERO, total
    moved = min(abs(fresh), abs(cached))
    price = {meter: volumes[meter] / change(meter) for meter in (Meter.INPUT, Meter.CACHED_INPUT)}
    sign = 1 if cached > 0 else -1
    part = sign * moved * (price[Meter.CACHED_INPUT] - price[Meter.INPUT])
    return part, total - part


def _with_estimates(parts: dict[Reason, Decimal], estimated: Decimal) -> dict[Reason, Decimal]:
    """Blame quantities on estimates first, as far as there are any."""
    if estimated <= 0:
        return parts
    found = dict(parts)
    for reason in (Reason.NOT_BILLED, Reason.UNMETERED_USE, Reason.UNEXPLAINED):
        part = found.get(reason, _ZERO)
        blamed = max(min(part, estimated), -estimated)
        if blamed:
            _add(found, Reason.ESTIMATES, blamed)
            found[reason] = part - blamed
            estimated -= abs(blamed)
    return found


def _add(parts: dict[Reason, Decimal], reason: Reason, amount: Decimal) -> None:
    if amount:
        parts[reason] = parts.get(reason, _ZERO) + amount
