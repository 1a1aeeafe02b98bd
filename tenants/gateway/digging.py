"""Finds what a call used near the end of a long JSON text, without reading all of it.

To read some megabytes stops every other call of the process for as long, even in a thread.
"""

import json
import re
from collections.abc import Container
from itertools import islice
from typing import Any

#: After the usage an answer says little: its user, and a few kilobytes of metadata.
NEAR = 64 * 1024
_LOOKS, _LONGEST = 4, 8 * 1024
# Quotes inside text are escaped, so a member's name is no part of what the model said. Nothing is
# tried twice.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_COLON = re.compile(r"\s*:\s*")
_JSON = json.JSONDecoder()
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,256})"')


def dig(near: bytes, member: bytes, depths: Container[int]) -> dict[str, Any] | None:
    """Find the last object of a member's name, so many objects deep, in the end of a JSON text.

    Args:
        near: the end; it may begin anywhere.
        member: the name, with its quotes.
        depths: 1 for a member of the text itself. What is in a list is in none.
    """
    at = len(near)
    for _ in range(_LOOKS):
        at = near.rfind(member, 0, at)
        if at < 0:
            break
        begin = at + len(member)
        text = near[begin : begin + _LONGEST].decode("latin-1")
        colon = _COLON.match(text)
        try:
            found, end = _JSON.raw_decode(text, colon.end()) if colon else (None, 0)
        except ValueError:
            continue
        if isinstance(found, dict) and _depth(near[begin + end :]) in depths:
            return found
    return None


def named_model(text: bytes) -> str | None:
    """Find the first model that is named in a part of a JSON text."""
    found = _MODEL.search(text)
    return found[1].decode("utf-8", "replace") if found else None


def own_model(text: bytes) -> str | None:
    """Find the model that a long JSON object names as its own member, near its begin or its end."""
    for found in islice(_MODEL.finditer(text, 0, NEAR), _LOOKS):
        bare = _STRING.sub(b"", text[: found.start()])
        if bare.count(b"[") == bare.count(b"]") and bare.count(b"{") - bare.count(b"}") == 1:
            return found[1].decode("utf-8", "replace")
    near = text[-NEAR:]
    for found in [*_MODEL.finditer(near)][-_LOOKS:]:
        if _depth(near[found.end() :]) == 1:
            return found[1].decode("utf-8", "replace")
    return None


def _depth(rest: bytes) -> int:
    """Tell how many objects are closed in what is left of a text; 0 if a list is, too."""
    bare = _STRING.sub(b"", rest)
    if bare.count(b"]") != bare.count(b"["):
        return 0
    return bare.count(b"}") - bare.count(b"{")
