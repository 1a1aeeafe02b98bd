"""/v1/fine_tuning/models: rename, archive, unarchive; DELETE /v1/models/{id}.

Refuses base models and other organizations' models as if they did not exist, and jobs: Mistral has
withdrawn them.
"""

import time
from typing import Any

from aisuru_mistral.simulator.catalogue import Model
from aisuru_mistral.simulator.routing import Call, Route
from aisuru_mistral.simulator.validation import nullable, record, string
from aisuru_mistral.simulator.wire import Reply, json_reply

BODY = record({"name": (nullable(string), None), "description": (nullable(string), None)})
_CAPABILITIES = (
    "completion_chat",
    "completion_fim",
    "function_calling",
    "fine_tuning",
    "classification",
)


def update(call: Call) -> Reply:
    """Change name and description."""
    model = _changed(call, {name: value for name, value in call.body.items() if value})
    return call.refuse("model_not_found", model=call.tail) if model is None else _shown(call, model)


def archive(call: Call) -> Reply:
    """Put a model away: it may not be called."""
    return _archived(call, archived=True)


def unarchive(call: Call) -> Reply:
    """Take a model out again."""
    return _archived(call, archived=False)


def delete(call: Call) -> Reply:
    """Delete a model."""
    catalogue = call.state.catalogue
    organization = call.key.organization
    if catalogue.find(organization, call.tail) is None or not call.tail.startswith("ft:"):
        return call.refuse("model_not_found", model=call.tail)
    catalogue.change_tuned(organization, call.tail, {"deleted": True})
    return json_reply(200, {"id": call.tail, "object": "model", "deleted": True})


def _archived(call: Call, *, archived: bool) -> Reply:
    if _changed(call, {"archived": archived}) is None:
        return call.refuse("model_not_found", model=call.tail)
    return json_reply(200, {"id": call.tail, "object": "model", "archived": archived})


def _changed(call: Call, changes: dict[str, Any]) -> Model | None:
    return call.state.catalogue.change_tuned(call.key.organization, call.tail, changes)


def _shown(call: Call, model: Model) -> Reply:
    card = model.card
    return json_reply(
        200,
        {
            "id": model.id,
            "object": "model",
            "created": int(time.time()),
            "owned_by": card["owned_by"],
            "workspace_id": call.key.workspace.id,
            "root": card["root"],
            "root_version": card["root"].rpartition("-")[2],
            "archived": card["archived"],
            "name": card["name"],
            "description": card["description"],
            "capabilities": {name: card["capabilities"].get(name, False) for name in _CAPABILITIES},
            "max_context_length": card["max_context_length"],
            "aliases": [],
            "job": card["job"],
            "model_type": "completion",
        },
    )


_ARCHIVE = "/v1/fine_tuning/models/{id}/archive"
ROUTES = (
    Route("PATCH", "/v1/fine_tuning/models/", update, "resources", schema=BODY),
    Route("POST", _ARCHIVE, archive, "resources"),
    Route("DELETE", _ARCHIVE, unarchive, "resources"),
    Route("DELETE", "/v1/models/", delete, "resources"),
)
