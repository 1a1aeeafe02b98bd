"""The schema as a collection for Postman, Bruno and Insomnia: one request for every operation.

Format: Postman Collection 2.1.0 (schema.getpostman.com/json/collection/v2.1.0). The variables
``api`` (up to and with ``/api/v1``) and ``token`` are the reader's to set; nothing in it is real.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_PREFIX = "/api/v1"
_PLACE = re.compile(r"\{(\w+)\}")
_SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})

type Json = dict[str, Any]


def collection_of(schema: Mapping[str, Any]) -> Json:
    """Write an OpenAPI document as a collection, a folder for each tag."""
    folders: dict[str, list[Json]] = {}
    for path, method, operation in _operations(schema):
        folders.setdefault(operation["tags"][0], []).append(_request(path, method, operation))
    return {
        "info": {
            "name": schema["info"]["title"],
            "description": schema["info"]["description"],
            "schema": _SCHEMA,
        },
        "auth": {
            "type": "bearer",
            "bearer": [{"key": "token", "value": "{{token}}", "type": "string"}],
        },
        "variable": [
            {"key": "api", "value": "http://127.0.0.1:8000/api/v1"},
            {"key": "token", "value": ""},
        ],
        "item": [{"name": tag, "item": items} for tag, items in sorted(folders.items())],
    }


def _operations(schema: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            if method in _METHODS:
                yield path, method, operation


def _request(path: str, method: str, operation: Mapping[str, Any]) -> Json:
    parameters = operation.get("parameters", [])
    queries = [_parameter(one) for one in parameters if one["in"] == "query"]
    headers = [_parameter(one) for one in parameters if one["in"] == "header"]
    address = "{{api}}" + _PLACE.sub(r":\1", path.removeprefix(_PREFIX))
    request: Json = {
        "method": method.upper(),
        "description": operation["description"],
        "header": headers,
        "url": {
            "raw": address,
            "host": ["{{api}}"],
            "path": address.removeprefix("{{api}}/").split("/"),
            "query": queries,
            "variable": [{"key": name, "value": ""} for name in _PLACE.findall(path)],
        },
    }
    media = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if media is not None:
        example = next(iter(media["examples"].values()))["value"]
        raw = json.dumps(example, indent=2, ensure_ascii=False)
        request["body"] = {
            "mode": "raw",
            "raw": raw,
            "options": {"raw": {"language": "json"}},
        }
    return {"name": operation["summary"], "request": request}


def _parameter(parameter: Mapping[str, Any]) -> Json:
    """Show what may be asked, switched off: the reader chooses."""
    is_needed = bool(parameter.get("required"))
    return {
        "key": parameter["name"],
        "value": "",
        "description": parameter.get("description", ""),
        "disabled": not is_needed,
    }
