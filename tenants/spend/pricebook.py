"""Answers which prices held at an instant, from memory.

A book is an immutable picture of the price table. Each process keeps one and takes a new one when
it is a minute old; prices are dated, so a stale minute changes no past cost. It refuses to guess: a
fine-tuned model has the prices that are reported for it, those of its base where the organization
says so, and otherwise none.
"""

import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from tenants.common import scope
from tenants.registry import catalog
from tenants.spend import factors
from tenants.spend.models import BasePricing, OrganizationPrice, Price
from tenants.spend.pricing import Meter, Prices, UnitPrice

MAX_AGE_SECONDS = 60

type AnyPrice = Price | OrganizationPrice


@dataclass(frozen=True, slots=True)
class _History:
    """What held from each instant on, for one model in one currency."""

    starts: tuple[datetime, ...]
    prices: tuple[Prices, ...]


class PriceBook:
    """Every price ever, ready to be looked up; immutable, safe to share between threads."""

    def __init__(self, rows: Iterable[AnyPrice]) -> None:
        grouped: dict[tuple[str, str], list[AnyPrice]] = defaultdict(list)
        for row in rows:
            grouped[row.mistral_model, row.currency].append(row)
        self._histories: Mapping[tuple[str, str], _History] = {
            key: _history(*key, found) for key, found in grouped.items()
        }

    def prices_for(self, mistral_model: str, currency: str, at: datetime) -> Prices:
        """Find the prices of a model (alias or snapshot) at an instant; empty when unpriced."""
        snapshot = catalog.canonical(mistral_model)
        history = self._histories.get((snapshot, currency))
        index = bisect_right(history.starts, at) if history else 0
        if history is None or index == 0:
            return Prices(snapshot, currency, {}, factors.PUBLISHED.at(at))
        found, in_force = history.prices[index - 1], factors.PUBLISHED.at(at)
        return found if found.factors is in_force else replace(found, factors=in_force)

    def dearest(self, currency: str, at: datetime) -> Prices:
        """Give the dearest price of each meter among models that answer with tokens.

        For holding what an unknown model may cost; nothing is billed by it.
        """
        meters: dict[Meter, UnitPrice] = {}
        for (model, in_currency), history in self._histories.items():
            index = bisect_right(history.starts, at)
            if in_currency != currency or index == 0:
                continue
            found = self.prices_for(model, currency, at).meters
            for meter, price in found.items() if Meter.OUTPUT in found else ():
                known = meters.get(meter)
                if known is None or price.amount * known.per > known.amount * price.per:
                    meters[meter] = price
        return Prices("", currency, meters, factors.PUBLISHED.at(at))

    def under(self, own: "OwnBook") -> "PriceBook":
        """Put an organization's own prices over these: meter by meter, theirs go before."""
        return _OverlaidBook(self, own)


@dataclass(frozen=True, slots=True)
class OwnBook:
    """What one organization has of its own: prices, and models that cost what their base does.

    ``bases`` has, by fine-tuned model, from when on which base it is; empty for none.
    """

    prices: PriceBook
    bases: Mapping[str, tuple[tuple[datetime, str], ...]]

    def base_of(self, mistral_model: str, at: datetime) -> str:
        """Name the model by which a fine-tuned one is priced at an instant; empty for none."""
        found = ""
        for since, base in self.bases.get(mistral_model, ()):
            if since <= at:
                found = base
        return found


