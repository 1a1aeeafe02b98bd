"""Counts what an answer of Mistral's has delivered: for estimates, where it tells no usage."""

from collections.abc import Mapping
from typing import Any

import orjson

_MAX_DEPTH = 8


def count_delivered(document: Mapping[str, Any]) -> int:
    """Count the characters of model output in an answer or a chunk of a stream; never raises.

    Text, reasoning and tool arguments count: they are what completion tokens were spent on.
    """
    choices = document.get("choices")
    if not isinstance(choices, list):
        return _length(document, _MAX_DEPTH)
    total = 0
    for choice in choices:
        if isinstance(choice, dict):
            total += _length(choice.get("delta") or choice.get("message"), _MAX_DEPTH)
    return total


_OUTPUT_MEMBERS = frozenset(
    {"arguments", "content", "function", "outputs", "text", "thinking", "tool_calls"}
)


def _length(value: object, depth: int) -> int:
    """Add up the output in a part of an answer; plain loops, as it runs for every event."""
    if isinstance(value, str):
        return len(value)
    total = 0
    if depth and isinstance(value, dict):
        for name, part in value.items():
            if name not in _OUTPUT_MEMBERS:
                continue
            if name == "arguments" and isinstance(part, dict):  # instead of text, sometimes
                total += len(orjson.dumps(part).decode())
            else:
                total += _length(part, depth - 1)
    elif depth and isinstance(value, list):
        for part in value:
            total += _length(part, depth - 1)
    return total
