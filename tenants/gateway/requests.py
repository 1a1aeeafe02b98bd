"""Reads a request as far as metering must, and changes no byte unless something has to change.

What is read is what bounds the cost: model, output cap, choices, service tier, and whether parts
are not text. Everything else is Mistral's to judge. It refuses what it cannot bound.

A body is written anew when a default or the model's id has to be put in, and also when it could be
read in two ways: a member that comes twice, or under an escaped name, might be read by Mistral
otherwise than it was metered here.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from tenants.common.problems import Forbidden, Invalid
from tenants.gateway import contents, parameters, references, weighing
from tenants.gateway.bounding import asks_priority, bound_of, looks_up
from tenants.gateway.endpoints import Endpoint
from tenants.gateway.uploads import Upload
from tenants.registry.models import ForeignParameters
from tenants.registry.snapshots import ModelFacts
from tenants.spend.calls import CallIntent
from tenants.spend.pricing import Bound, Modifier

#: A quotation mark that is escaped as few encoders do.
_HIDDEN_MARK = b"\\u0022"
#: Words that pydantic, and so Mistral, reads as false beside `false` and 0.
_NO = frozenset({"0", "off", "f", "false", "n", "no"})
_MESSAGE_ID = re.compile(rb"[\x21-\x7e]{1,200}")


class Aftermath:
    """What has to be remembered of an answer, or changed in it; this one does nothing.

    Attributes:
        intent: the call, once it is open.
        keeps_hold: what was made is metered later, and its hold stands until then.
    """

    intent: CallIntent | None = None
    keeps_hold: bool = False

    async def whole(self, body: bytes) -> bytes:
        """See an answer that is whole, and give what the caller is to get."""
        return body

    async def opening(self, chunk: bytes) -> None:
        """See the beginning of a stream, chunk by chunk, before the caller does."""


@dataclass(slots=True)
class Request:
    """What is sent to Mistral, and what it can cost at most.

    Attributes:
        method, target: where the request goes, if not a POST to the endpoint's own path.
        priced_as: the Mistral model whose prices hold, if not the token's; empty: the dearest.
        seconds: tells what a recording lasts, by what has passed of it; None: nothing does.
        calls_connectors: it may call tools of Mistral's whose prices nobody knows.
        aftermath: sees the answer before the caller does.
        names_files: files at Mistral that it makes Mistral read.
        is_stream: the answer may come piece by piece; it is not known to come in one.
        adapted: what was changed of parameters that only other providers know.
    """

    endpoint: Endpoint
    body: bytes | Upload
    bound: Bound
    modifiers: tuple[Modifier, ...] = ()
    method: str = "POST"
    target: str = ""
    priced_as: str | None = None
    seconds: Callable[[], int | None] | None = None
    calls_connectors: bool = False
    aftermath: Aftermath | None = None
    names_files: list[str] = field(default_factory=list)
    is_stream: bool = True
    adapted: tuple[str, ...] = ()


def read(
    endpoint: Endpoint,
    body: bytes,
    model: ModelFacts,
    mode: ForeignParameters = ForeignParameters.ADAPT,
) -> Request:
    """Read a body for an endpoint on behalf of a model.

    Raises:
        Invalid: no JSON object (400), or a member of the wrong type (422).
        Forbidden: it names another model than the token's.
    """
    document = read_object(body)
    adapted = parameters.adapt(endpoint.kind, document, mode)
    changes = _changes(endpoint, document, model)
    body, length = _rewritten(document, body, changes, is_changed=bool(adapted))
    bound = bound_of(endpoint, document, model, length)
    files = named_files(document, body)
    return Request(
        endpoint,
        body,
        bound,
        modifiers(document),
        calls_connectors=looks_up(document),
        names_files=files,
        is_stream=asks_for_a_stream(document),
        adapted=adapted,
    )


def asks_for_a_stream(document: Mapping[str, Any]) -> bool:
    """Tell whether an answer may come piece by piece."""
    wished = document.get("stream")
    if isinstance(wished, str):
        return wished.lower() not in _NO
    return wished is not None and wished != 0


def named_files(document: Mapping[str, Any], body: bytes) -> list[str]:
    """Give the files at Mistral that a request names, which are to be looked up.

    Raises:
        NotFound: it names what cannot have been made through a model token.
    """
    for noun, mistral_id in references.stored_in(document):
        raise references.missing(noun, mistral_id)
    if not references.may_have(body):
        return []
    for noun, mistral_id in references.foreign_in(document):
        raise references.missing(noun, mistral_id)
    return references.files_in(document)


def rewritten(
    document: dict[str, Any],
    body: bytes,
    changes: Mapping[str, Any],
    *,
    is_changed: bool = False,
) -> bytes:
    """Make changes in a document, and give the body that says so: the very same where it can be."""
    return _rewritten(document, body, changes, is_changed=is_changed)[0]


def _rewritten(
    document: dict[str, Any], body: bytes, changes: Mapping[str, Any], *, is_changed: bool
) -> tuple[bytes, int]:
    """Do so, and tell how long the body is, as it came or as we write it: another may, too."""
    if changes:
        document.update(changes)
    written = contents.dumped(document)
    if changes or is_changed or (written != body and _is_ambiguous(body, written)):
        body = written
    return body, max(len(body), len(written))


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


def read_object(body: bytes) -> dict[str, Any]:
    """Parse a body.

    Raises:
        Invalid: no JSON, no object, or too many values.
    """
    if len(body) > weighing.LIGHT:
        weighing.refuse_complex(body)
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        problem = Invalid(
            "invalid_json",
            f"The body is not valid JSON in UTF-8 ({error.msg}, at character {error.pos}).",
        )
    else:
        if isinstance(document, dict):
            return document
        problem = Invalid("invalid_json", "The body is not a JSON object.")
    # Raised here and not above: the parser's error carries the whole body.
    raise problem


def _changes(endpoint: Endpoint, document: dict[str, Any], model: ModelFacts) -> dict[str, Any]:
    changes = named_model(document, model)
    if model.defaults:
        for name in endpoint.defaults:
            if name in model.defaults and document.get(name) is None:
                changes[name] = model.defaults[name]
    return changes


def named_model(document: Mapping[str, Any], model: ModelFacts) -> dict[str, Any]:
    """Give what has to be changed for the body to name the token's model by Mistral's id.

    Raises:
        Invalid: `model` is no text.
        Forbidden: it is another model.
    """
    asked = document.get("model")
    if asked == model.mistral_model:
        return {}
    if asked is not None and not isinstance(asked, str):
        raise Invalid.field("/model", "invalid_value", "`model` is text.")
    if asked is not None and asked != model.name:
        raise Forbidden(
            "model_not_allowed",
            f"This token calls the model {model.mistral_model} only: leave `model` out, or name"
            " this one.",
        )
    return {"model": model.mistral_model}


def _is_ambiguous(body: bytes, written: bytes) -> bool:
    """Tell whether another reader could find more in a body: names under escapes, or twice.

    Of what comes twice one is written, and the other one's quotation marks are missing.
    """
    return (
        weighing.count(body, b'"') != weighing.count(written, b'"')
        or weighing.holds(body, _HIDDEN_MARK)
        or references.has_hidden_names(body)
    )


def modifiers(document: Mapping[str, Any]) -> tuple[Modifier, ...]:
    """Tell what may multiply the cost."""
    return (Modifier.PRIORITY,) if asks_priority(document) else ()
