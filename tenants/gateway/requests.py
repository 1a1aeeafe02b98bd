"""Reads a request as far as metering must, and changes no byte unless something has to change.

What is read is what bounds the cost: model, output cap, choices, service tier, and whether parts
are not text. Everything else is Mistral's to judge. It refuses what it cannot bound.

A body is written anew when a default or the model's id has to be put in, and also when it could be
read in two ways: a member that counts twice, or under an escaped name, might be read by Mistral
otherwise than it was metered here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tenants.common.problems import Forbidden, Invalid
from tenants.gateway.bounding import bound_of
from tenants.gateway.endpoints import Endpoint
from tenants.registry.snapshots import ModelFacts
from tenants.spend.pricing import Bound, Modifier

_COUNTED = tuple(
    f'"{name}"'.encode()
    for name in (
        "model",
        "max_tokens",
        "max_output_tokens",
        "n",
        "service_tier",
        "stream",
        "messages",
        "prompt",
        "input",
        "pages",
        "document",
        "bbox_annotation_format",
        "document_annotation_format",
        "tools",
    )
)
# An escaped letter or underscore: no honest encoder writes one.
_HIDDEN_NAME = re.compile(rb"\\u00(?:[46][1-9a-f]|[57][0-9a]|5f)", re.IGNORECASE)
_MESSAGE_ID = re.compile(rb"[\x21-\x7e]{1,200}")


@dataclass(slots=True)
class Request:
    """What is sent to Mistral, and what it can cost at most.

    Attributes:
        is_stream: the answer may come piece by piece; it is not known to come in one.
    """

    endpoint: Endpoint
    body: bytes
    bound: Bound
    modifiers: tuple[Modifier, ...]
    is_stream: bool = True


def read(endpoint: Endpoint, body: bytes, model: ModelFacts) -> Request:
    """Read a body for an endpoint on behalf of a model.

    Raises:
        Invalid: no JSON object (400), or a member of the wrong type (422).
        Forbidden: it names another model than the token's.
    """
    document = _object(body)
    changes = _changes(endpoint, document, model)
    if changes:
        document.update(changes)
    written = _written(document)
    if changes or (written != body and _is_ambiguous(body)):
        body = written
    bound = bound_of(endpoint, document, model, len(body))
    is_stream = document.get("stream") is not None and document["stream"] is not False
    return Request(endpoint, body, bound, _modifiers(document), is_stream)


def _written(document: dict[str, Any]) -> bytes:
    """Write a document as it was read; orjson reads deeper than it writes."""
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        pass
    raise Invalid("invalid_json", "The body is nested too deeply.", status=400)


def message_id(value: bytes | None) -> str:
    """Read ``X-Message-Id``; empty when absent.

    Raises:
        Invalid: longer than 200 characters, or other than visible ASCII.
    """
    if value is None:
        return ""
    if not _MESSAGE_ID.fullmatch(value):
        raise Invalid(
            "invalid_message_id",
            "X-Message-Id takes 1 to 200 visible ASCII characters.",
            status=400,
        )
    return value.decode("ascii")


def _object(body: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        problem = Invalid(
            "invalid_json",
            f"The body is not valid JSON in UTF-8 ({error.msg}, at character {error.pos}).",
            status=400,
        )
    else:
        if isinstance(document, dict):
            return document
        problem = Invalid("invalid_json", "The body is not a JSON object.")
    # Raised here and not above: the parser's error carries the whole body.
    raise problem


def _changes(endpoint: Endpoint, document: dict[str, Any], model: ModelFacts) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    asked = document.get("model")
    if asked != model.mistral_model:
        if asked is not None and not isinstance(asked, str):
            raise Invalid.field("/model", "invalid_value", "`model` is text.")
        if asked is not None and asked != model.name:
            raise Forbidden(
                "model_not_allowed",
                f"This token calls the model {model.mistral_model} only: leave `model` out, or"
                " name this one.",
            )
        changes["model"] = model.mistral_model
    if model.defaults:
        for name in endpoint.defaults:
            if name in model.defaults and document.get(name) is None:
                changes[name] = model.defaults[name]
    return changes


def _is_ambiguous(body: bytes) -> bool:
    if any(body.count(name) > 1 for name in _COUNTED):
        return True
    return b"\\u00" in body and _HIDDEN_NAME.search(body) is not None


def _modifiers(document: Mapping[str, Any]) -> tuple[Modifier, ...]:
    # `auto` may be served, and billed, with priority; the default and any other word are not.
    return (Modifier.PRIORITY,) if document.get("service_tier") == "auto" else ()
