"""Parameters that OpenAI's SDK sends and Mistral refuses: renamed, left out, or refused by us.

Mistral's requests forbid unknown members. What means the same under another name is renamed; what
changes no answer is left out; what would change the answer (``logprobs``, ``functions``, …) is
never left out in silence: it goes to Mistral, which refuses it. Members that nobody knows pass, so
that Mistral's next ones work on their first day.
"""

from collections.abc import Mapping
from typing import Any

from tenants.common.problems import FieldError, Invalid
from tenants.gateway.endpoints import Kind
from tenants.registry.models import ForeignParameters

HEADER = b"x-aim-parameters"
CHANGED = b"x-aim-changed"


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
    foreign = _FOREIGN if kind is Kind.CHAT else _TEXTS_LEFT_OUT if kind is Kind.TEXTS else None
    if foreign is None or mode is ForeignParameters.LEAVE or foreign.isdisjoint(document):
        return ()
    found = [name for name in document if name in foreign]
    if mode is ForeignParameters.REFUSE:
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
