"""Mistral's public models as data: names, aliases, capabilities, context, life; no prices.

Read once from ``data/models.json`` (gathered from Mistral's documentation and recorded model
lists). What a *key* may call is told by its own list of seen models, never by this file.
"""

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

_DATA = Path(__file__).parent / "data" / "models.json"
_FINE_TUNED = "ft:"
_CLASSIFIER = "classifier"
_NEAR_MATCHES = 5
_CUTOFF = 0.5


@dataclass(frozen=True, slots=True)
class CatalogModel:
    """One model as Mistral documents it.

    Attributes:
        id: the snapshot, to which every alias leads.
        stage: Mistral's word: ``GA``, ``PublicPreview``, ``Deprecated``, ``Retired``.
        family: what it does: ``completion``, ``embeddings``, ``ocr``, ``audio_transcription``, …
        category: under what Mistral bills it; empty when not published.
        endpoints: paths that serve it.
        capabilities: names of the switches that Mistral's list shows as on.
        context_length: tokens, by the recorded list where it differs from the documentation.
    """

    id: str
    display_name: str
    aliases: tuple[str, ...]
    stage: str
    family: str
    category: str
    endpoints: tuple[str, ...]
    capabilities: frozenset[str]
    context_length: int | None
    released_on: date | None
    deprecated_on: date | None
    retires_on: date | None
    replacement: str | None

    def is_retired(self, on: date) -> bool:
        """Tell whether its announced last day is over; Mistral has answered longer than that."""
        return self.stage == "Retired" or (self.retires_on is not None and self.retires_on < on)


@dataclass(frozen=True, slots=True)
class Catalog:
    """All known models by id, and where every name leads."""

    models: Mapping[str, CatalogModel]
    names: Mapping[str, str]


@cache
def load() -> Catalog:
    """Read the catalogue, once per process."""
    document = json.loads(_DATA.read_text(encoding="utf-8"))
    rows = [
        *document["models"],
        *document["deprecated_past_retirement_date"],
        *({**row, "status": "Retired"} for row in document["retired"]),
    ]
    models: dict[str, CatalogModel] = {}
    names: dict[str, str] = {}
    for row in rows:
        if row["id"]:
            models.setdefault(row["id"], _model(row))
            names.setdefault(row["id"], row["id"])
    # An alias moves from an old model to a new one: what was seen live comes before what was
    # documented, and present models before past ones.
    for alias, snapshot in document["live_id_index_2026_08_17"].items():
        names.setdefault(alias, snapshot)
    for model in models.values():
        for alias in model.aliases:
            names.setdefault(alias, model.id)
    return Catalog(models, names)


def canonical(mistral_id: str) -> str:
    """Follow an alias to its snapshot; an unknown or fine-tuned id leads to itself."""
    return load().names.get(mistral_id, mistral_id)


def find(mistral_id: str) -> CatalogModel | None:
    """Find a model by any of its names; None for fine-tuned and unknown ones."""
    return load().models.get(canonical(mistral_id))


def base_of(mistral_id: str) -> str | None:
    """Read from which model a fine-tuned one was trained (``ft:BASE:SUFFIX:DATE:HASH``)."""
    if not mistral_id.startswith(_FINE_TUNED):
        return None
    parts = [part for part in mistral_id.split(":")[1:] if part != _CLASSIFIER]
    return canonical(parts[0]) if parts and parts[0] else None


def near_matches(name: str, candidates: Iterable[str]) -> list[str]:
    """Choose, of the candidates, the few that are spelled most like a name, best first."""
    spelled = {candidate.lower(): candidate for candidate in sorted(candidates, reverse=True)}
    found = difflib.get_close_matches(name.lower(), spelled, n=_NEAR_MATCHES, cutoff=_CUTOFF)
    return [spelled[match] for match in found]


def _model(row: Mapping[str, Any]) -> CatalogModel:
    listed = dict.fromkeys((*row.get("aliases", ()), *row["docs_ids"]))
    listed.pop(row["id"], None)
    return CatalogModel(
        id=row["id"],
        display_name=row["display_name"],
        aliases=tuple(listed),
        stage=row["status"],
        family=row.get("family") or "",
        category=row.get("usage_category") or "",
        endpoints=tuple(row.get("endpoints", ())),
        capabilities=frozenset(
            name for name, on in (row.get("capabilities_api") or {}).items() if on
        ),
        context_length=row.get("max_context_length_api") or row.get("context_length"),
        released_on=_day(row.get("release_date")),
        deprecated_on=_day(row["deprecation_date"]),
        retires_on=_day(row["retirement_date"]),
        replacement=row["replacement"],
    )


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None
