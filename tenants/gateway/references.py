"""Finds, in a request, the ids of things at Mistral that it makes Mistral read.

A content part or a document may be a file at Mistral. Whoever names one must own it: Mistral would
read whatever its key may see. Looked at only where the bytes of a body give reason to.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tenants.common.problems import Invalid, NotFound
from tenants.gateway import voices, weighing

_HINT = re.compile(rb'"(?:file_id|library_id|connector_id|vector_store_id|voice_id)')
_LONGEST_HINT = len('"vector_store_id')
#: Members whose values name what stands behind every workspace of a key, and what it is.
FOREIGN = {
    "library_id": "Library",
    "library_ids": "Library",
    "connector_id": "Connector",
    "connector_ids": "Connector",
    "vector_store_id": "Vector store",
    "vector_store_ids": "Vector store",
    "voice_id": "Voice",
}
#: Text of the caller's own making: what stands in it names nothing.
OPAQUE = frozenset({"arguments", "parameters", "schema", "metadata", "json_schema"})
_MOST = 100
LONGEST_ID = 200
_FILES = {"file_id": "File", "file_ids": "File"}
#: An escaped letter or underscore: no honest encoder writes one.
_HIDDEN_NAME = re.compile(rb"\\u00(?:[46][1-9a-f]|[57][0-9a]|5f)", re.IGNORECASE)
_LONGEST_NAME = len("\\u005f")


def may_have(body: bytes) -> bool:
    """Tell whether it is worth looking: also where a name could be hidden by escapes."""
    return weighing.finds(_HINT, _LONGEST_HINT, body) or has_hidden_names(body)


def has_hidden_names(body: bytes) -> bool:
    """Tell whether letters are escaped that need not be."""
    return weighing.finds(_HIDDEN_NAME, _LONGEST_NAME, body)


def missing(noun: str, mistral_id: str) -> NotFound:
    """Say of a thing that it is not there, or somebody else's."""
    return NotFound("resource_not_found", f"{noun} {mistral_id} not found")


def is_possible(mistral_id: str) -> bool:
    """Tell whether a thing can have this id: the database takes no null character, nor longer ones.

    Such a one is not there, and is not looked up.
    """
    return len(mistral_id) <= LONGEST_ID and "\0" not in mistral_id


def files_in(document: Mapping[str, Any]) -> list[str]:
    """Give the ids of files that a request names.

    Raises:
        Invalid: more than a hundred.
    """
    found = list(dict.fromkeys(mistral_id for _, mistral_id in _named(document, _FILES)))
    if len(found) > _MOST:
        raise Invalid("too_large", f"A request may name {_MOST} files at most.")
    return found


def foreign_in(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what a request names that cannot have been made through a model token, and its ids.

    Libraries and connectors that somebody has set up in Studio, stores of vectors, and voices that
    are not Mistral's own.
    """
    for noun, mistral_id in _named(document, FOREIGN):
        if mistral_id not in voices.PRESETS or noun != FOREIGN["voice_id"]:
            yield noun, mistral_id


def stored_in(document: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Give what a request to the Responses API goes on with: all of it is stored at Mistral."""
    for name, noun in (("previous_response_id", "Response"), ("conversation", "Conversation")):
        given = document.get(name)
        if given is not None:
            yield noun, str(given.get("id") if isinstance(given, dict) else given)[:LONGEST_ID]
    prompt = document.get("prompt")
    if isinstance(prompt, dict) and prompt.get("id") is not None:
        yield "Prompt", str(prompt["id"])[:LONGEST_ID]
    items = document.get("input")
    for item in items if isinstance(items, list) else ():
        # An item that is nothing but an id is one that is kept there, whatever it calls itself.
        if isinstance(item, dict) and (
            item.get("type") == "item_reference" or item.keys() - {"type"} == {"id"}
        ):
            yield "Response", str(item.get("id"))[:LONGEST_ID]


def _named(document: Mapping[str, Any], members: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    waiting: list[object] = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            for name, value in part.items():
                if name in members and isinstance(value, (str, list)):
                    for one in value if isinstance(value, list) else (value,):
                        if isinstance(one, str):
                            yield members[name], one
                        else:
                            waiting.append(one)
                elif name not in OPAQUE:
                    waiting.append(value)
