"""Answers ``/v1/models`` with the one model behind a token, in the shape of Mistral's list.

Nothing is asked of Mistral: the card is made of what is known already.
"""

import time
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


def list_models(snapshot: Snapshot) -> bytes:
    """Write the list: one row, with the tenant's own name as an alias."""
    model = snapshot.model
    return orjson.dumps({"object": "list", "data": [_card(snapshot, model.mistral_model)]})


def read_model(snapshot: Snapshot, name: str) -> bytes:
    """Write the card under the name that was asked for, Mistral's or the tenant's own.

    Raises:
        NotFound: another model.
    """
    model = snapshot.model
    if name not in {model.mistral_model, model.name}:
        raise NotFound("model_not_found", "This token knows no such model.")
    return orjson.dumps(_card(snapshot, name))


def _card(snapshot: Snapshot, name: str) -> dict[str, Any]:
    model = snapshot.model
    published = catalog.find(model.base_model or model.mistral_model)
    on = published.capabilities if published else frozenset()
    names = (model.mistral_model, model.name)
    card = {
        "id": name,
        "object": "model",
        "created": int(time.time()),
        "owned_by": "mistralai",
        "capabilities": {switch: switch in on for switch in _CAPABILITIES},
        "name": model.canonical_model,
        "description": None,
        "max_context_length": model.context_length or _USUAL_CONTEXT,
        "aliases": [other for other in dict.fromkeys(names) if other != name],
        "deprecation": None,
        "deprecation_replacement_model": None,
        "default_model_temperature": model.defaults.get("temperature"),
        "type": "base",
    }
    if model.base_model is None:
        return card
    tuned = {"job": "", "root": model.base_model, "archived": False}
    owner = str(snapshot.organization.id)
    return {**card, "owned_by": owner, "type": "fine-tuned", **tuned}
