"""Checks JSON against schemas of Mistral's OpenAPI file (data/openapi.json)."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

_DOCUMENT = json.loads((Path(__file__).parent / "data" / "openapi.json").read_text())


def properties(name: str) -> dict[str, Any]:
    """The properties of a schema of the file."""
    found: dict[str, Any] = _DOCUMENT["components"]["schemas"][name]["properties"]
    return found


def check(value: Any, name: str) -> None:
    """Raise when the value does not have the shape of this name."""
    schema = {**_DOCUMENT, "$ref": f"#/components/schemas/{name}"}
    Draft202012Validator(schema).validate(value)