class _OverlaidBook(PriceBook):
    """Two books, of which the second goes before; immutable as they are."""

    def __init__(self, published: PriceBook, own: OwnBook) -> None:
        super().__init__(())
        self._published, self._own = published, own

    def prices_for(self, mistral_model: str, currency: str, at: datetime) -> Prices:
        """Find each meter in the organization's book, else in the published one, else by base."""
        found = self._merged(mistral_model, currency, at)
        base = self._own.base_of(mistral_model, at)
        by_base = self._merged(base, currency, at).meters if base else {}
        if not set(by_base) - set(found.meters):
            return found
        return replace(found, meters={**by_base, **found.meters}, by_base=base)

    def _merged(self, mistral_model: str, currency: str, at: datetime) -> Prices:
        published = self._published.prices_for(mistral_model, currency, at)
        own = self._own.prices.prices_for(mistral_model, currency, at)
        if not own.meters:
            return published
        return replace(published, meters={**published.meters, **own.meters})

    def dearest(self, currency: str, at: datetime) -> Prices:
        """Give the dearest of both books."""
        published = self._published.dearest(currency, at)
        meters = dict(published.meters)
        for meter, price in self._own.prices.dearest(currency, at).meters.items():
            known = meters.get(meter)
            if known is None or price.amount * known.per > known.amount * price.per:
                meters[meter] = price
        return replace(published, meters=meters)


_lock = threading.Lock()
_own: dict[UUID, tuple[OwnBook | None, int]] = {}
_MOST_OWN = 10_000
_current: tuple[PriceBook, int] | None = None


def load() -> PriceBook:
    """Read the whole table into a new book: one query, some hundred rows."""
    return PriceBook(Price.objects.order_by("effective_from", "id"))


def current() -> PriceBook:
    """Return this process's book, read anew when it is older than a minute."""
    global _current  # noqa: PLW0603 - the process's own copy, behind a lock
    held = _current
    if held is not None and time.monotonic_ns() < held[1]:
        return held[0]
    with _lock:
        if _current is None or time.monotonic_ns() >= _current[1]:
            _current = (load(), time.monotonic_ns() + MAX_AGE_SECONDS * 1_000_000_000)
        return _current[0]


def forget() -> None:
    """Let the next look-up read the tables, as after an import in this very process."""
    global _current  # noqa: PLW0603 - see current
    _current = None
    _own.clear()


def of_organization(organization_id: UUID) -> PriceBook:
    """Return the book that holds for an organization: its own prices over the published ones.

    Its own are read at most once a minute, inside the scope that is open or in one of their own.
    """
    book = current()
    kept = _own.get(organization_id)
    now = time.monotonic_ns()
    if kept is None or now >= kept[1]:
        kept = (_read_own(organization_id), now + MAX_AGE_SECONDS * 1_000_000_000)
        if len(_own) >= _MOST_OWN:
            _own.clear()
        _own[organization_id] = kept
    return book.under(kept[0]) if kept[0] is not None else book


def _read_own(organization_id: UUID) -> OwnBook | None:
    with nullcontext() if scope.current() == organization_id else scope.tenant(organization_id):
        rows = list(OrganizationPrice.objects.order_by("effective_from", "id"))
        told = list(BasePricing.objects.order_by("effective_from", "id"))
    bases: dict[str, tuple[tuple[datetime, str], ...]] = {}
    for one in told:
        before = bases.get(one.mistral_model, ())
        bases[one.mistral_model] = (*before, (one.effective_from, one.base))
    return OwnBook(PriceBook(rows), bases) if rows or told else None


def prices_for(mistral_model: str, currency: str, at: datetime) -> Prices:
    """Find the published prices of a model at an instant; may query once a minute."""
    return current().prices_for(mistral_model, currency, at)


def _history(model: str, currency: str, rows: list[AnyPrice]) -> _History:
    starts: list[datetime] = []
    prices: list[Prices] = []
    meters: dict[Meter, UnitPrice] = {}
    for row in rows:
        unit_price = UnitPrice(row.id, row.amount, row.per, row.free)
        meters = meters | {Meter(row.meter): unit_price}
        held = Prices(model, currency, meters, factors.PUBLISHED.at(row.effective_from))
        if starts and starts[-1] == row.effective_from:
            prices[-1] = held
        else:
            starts.append(row.effective_from)
            prices.append(held)
    return _History(tuple(starts), tuple(prices))
