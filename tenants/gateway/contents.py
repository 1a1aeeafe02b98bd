"""Tells what the messages of a request consist of: text, whose bytes bound it, or something else.

What is known to be text is; of everything else, nested however deep, nobody knows what is read.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import orjson

from tenants.common.problems import Invalid
from tenants.gateway import weighing

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
_CALLS, _ARGUMENTS = "tool_calls", "arguments"
_WRITTEN = frozenset({_CALLS, _ARGUMENTS, "metadata", "annotations", "logprobs"})
_MESSAGES = "messages"
_HANDOFF = ("next_agent_id", "previous_agent_id")
_LINK = "resource_link"
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
#: Of any it is -2.2250738585072014e-308.
_LONGEST_NUMBER = 24
_PUBLIC = re.compile(r"https?://|data:", re.IGNORECASE)

type Part = Mapping[str, Any]


class Seen(NamedTuple):
    """What messages consist of, beside their texts.

    Attributes:
        others: parts that are no text.
        values: that stand between texts, as the arguments of calls.
        arguments: the same, written as text.
    """

    others: list[Part]
    values: list[object]
    arguments: list[str]


def look(*given: object) -> Seen:
    """Look through messages, entries or texts for what bytes do not bound.

    Raises:
        Invalid: a part links to what has no public address, and may be somebody else's.
    """
    seen = Seen([], [], [])
    waiting: list[tuple[object, bool]] = [(one, True) for one in given]
    while waiting:
        value, is_outer = waiting.pop()
        if isinstance(value, list):
            for one in value:
                is_dict = type(one) is dict
                if type(one) is list or (is_dict and not (is_outer and _is_simple(one))):
                    waiting.append((one, is_outer))
        elif isinstance(value, dict):
            kind = value.get("type")
            # A message needs no type; a part without one is what its reader takes it for.
            if kind in _PARTS if isinstance(kind, str) else kind is None and is_outer:
                _look_into(value, seen, waiting, is_outer=is_outer)
            else:
                _check_link(value)
                seen.others.append(value)
    return seen


def _is_simple(message: Part) -> bool:
    """Tell of nearly every message that it has a role and a text, and nothing else."""
    return (
        len(message) == 2  # noqa: PLR2004 - these two
        and type(message.get("content")) is str
        and type(message.get("role")) is str
    )


def _look_into(
    part: Part, seen: Seen, waiting: list[tuple[object, bool]], *, is_outer: bool
) -> None:
    for name, inner in part.items():
        if type(inner) is str:
            if name == _ARGUMENTS:
                seen.arguments.append(inner)
        elif inner and type(inner) in (dict, list):
            if name == _CALLS and type(inner) is list:
                for call in inner:
                    function = call.get("function") if type(call) is dict else None
                    told = function.get(_ARGUMENTS) if type(function) is dict else None
                    if type(told) is str:
                        seen.arguments.append(told)
                    else:
                        seen.values.append(call)
            elif name in _WRITTEN:
                seen.values.append(inner)
            else:
                waiting.append((inner, is_outer and name == _MESSAGES))


def retold(seen: Seen, *given: object) -> int:
    """Bound the bytes by which values are longer where a model reads them than where we write them.

    They are written anew for it, with a space after each comma and colon, and another sign or digit
    in some exponents. Arguments that came as text are read first: a number in them that was sent as
    `1e15` gets all its digits. No other text grows.

    Raises:
        Invalid: they are nested too deeply.
    """
    more = 0
    if values := [*seen.values, *(one for one in given if one)]:
        written = dumped(values)
        more = 2 * (weighing.count(written, b",") + weighing.count(written, b":"))
    if seen.arguments:
        text = ",".join(seen.arguments)
        more += weighing.count(text, ",") + weighing.count(text, ":")
        more += _numbers(text) * _LONGEST_NUMBER
    return more


def _numbers(text: str) -> int:
    """Count what could be numbers with a fraction or an exponent."""
    numbers = 0
    for start in range(0, len(text), weighing.SLICE):
        piece = text[start : start + weighing.SLICE + 1].encode()  # both characters of the last one
        piece = piece.lower().translate(_DIGITS)  # all digits alike
        numbers += piece.count(b"0.") + piece.count(b"0e")
    return numbers


def dumped(value: object) -> bytes:
    """Write a value that was read.

    Raises:
        Invalid: it is nested too deeply; orjson reads deeper than it writes.
    """
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        pass  # raised below and not here: the error carries the value
    raise Invalid("invalid_json", "The body is nested too deeply.")


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
