"""Parameters that OpenAI's SDK sends and Mistral refuses: renamed, left out, or refused by us.

Mistral's requests forbid unknown members. What means the same under another name is renamed; what
changes no answer is left out; what would change the answer (``logprobs``, ``functions``, …) is
never left out in silence: it goes to Mistral, which refuses it. Members that nobody knows pass, so
that Mistral's next ones work on their first day.
"""

from collections.abc import Mapping
from enum import StrEnum, unique
from typing import Any

from tenants.common.problems import FieldError, Invalid
from tenants.gateway.endpoints import Kind

HEADER = b"x-aim-parameters"
CHANGED = b"x-aim-changed"


@unique
class Parameters(StrEnum):
    """What is to be done with them."""

    ADAPT = "adapt"  # rename, and leave out what changes no answer
    REFUSE = "refuse"  # refuse with 422, naming each
    LEAVE = "pass"  # let Mistral judge


_RENAMED: Mapping[str, str] = {"max_completion_tokens": "max_tokens", "seed": "random_seed"}
_LEFT_OUT = frozenset(
    {
        "prompt_cache_retention",
        "safety_identifier",
        "store",
        "stream_options",
        "user",
        "verbosity",
    }
)
_FOREIGN = _RENAMED.keys() | _LEFT_OUT
_TEXTS_LEFT_OUT = frozenset({"user"})


def mode_of(header: bytes | None) -> Parameters:
    """Read what a request asks for.

    Raises:
        Invalid: no such word (400).
    """
    if header is None:
        return Parameters.ADAPT
    try:
        return Parameters(header.decode("latin-1"))
    except ValueError:
        pass
    raise Invalid(
        "invalid_value", "X-Aim-Parameters takes `adapt`, `refuse` or `pass`.", status=400
    )


def adapt(kind: Kind, document: dict[str, Any], mode: Parameters) -> tuple[str, ...]:
    """Change a document in place, and say what was changed.

    Raises:
        Invalid: there are such parameters, and the mode is to refuse them.
    """
    foreign = _FOREIGN if kind is Kind.CHAT else _TEXTS_LEFT_OUT if kind is Kind.TEXTS else None
    if foreign is None or mode is Parameters.LEAVE or foreign.isdisjoint(document):
        return ()
    found = [name for name in document if name in foreign]
    if mode is Parameters.REFUSE:
        raise Invalid(
            "unsupported_parameter",
            f"Mistral does not know {', '.join(f'`{name}`' for name in found)}.",
            errors=tuple(
                FieldError(f"/{name}", "unsupported_parameter", "Mistral does not know it.")
                for name in found
            ),
        )
    return tuple(_adapted(document, name) for name in found)


def _adapted(document: dict[str, Any], name: str) -> str:
    value, new = document.pop(name), _RENAMED.get(name)
    if new is None or value is None or document.get(new) is not None:
        return f"{name}=dropped"
    document[new] = value
    return f"{name}={new}"


def told(adapted: tuple[str, ...]) -> tuple[bytes, bytes]:
    """Say in a header of the answer what was changed."""
    return CHANGED, ", ".join(adapted).encode("ascii", "replace")
