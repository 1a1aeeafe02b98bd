"""The models: what is listed, what may be called, what it costs; refuses models that are withdrawn.

Read from the product's own copy of Mistral's catalogue, so that simulated bills and the product's
price book cannot drift apart. Every alias is a row of its own in GET /v1/models.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from aisuru_mistral.simulator.keys import FineTuned, Organization

DATA = Path(__file__).parents[2] / "tenants" / "registry" / "data" / "models.json"
# GET /v1/models/devstral-medium-latest answered 404 "is deprecated" on 2026-10-06 (see
# meta.later_live_observations of the data).
WITHDRAWN = frozenset({"devstral-2512"})
_METERS = {
    "per_1000_pages": "page",
    "per_1000_annotated_pages": "annotated_page",
    "per_audio_minute": "audio_minute",
    "per_1M_characters": "character",
}
# By the billing figures of accounts in euro, 2026-04 to 2026-09.
EUROS_OF_A_DOLLAR = Decimal("0.85")
FIM = "completion_fim"
CHAT = "completion_chat"


@dataclass(frozen=True, slots=True)
class Price:
    """In one currency; zero where nothing is published.

    Per million tokens or characters, thousand pages, minute of audio.
    """

    input: Decimal = Decimal()
    cached_input: Decimal = Decimal()
    output: Decimal = Decimal()
    page: Decimal = Decimal()
    annotated_page: Decimal = Decimal()
    audio_minute: Decimal = Decimal()
    character: Decimal = Decimal()


@dataclass(frozen=True, slots=True)
class Model:
    """One model under one canonical id; `card` is its row in the list, without id and created."""

    id: str
    family: str
    context: int
    card: Mapping[str, Any] = field(repr=False)
    names: tuple[str, ...] = ()
    labs: bool = False
    deprecation: str | None = None
    prices: Mapping[str, Price] = field(default_factory=dict, repr=False)
    euro: Price = field(default=Price(), repr=False)

    def can(self, capability: str) -> bool:
        """Whether the card has this capability flag."""
        return bool(self.card["capabilities"].get(capability))


class Catalogue:
    """All models, by every name they answer to."""

    def __init__(self) -> None:
        data = json.loads(DATA.read_text(), parse_float=Decimal)
        rows = [row for row in data["models"] if row["id"]]
        self._models = [_read_model(row) for row in rows if row["id"] not in WITHDRAWN]
        self._by_name = {name: model for model in self._models for name in model.names}
        retired = [row for row in rows if row["id"] in WITHDRAWN]
        retired += data["deprecated_past_retirement_date"] + data["retired"]
        self._retired = {
            name for row in retired for name in _names(row) if name not in self._by_name
        }
        self._fine_tuned: dict[tuple[str, str], Model] = {}
        self._changes: dict[tuple[str, str], dict[str, Any]] = {}

    def reset(self) -> None:
        """Fine-tuned models as they were."""
        self._fine_tuned.clear()
        self._changes.clear()

    def is_retired(self, name: str) -> bool:
        """Whether Mistral once had this model."""
        return name in self._retired

    def find(self, organization: Organization, name: str) -> Model | None:
        """The model that this name means to this organization."""
        model = self._by_name.get(name)
        if model is not None or not name.startswith("ft:"):
            return model
        for tuned in self._of(organization):
            if tuned.id == name:
                return self._tuned(organization, tuned)
        return None

    def change_tuned(
        self, organization: Organization, name: str, changes: Mapping[str, Any]
    ) -> Model | None:
        """Change fields of a fine-tuned model's card, or `deleted`; None: there is none (now)."""
        if self.find(organization, name) is None or not name.startswith("ft:"):
            return None
        at = (organization.id, name)
        self._changes[at] = {**self._changes.get(at, {}), **changes}
        self._fine_tuned.pop(at, None)
        return self.find(organization, name)

    def _of(self, organization: Organization) -> list[FineTuned]:
        return [
            tuned
            for tuned in organization.fine_tuned
            if not self._changes.get((organization.id, tuned.id), {}).get("deleted")
        ]

    def price(self, model_id: str, currency: str) -> Price:
        """Published price of a canonical id; zeros for free and fine-tuned models."""
        model = self._by_name.get(model_id)
        return model.prices.get(currency, Price()) if model else Price()

    def price_in_euro(self, model_id: str) -> Price:
        """What an account in euro pays: as published, else the dollars at the rate it is billed."""
        model = self._by_name.get(model_id)
        return model.euro if model else Price()

    def rows(self, organization: Organization, created: int) -> Iterable[dict[str, Any]]:
        """What GET /v1/models lists for this organization."""
        for model in self._models:
            if model.id not in organization.hidden_models:
                for name in model.names:
                    yield self.row(model, name, created)
        for tuned in self._of(organization):
            yield self.row(self._tuned(organization, tuned), tuned.id, created)

    def row(self, model: Model, name: str, created: int) -> dict[str, Any]:
        """One row: the model under one of its names.

        `created` is the time of the answer, as at Mistral.
        """
        return {
            "id": name,
            "object": "model",
            "created": created,
            **model.card,
            "aliases": [other for other in model.names if other != name],
        }

    def _tuned(self, organization: Organization, tuned: FineTuned) -> Model:
        at = (organization.id, tuned.id)
        model = self._fine_tuned.get(at)
        if model is None:
            model = self._fine_tuned[at] = _fine_tuned_model(
                organization, tuned, self._by_name[tuned.root], self._changes.get(at, {})
            )
        return model


