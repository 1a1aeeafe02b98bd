"""Answers ``/v1/models`` with the one model behind a token, in the shape of Mistral's list.

Nothing is asked of Mistral: the card is the one that the last check of the key was shown, under the
name and with the aliases that the token may call by. Before there is one it is made of what is
known otherwise.
"""

import time
from collections.abc import Mapping
from typing import Any

import orjson

from tenants.common.problems import NotFound
from tenants.registry import catalog
from tenants.registry.snapshots import Snapshot

_CAPABILITIES = (
    "completion_chat",
    "function_calling",
    "reasoning",
    "completion_fim",
    "fine_tuning",
    "vision",
    "ocr",
    "classification",
    "moderation",
    "audio",
    "audio_transcription",
    "audio_transcription_realtime",
    "audio_speech",
    "unified_resources",
)
_USUAL_CONTEXT = 32_768


def list_models(snapshot: Snapshot, card: Mapping[str, Any]) -> bytes:
    """Write the list: one row, with the tenant's own name as an alias.

    Args:
        snapshot: of the token.
        card: Mistral's, as far as it is known.
    """
    row = _row(snapshot, snapshot.model.mistral_model, card)
    return orjson.dumps({"object": "list", "data": [row]})


def read_model(snapshot: Snapshot, name: str, card: Mapping[str, Any]) -> bytes:
    """Write the card under the name that was asked for, Mistral's or the tenant's own.

    Raises:
        NotFound: another model.
    """
    model = snapshot.model
    if name not in {model.mistral_model, model.name}:
        raise NotFound("model_not_found", "This token knows no such model.")
    return orjson.dumps(_row(snapshot, name, card))


def _row(snapshot: Snapshot, name: str, card: Mapping[str, Any]) -> dict[str, Any]:
    model = snapshot.model
    listed = card.get("aliases")
    names = [*(listed if isinstance(listed, list) else ()), model.mistral_model, model.name]
    own: dict[str, Any] = {
        "id": name,
        "created": int(time.time()),
        "aliases": [one for one in dict.fromkeys(map(str, names)) if one != name],
    }
    if "temperature" in model.defaults:  # which calls are sent with
        own["default_model_temperature"] = model.defaults["temperature"]
    return {**_guess(snapshot), **card, **own}


def _guess(snapshot: Snapshot) -> dict[str, Any]:
    """Make a card of what is known without Mistral's; its members stand in Mistral's order."""
    model = snapshot.model
    published = catalog.find(model.base_model or model.mistral_model)
    on = published.capabilities if published else frozenset()
    card: dict[str, Any] = {
        "id": model.mistral_model,
        "object": "model",
        "created": None,
        "owned_by": "mistralai",
        "capabilities": {switch: switch in on for switch in _CAPABILITIES},
        "name": model.canonical_model,
        "description": None,
        "max_context_length": model.context_length or _USUAL_CONTEXT,
        "aliases": [],
        "deprecation": None,
        "deprecation_replacement_model": None,
        "default_model_temperature": None,
        "type": "base",
    }
    if model.base_model is None:
        return card
    tuned = {"job": "", "root": model.base_model, "archived": False}
    owner = str(snapshot.organization.id)
    return {**card, "owned_by": owner, "type": "fine-tuned", **tuned}
