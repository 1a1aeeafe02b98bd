"""Reads the completion configs that AIsuru answers with; keeps what we write, and nothing secret.

A member that is left out counts as its default: AIsuru documents its switches so ("if not specified
False is assumed"). ``apiKey`` is passed over even where AIsuru tells it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST = 500
_LARGEST_NUMBER = 2**53
_TEXTS = ("configName", "description", "provider", "model", "endPoint")
_NUMBERS = ("contextSize", "timeout")
_SWITCHES = (
    "questionAnsweringEnabled",
    "importExportEnabled",
    "deepThoughtEnabled",
    "visibleToTenantUsers",
    "visibleToOtherUsers",
    "useAsDefault",
)
#: The members that are ours to write, and that drift is told by.
MEMBERS = (*_TEXTS, *_NUMBERS, *_SWITCHES)

type Facts = dict[str, str | int | float | bool | None]


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """A configuration as AIsuru has it.

    Attributes:
        config_id: AIsuru's own.
        facts: by the names in ``MEMBERS``, each present.
    """

    config_id: str
    facts: Facts

    @property
    def name(self) -> str:
        """What it is called."""
        return str(self.facts["configName"])


def facts_of(config: Mapping[str, Any]) -> Facts:
    """Bring a configuration, ours or theirs, into the form that is compared."""
    texts = {name: _text(config.get(name)) for name in _TEXTS}
    numbers = {name: _number(config.get(name)) for name in _NUMBERS}
    return {**texts, **numbers, **{name: config.get(name) is True for name in _SWITCHES}}


def read_one(document: Mapping[str, Any], config_id: str) -> RemoteConfig | None:
    """Read the answer to creating, changing or reading a configuration; None if it holds none.

    Args:
        document: ``{"config": {…}}``.
        config_id: the one that was asked for; empty for a new one.
    """
    found = _config(document.get("config"))
    return found if found is not None and config_id in {"", found.config_id} else None


def read_list(document: Mapping[str, Any]) -> tuple[RemoteConfig, ...] | None:
    """Read a list of configurations; what is none is left out; None if there is no list."""
    rows = document.get("configs")
    if not isinstance(rows, list):
        return None
    return tuple(found for found in map(_config, rows) if found is not None)


def _config(value: object) -> RemoteConfig | None:
    if not isinstance(value, dict):
        return None
    config_id = value.get("completionConfigID")
    if not isinstance(config_id, str) or not config_id or len(config_id) > _LONGEST:
        return None
    return RemoteConfig(config_id, facts_of(value))


def _text(value: object) -> str:
    return value[:_LONGEST] if isinstance(value, str) else ""


def _number(value: object) -> int | float | None:
    """Read a number; 0 is AIsuru's nothing as well as null is."""
    if type(value) not in (int, float) or not 0 < abs(value) < _LARGEST_NUMBER:  # type: ignore[arg-type]
        return None
    return value  # type: ignore[return-value]  # one of the two