def _fine_tuned_model(
    organization: Organization, tuned: FineTuned, root: Model, changes: Mapping[str, Any]
) -> Model:
    card = {
        **root.card,
        "owned_by": organization.id,
        "name": tuned.id,
        "description": None,
        "type": "fine-tuned",
        "job": tuned.job,
        "root": tuned.root,
        "archived": tuned.archived,
        "billing_model_name": tuned.id,
        **changes,
    }
    return Model(
        id=tuned.id, family=root.family, context=root.context, card=card, names=(tuned.id,)
    )


def _names(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = [row["id"], *row.get("docs_ids", ()), *row.get("aliases", ())]
    return tuple(dict.fromkeys(name for name in names if name))


def _read_model(row: Mapping[str, Any]) -> Model:
    context = row["max_context_length_api"] or row["context_length"]
    temperature = row["default_temperature_api"]
    card = {
        "owned_by": "mistralai",
        "capabilities": row["capabilities_api"] or _guessed_capabilities(row),
        "name": row["id"],
        "description": f"{row['display_name']}.",
        "max_context_length": context,
        "deprecation": row["deprecation_api"],
        "deprecation_replacement_model": row["replacement_api"],
        "default_model_temperature": None if temperature is None else float(temperature),
        "type": "base",
        "billing_model_name": row["id"],
    }
    return Model(
        id=row["id"],
        family=row["family"],
        context=context,
        card=card,
        names=_names(row),
        labs=row["tier"] == "Labs",
        deprecation=row["deprecation_api"],
        prices={currency: _read_price(row, currency) for currency in ("usd", "eur")},
        euro=_read_price(row, "eur", otherwise=EUROS_OF_A_DOLLAR),
    )


def _guessed_capabilities(row: Mapping[str, Any]) -> dict[str, bool]:
    """For cards published after the last recorded list: what their documentation says."""
    known = dict.fromkeys(
        (
            CHAT, "function_calling", "reasoning", FIM, "fine_tuning", "vision", "ocr",
            "classification", "moderation", "audio", "audio_transcription",
            "audio_transcription_realtime", "audio_speech", "unified_resources",
        ),
        False,
    )  # fmt: skip
    known[CHAT] = "chat-completions" in row["features"]
    known["function_calling"] = "function-calling" in row["features"]
    known["vision"] = "image" in row["modalities_in"]
    return known


def _read_price(row: Mapping[str, Any], currency: str, otherwise: Decimal | None = None) -> Price:
    found: dict[str, Decimal] = {}
    for entry in row["price"]["entries"]:
        # Speech has an entry of zero for what goes in: the sum is the price of a character.
        meter = _METERS.get(entry["unit"], entry["side"])
        amount = entry[currency]
        if amount is None and otherwise is not None:
            amount = Decimal(entry["usd"]) * otherwise
        if amount is not None:
            found[meter] = found.get(meter, Decimal()) + Decimal(amount)
    return Price(**found)
