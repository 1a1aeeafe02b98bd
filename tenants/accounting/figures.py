"""What somebody else says a month used and cost, brought into the terms of our ledger.

Sources are Mistral's Admin API, figures that a person typed in from Mistral's console, and AIsuru's
consumption logs. A figure whose cost is not told has no amount, which is not zero. Cached tokens
are part of prompt tokens here, as in the ledger; Mistral's bill counts them apart.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any
from uuid import UUID

from tenants.mistral.admin_usage import MonthUsage, UnitPrice, UsageRow
from tenants.registry import catalog
from tenants.spend.calls import Category
from tenants.spend.pricing import Meter

_ZERO = Decimal(0)
_HALF_CENT = Decimal("0.005")
#: What a row of usage is metered by: (part, group) → meter; the group empty for any other.
_METERS: Mapping[tuple[str, str], Meter] = {
    ("completion", "input"): Meter.INPUT,
    ("completion", "cached"): Meter.CACHED_INPUT,
    ("completion", "output"): Meter.OUTPUT,
    ("ocr", "annotated_pages"): Meter.ANNOTATED_PAGE,
    ("ocr", ""): Meter.PAGE,
    ("audio", ""): Meter.AUDIO_SECOND,
    ("audio_characters", ""): Meter.CHARACTER,
}
_CATEGORIES: Mapping[str, Category] = {
    "ocr": Category.OCR,
    "connectors": Category.CONNECTORS,
    "audio": Category.AUDIO,
    "audio_characters": Category.AUDIO,
    "fine_tuning": Category.FINE_TUNING,
}
_FAMILIES = {"embeddings": Category.EMBEDDINGS, "moderation": Category.MODERATION}


@dataclass(frozen=True, slots=True)
class Place:
    """What a figure is about; no workspace stands for the whole organization, or for the rest."""

    category: str
    mistral_model: str
    workspace_id: UUID | None = None


@dataclass(slots=True)
class Used:
    """What one meter counted: ``paid`` of ``quantity``, each at ``price``; None when not told."""

    quantity: Decimal = _ZERO
    paid: Decimal = _ZERO
    price: Decimal | None = None
    cost: Decimal = _ZERO


@dataclass(slots=True)
class Figure:
    """What one place used and cost, by them.

    Attributes:
        amount: None when no cost is told.
        meters: by meter, where quantities are told; ``other`` is what no meter of ours counts.
        unpriced: rows whose price the answer did not have.
        grain: how far from the amount as it was rounded the true one may lie.
    """

    amount: Decimal | None = None
    meters: dict[Meter, Used] = field(default_factory=dict)
    unpriced: int = 0
    grain: Decimal = _ZERO


type Figures = dict[Place, Figure]


def of_usage(usage: MonthUsage, workspace_id: UUID | None) -> Figures:
    """Read a month's usage of the Admin API, of one workspace or of the whole organization."""
    prices = _Prices(usage.prices)
    found: Figures = defaultdict(Figure)
    for row in usage.rows:
        figure = found[Place(_category(row), catalog.canonical(row.metric), workspace_id)]
        price = prices.of(row)
        if price is None:
            figure.unpriced += 1
        cost = row.paid * (price or _ZERO)
        figure.amount = (figure.amount or _ZERO) + cost
        meter = _METERS.get((row.part, row.group)) or _METERS.get((row.part, ""))
        if meter is not None:
            used = figure.meters.setdefault(meter, Used())
            used.quantity += row.value
            used.paid += row.paid
            used.cost += cost
    for figure in found.values():
        for used in figure.meters.values():
            used.price = used.cost / used.paid if used.paid else None
    return dict(found)


def of_typed(rows: Iterable[Mapping[str, Any]]) -> Figures:
    """Read figures that a person typed in: amounts by category and, if they like, model.

    Consoles show cents, or more places: each amount may be half of its last place off.
    """
    found: Figures = {}
    for row in rows:
        model = catalog.canonical(row["model"]) if row.get("model") else ""
        figure = found.setdefault(Place(row["category"], model, row.get("workspace_id")), Figure())
        figure.amount = (figure.amount or _ZERO) + row["amount"]
        figure.grain += _half_of_the_last_place(row["amount"])
    return found


def _half_of_the_last_place(amount: Decimal) -> Decimal:
    """Half of a cent at most: whole units are typed for amounts without cents."""
    places = amount.as_tuple().exponent
    return min(Decimal((0, (5,), places - 1)) if isinstance(places, int) else _ZERO, _HALF_CENT)


def of_consumption(rows: Iterable[Mapping[str, Any]]) -> Figures:
    """Read AIsuru's consumption: tokens without a cost, of a workspace or of all."""
    found: Figures = {}
    for row in rows:
        model = catalog.canonical(row["model"]) if row.get("model") else ""
        place = Place(Category.COMPLETION.value, model, row.get("workspace_id"))
        figure = found.setdefault(place, Figure())
        for meter, name in ((Meter.INPUT, "prompt_tokens"), (Meter.OUTPUT, "completion_tokens")):
            used = figure.meters.setdefault(meter, Used())
            used.quantity += Decimal(row.get(name) or 0)
    return found


def without(whole: Figures, parts: Figures) -> Figures:
    """Take what parts say away from what the whole says: what no part of ours stands for."""
    rest: Figures = {}
    for place, figure in whole.items():
        of_parts = [
            part
            for key, part in parts.items()
            if (key.category, key.mistral_model) == (place.category, place.mistral_model)
        ]
        amount = (figure.amount or _ZERO) - sum((one.amount or _ZERO for one in of_parts), _ZERO)
        left = Figure(amount=amount, unpriced=figure.unpriced)
        for meter, used in figure.meters.items():
            counted = [one.meters[meter] for one in of_parts if meter in one.meters]
            left.meters[meter] = Used(
                used.quantity - sum((one.quantity for one in counted), _ZERO),
                used.paid - sum((one.paid for one in counted), _ZERO),
                used.price,
                used.cost - sum((one.cost for one in counted), _ZERO),
            )
        if left.amount or any(used.quantity for used in left.meters.values()):
            rest[place] = left
    return rest


def _category(row: UsageRow) -> str:
    if row.part in _CATEGORIES:
        return _CATEGORIES[row.part].value
    if row.part.startswith("libraries"):
        return Category.CONNECTORS.value
    known = catalog.find(row.metric)
    family = known.family if known else ""
    return _FAMILIES.get(family, Category.COMPLETION).value


class _Prices:
    """The prices that came with a usage, found by what a row is billed by."""

    def __init__(self, prices: Iterable[UnitPrice]) -> None:
        self._exact: dict[tuple[str, ...], Decimal] = {}
        self._loose: dict[tuple[str, str], Decimal] = {}
        for one in prices:
            self._exact[one.metric, one.group, one.event_type, one.zone, one.tier] = one.price
            self._loose.setdefault((one.metric, one.group), one.price)

    def of(self, row: UsageRow) -> Decimal | None:
        """Find the price of a row: by everything it names, else by metric and group alone."""
        exact = self._exact.get((row.metric, row.group, row.event_type, row.zone, row.tier))
        return self._loose.get((row.metric, row.group)) if exact is None else exact
