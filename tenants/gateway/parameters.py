"""Parameters that OpenAI's SDK sends and Mistral refuses: renamed, left out, or refused by us.

Mistral's requests forbid unknown members. What means the same under another name is renamed; what
changes no answer is left out; what would change the answer (``logprobs``, ``functions``, …) is
never left out in silence: it goes to Mistral, which refuses it, but for values that ask for
nothing. So it is with messages, which callers send back as the SDK gave them. Members that nobody
knows pass, so that Mistral's next ones work on their first day.
"""

from collections.abc import Mapping
from typing import Any

from tenants.common.problems import FieldError, Invalid
from tenants.gateway.endpoints import Kind
from tenants.registry.models import ForeignParameters

HEADER = b"x-aim-parameters"
CHANGED = b"x-aim-changed"


#: By kind of endpoint: another name → Mistral's.
_RENAMED: Mapping[Kind, Mapping[str, str]] = {
    Kind.CHAT: {"max_completion_tokens": "max_tokens", "seed": "random_seed"},
    Kind.TEXTS: {"dimensions": "output_dimension"},
}
_LEFT_OUT: Mapping[Kind, frozenset[str]] = {
    Kind.CHAT: frozenset(
        {
            "prompt_cache_retention",
            "safety_identifier",
            "store",
            "stream_options",
            "user",
            "verbosity",
        }
    ),
    Kind.TEXTS: frozenset({"user"}),
}
#: What asks for nothing by these values; with others Mistral is to say what it thinks of it.
_NEUTRAL: Mapping[str, tuple[object, ...]] = {
    "audio": (None,),
    "function_call": (None,),
    "functions": (None, []),
    "logit_bias": (None, {}),
    "logprobs": (None, False),
    "modalities": (None, ["text"]),
    "top_logprobs": (None, 0),
    "web_search_options": (None,),
}
_FOREIGN = {
    Kind.CHAT: _RENAMED[Kind.CHAT].keys() | _LEFT_OUT[Kind.CHAT] | _NEUTRAL.keys(),
    Kind.TEXTS: _RENAMED[Kind.TEXTS].keys() | _LEFT_OUT[Kind.TEXTS],
}
_ROLE, _DEVELOPER, _SYSTEM, _ASSISTANT = "role", "developer", "system", "assistant"
_ECHOED: Mapping[str, tuple[object, ...]] = {
    "annotations": (None, []),
    "audio": (None,),
    "function_call": (None,),
    "refusal": (None,),
}
#: Of messages' foreign members so many are named where they are refused.
_MOST_NAMED = 20
_PLAIN = 2  # members of a message: its role and its content


def mode_of(header: bytes | None, default: ForeignParameters) -> ForeignParameters:
    """Read what a request asks for, else take what its workspace wants.

    Raises:
        Invalid: no such word (400).
    """
    if header is None:
        return default
    try:
        return ForeignParameters(header.decode("latin-1"))
    except ValueError:
        pass
    raise Invalid(
        "invalid_value", "X-Aim-Parameters takes `adapt`, `refuse` or `pass`.", status=400
    )


def adapt(kind: Kind, document: dict[str, Any], mode: ForeignParameters) -> tuple[str, ...]:
    """Change a document in place, and say what was changed.

    Raises:
        Invalid: there are such parameters, and the mode is to refuse them.
    """
    foreign = _FOREIGN.get(kind)
    if foreign is None or mode is ForeignParameters.LEAVE:
        return ()
    found: list[str] = []
    if not foreign.isdisjoint(document):
        found = [
            name for name, value in document.items() if name in foreign and _is_ours(name, value)
        ]
    listed = document.get("messages")
    messages = listed if isinstance(listed, list) else []
    parts = _foreign_parts(messages)
    if not found and not parts:
        return ()
    if mode is ForeignParameters.REFUSE:
        raise _unsupported([*found, *(f"messages/{at}/{name}" for at, name in parts[:_MOST_NAMED])])
    told = [_adapted(document, name, _RENAMED[kind].get(name)) for name in found]
    changed = {_adapted_part(messages[at], name) for at, name in parts}
    return (*told, *sorted(changed))


def _is_ours(name: str, value: object) -> bool:
    """Tell whether a foreign member can be renamed or left out as it is."""
    return name not in _NEUTRAL or value in _NEUTRAL[name]


def _foreign_parts(messages: list[Any]) -> list[tuple[int, str]]:
    """Find what Mistral's messages do not have, by place and name; nearly always there is none."""
    found = []
    for at, message in enumerate(messages):
        role = message.get(_ROLE) if isinstance(message, dict) else None
        if role == _DEVELOPER:
            found.append((at, _ROLE))
        elif role == _ASSISTANT and len(message) > _PLAIN:
            found += [
                (at, name)
                for name, neutral in _ECHOED.items()
                if name in message and message[name] in neutral
            ]
    return found


def _unsupported(names: list[str]) -> Invalid:
    return Invalid(
        "unsupported_parameter",
        f"Mistral does not know {', '.join(f'`{name}`' for name in names)}.",
        errors=tuple(
            FieldError(f"/{name}", "unsupported_parameter", "Mistral does not know it.")
            for name in names
        ),
    )


def _adapted(document: dict[str, Any], name: str, new: str | None) -> str:
    value = document.pop(name)
    if new is None or value is None or document.get(new) is not None:
        return f"{name}=dropped"
    document[new] = value
    return f"{name}={new}"


def _adapted_part(message: dict[str, Any], name: str) -> str:
    if name == _ROLE:
        message[_ROLE] = _SYSTEM
        return f"messages.role={_SYSTEM}"
    del message[name]
    return f"messages.{name}=dropped"


def told(adapted: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Say in a header of the answer what was changed."""
    return CHANGED, ", ".join(adapted).encode("ascii", "replace")
