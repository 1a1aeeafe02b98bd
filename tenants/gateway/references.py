"""Finds, in a request, the ids of things at Mistral that it makes Mistral read.

A content part or a document may be a file at Mistral. Whoever names one must own it: Mistral would
read whatever its key may see. Looked at only where the bytes of a body give reason to.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from tenants.common.problems import Invalid, NotFound

_HINT = re.compile(rb'"(?:file_id|library_id|connector_id|previous_response_id)')
#: Text of the caller's own making: what stands in it names nothing.
OPAQUE = frozenset({"arguments", "parameters", "schema", "metadata", "json_schema"})
_MOST = 100
LONGEST_ID = 200
#: An escaped letter or underscore: no honest encoder writes one.
HIDDEN_NAME = re.compile(rb"\\u00(?:[46][1-9a-f]|[57][0-9a]|5f)", re.IGNORECASE)


def may_have(body: bytes) -> bool:
    """Tell whether it is worth looking: also where a name could be hidden by escapes."""
    return _HINT.search(body) is not None or HIDDEN_NAME.search(body) is not None


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
    found = list(dict.fromkeys(_named(document, "file_id", "file_ids")))
    if len(found) > _MOST:
        raise Invalid("too_large", f"A request may name {_MOST} files at most.")
    return found


def libraries_in(document: Mapping[str, Any]) -> list[str]:
    """Give the ids of libraries that a request names."""
    return list(_named(document, "library_id", "library_ids"))


def connectors_in(document: Mapping[str, Any]) -> list[str]:
    """Give the ids of connectors that a request names: those that somebody has set up in Studio."""
    return list(_named(document, "connector_id", "connector_ids"))


def _named(document: Mapping[str, Any], one: str, several: str) -> Iterator[str]:
    waiting: list[object] = [document]
    while waiting:
        part = waiting.pop()
        if isinstance(part, list):
            waiting += part
        elif isinstance(part, dict):
            for name, value in part.items():
                if name == one and isinstance(value, str):
                    yield value
                elif name == several and isinstance(value, list):
                    yield from (item for item in value if isinstance(item, str))
                elif name not in OPAQUE:
                    waiting.append(value)
