"""Takes from an answer's usage what can be read of it: one odd member costs nothing but itself.

`wire.read_usage` refuses a usage of a wrong shape, as of those who report theirs. Mistral's bill is
not smaller because one of its figures cannot be read: what the others tell is kept. More cached
than prompt tokens are as many as those; of a second that has begun the whole is billed.
"""

import math
from typing import Any

from tenants.mistral.errors import WireError
from tenants.mistral.wire import Usage, read_usage

_DETAILS = ("prompt_tokens_details", "prompt_token_details", "input_tokens_details", "connectors")
_TELL_OF_CACHED = ("num_cached_tokens", *_DETAILS[:3])
_SECONDS = "prompt_audio_seconds"
_NOTHING = Usage()


def read_told(value: object) -> Usage:
    """Read the usage of an answer as far as it can be read; never raises."""
    if not isinstance(value, dict):
        return _NOTHING
    try:
        return read_usage(value)
    except WireError:
        pass
    readable: dict[str, Any] = {}
    for name, given in value.items():
        told = given
        if name in _DETAILS and isinstance(told, dict):
            told = {inner: one for inner, one in told.items() if _is_readable({name: {inner: one}})}
        elif name == _SECONDS and isinstance(told, float) and math.isfinite(told):
            told = math.ceil(told)
        if _is_readable({name: told}):
            readable[name] = told
    return _consistent(readable)


def _is_readable(usage: dict[str, Any]) -> bool:
    try:
        read_usage(usage)
    except WireError:
        return False
    return True


def _consistent(usage: dict[str, Any]) -> Usage:
    """Read members of which each is right; only their cached tokens can still be too many."""
    try:
        return read_usage(usage)
    except WireError:
        pass
    left = {name: part for name, part in usage.items() if name not in _TELL_OF_CACHED}
    told = read_usage(left)
    return told._replace(cached_tokens=told.prompt_tokens)
