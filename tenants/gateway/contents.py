"""Tells what the messages of a request consist of: text, whose bytes bound it, or something else.

What is known to be text is; of everything else, nested however deep, nobody knows what is read.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tenants.common.problems import Invalid

#: Members in which texts, messages and entries come, by the endpoint.
TEXTS = ("messages", "inputs", "input")
_PARTS = frozenset(
    {
        "text",
        "thinking",
        "input_text",
        "output_text",
        "reasoning_text",
        "summary_text",
        "refusal",
        "message",
        "message.input",
        "message.output",
        "reasoning",
        "function_call",
        "function_call_output",
        "function.call",
        "function.result",
    }
)
#: What is written of them is all there is: nobody reads more into it.
_WRITTEN = frozenset({"tool_calls", "arguments", "metadata", "annotations", "logprobs"})
_MESSAGES = "messages"
_HANDOFF = ("next_agent_id", "previous_agent_id")
_LINK = "resource_link"
_PUBLIC = re.compile(r"https?://|data:", re.IGNORECASE)

type Part = Mapping[str, Any]


def beside_text(*given: object) -> list[Part]:
    """Give every part that is no text.

    Raises:
        Invalid: one links to what has no public address, and may be somebody else's.
    """
    found: list[Part] = []
    waiting: list[tuple[object, bool]] = [(one, True) for one in given]
    while waiting:
        value, is_outer = waiting.pop()
        if isinstance(value, list):
            waiting += [(one, is_outer) for one in value if type(one) in (dict, list)]
        elif isinstance(value, dict):
            kind = value.get("type")
            # A message needs no type; a part without one is what its reader takes it for.
            if kind in _PARTS if isinstance(kind, str) else kind is None and is_outer:
                waiting += [
                    (inner, is_outer and name == _MESSAGES)
                    for name, inner in value.items()
                    if inner and type(inner) in (dict, list) and name not in _WRITTEN
                ]
            else:
                _check_link(value)
                found.append(value)
    return found


def texts_in(value: object) -> int:
    """Count the texts, or chats, that are read each by itself."""
    if isinstance(value, list) and any(
        _MESSAGES in one if isinstance(one, dict) else isinstance(one, (list, str)) for one in value
    ):
        return len(value)
    return 1


def agents_in(entries: object) -> Iterable[str]:
    """Give the agents that the entries of a conversation hand over to, or from."""
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict):
            for name in _HANDOFF:
                if isinstance(entry.get(name), str):
                    yield entry[name]


def _check_link(part: Part) -> None:
    if part.get("type") == _LINK:
        uri = part.get("uri")
        if not isinstance(uri, str) or not _PUBLIC.match(uri):
            raise Invalid(
                "invalid_value", "The `uri` of a `resource_link` is an http, https or data address."
            )
