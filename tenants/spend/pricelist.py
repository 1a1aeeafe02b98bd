"""Reads the published price list into prices per model, meter and currency.

Mistral publishes USD figures and, for most models, EUR ones. A price published in USD alone is
converted by the dated row in ``data/conversions.json`` and marked so, because accounts in EUR have
been billed exactly that. It refuses a list with a unit it does not know: a meter left out would be
usage for free.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from tenants import registry
from tenants.common.money import CURRENCIES
from tenants.spend.pricing import Meter

PUBLISHED = Path(registry.__file__).parent / "data" / "models.json"
_CONVERSIONS = Path(__file__).parent / "data" / "conversions.json"
_MILLION = 1_000_000
_UNITS: Mapping[tuple[str, str], tuple[Meter, int]] = {
    ("input", "per_1M_tokens"): (Meter.INPUT, _MILLION),
    ("cached_input", "per_1M_tokens"): (Meter.CACHED_INPUT, _MILLION),
    ("output", "per_1M_tokens"): (Meter.OUTPUT, _MILLION),
    ("input", "per_audio_minute"): (Meter.AUDIO_SECOND, 60),
    ("input", "per_1000_pages"): (Meter.PAGE, 1000),
    ("input", "per_1000_annotated_pages"): (Meter.ANNOTATED_PAGE, 1000),
    # Speech is billed by the characters that are read out, and published as a price of output.
    ("output", "per_1M_characters"): (Meter.CHARACTER, _MILLION),
}
#: What a free model does for nothing; tools, training and storage are billed by themselves.
_MODEL_METERS = tuple(Meter)[: list(Meter).index(Meter.TRAINING_TOKEN)]
_FREE_SIDE = ("input", "per_1M_characters")


class PriceListError(ValueError):
    """The list has something that cannot be priced safely; nothing of it was read."""


@dataclass(frozen=True, slots=True)
class ListedPrice:
    """One price as published, or converted from what is published."""

    mistral_model: str
    meter: Meter
    currency: str
    amount: Decimal
    per: int
    source: str
    free: bool = False
    is_converted: bool = False


@dataclass(frozen=True, slots=True)
class PriceList:
    """A whole list, when it was true, and a checksum of what it was read from."""

    prices: tuple[ListedPrice, ...]
    as_of: datetime
    checksum: str


def read(path: Path = PUBLISHED) -> PriceList:
    """Read a list; of two figures for one meter of one model the dearer counts.

    Raises:
        PriceListError: a side or unit without a meter, or no list of prices at all.
    """
    text, conversions = path.read_bytes(), _CONVERSIONS.read_bytes()
    try:
        document = json.loads(text, parse_float=Decimal)
        as_of = datetime.fromisoformat(document["meta"]["as_of"]).replace(tzinfo=UTC)
        rows = [*document["models"], *document["deprecated_past_retirement_date"]]
        rates = _rates(conversions, document["meta"]["as_of"])
        listed = [price for row in rows if row["id"] for price in _prices(row, rates)]
    except (KeyError, TypeError, ValueError) as error:
        raise PriceListError(f"{path.name}: {error}") from error
    dearest: dict[tuple[str, Meter, str], ListedPrice] = {}
    for price in listed:
        key = (price.mistral_model, price.meter, price.currency)
        if key not in dearest or dearest[key].amount < price.amount:
            dearest[key] = price
    checksum = hashlib.sha256(text + conversions).hexdigest()
    return PriceList(tuple(dearest.values()), as_of, checksum)


def _rates(conversions: bytes, as_of: str) -> dict[str, Decimal]:
    """How many units of a currency one dollar is for a list of that day.

    The newest row that is not younger than the list counts; where all are younger, the oldest.
    """
    rates: dict[str, Decimal] = {}
    for row in sorted(json.loads(conversions), key=lambda row: str(row["as_of"])):
        if row["from"] == "USD" and (row["to"] not in rates or row["as_of"] <= as_of):
            rates[row["to"]] = Decimal(row["rate"])
    return rates


def _prices(row: Mapping[str, Any], rates: Mapping[str, Decimal]) -> Iterator[ListedPrice]:
    model, source = row["id"], row["source"]
    if row["price"]["free"]:
        for meter in _MODEL_METERS:
            for currency in CURRENCIES:
                yield ListedPrice(model, meter, currency, Decimal(0), 1, source, free=True)
        return
    for entry in row["price"]["entries"]:
        unit = (entry["side"], entry["unit"])
        if unit == _FREE_SIDE and not entry["usd"]:
            continue
        if unit not in _UNITS:
            raise ValueError(f"{model} is priced by {unit}, for which there is no meter")
        meter, per = _UNITS[unit]
        for currency, amount, is_converted in _amounts(entry, rates):
            yield ListedPrice(
                model, meter, currency, amount, per, source, is_converted=is_converted
            )


def _amounts(
    entry: Mapping[str, Any], rates: Mapping[str, Decimal]
) -> Iterator[tuple[str, Decimal, bool]]:
    dollars = Decimal(entry["usd"])
    yield "USD", dollars, False
    for currency, rate in rates.items():
        published = entry.get(currency.lower())
        if published is not None:
            yield currency, Decimal(published), False
        else:
            yield currency, dollars * rate, True
