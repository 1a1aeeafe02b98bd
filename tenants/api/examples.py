"""An example for every body and answer of the schema, made from its shape; valid by construction.

A name says what a value looks like (``month``, ``currency``), else its type does. What an endpoint
declares itself (``endpoint(example=…)``) is left as it is. Nothing here is a real id or secret.
"""

from collections.abc import Mapping
from typing import Any

_JSON = "application/json"
_MAX_DEPTH = 8
_ID = "01a20abe-7c4e-753a-9193-20391e59f480"
_INSTANT = "2026-11-26T09:30:00Z"
_BY_FORMAT: Mapping[str, Any] = {
    "uuid": _ID,
    "date-time": _INSTANT,
    "date": "2026-11-26",
    "uri": "https://models.example.com/v1",
    "email": "alice@rossi.example",
    "decimal": "12.34",
    "password": "••••",
}
_BY_NAME: Mapping[str, Any] = {
    **dict.fromkeys(("name", "configName"), "Assistente"),
    "legal_name": "Rossi Srl",
    "slug": "rossi-srl",
    "aisuru_tenant": "www.rossi.example",
    "tenant": "www.rossi.example",
    "host": "www.rossi.example",
    "email": "alice@rossi.example",
    "owner_email": "alice@rossi.example",
    "domain": "rossi.example",
    "timezone": "Europe/Rome",
    "month": "2026-11",
    "currency": "EUR",
    "country": "IT",
    **dict.fromkeys(("model", "modelName", "requested_model"), "mistral-small-latest"),
    **dict.fromkeys(("mistral_model", "snapshot", "answered_model"), "mistral-small-2603"),
    "last4": "g6Yx",
    "token": "aim_mdl_…",
    "apiKey": "aim_mdl_…",
    "endPoint": "https://models.example.com/v1",
    **dict.fromkeys(("created_by", "requested_by", "confirmed_by", "invited_by"), "AIsuru"),
    **dict.fromkeys(("amount", "total", "cost", "spent", "monthly_spend", "spend_limit"), "12.34"),
    "endpoint": "/v1/chat/completions",
    "detail": "What happened, and what to do next.",
    "title": "In a few words",
    "request_id": _ID,
    "percent": 60,
}
#: What is null as long as nothing is wrong or over.
_NULL = frozenset(
    {
        *("next", "failure", "blocked_reason", "blocked_detail", "archived_at", "revoked_at"),
        *("empty_message", "replacement"),
    }
)
_BY_TYPE: Mapping[str, Any] = {
    "string": "text",
    "integer": 1,
    "number": 0.5,
    "boolean": True,
    "null": None,
}

#: What is no JSON, by media type; a PDF has no example that could be read.
_BY_MEDIA: Mapping[str, str] = {
    "text/csv": "key,amount,currency\r\ncompletion,12.34,EUR\r\n",
    "application/x-ndjson": (
        '{"type": "organization", "id": "01a20abe-7c4e-753a-9193-20391e59f480"}\n'
    ),
}
#: A usual refusal of each status: code, title, detail, and the member concerned.
_REFUSALS: Mapping[str, tuple[str, str, str, str]] = {
    "400": ("malformed_json", "Bad request", "The body is not JSON in UTF-8.", ""),
    "401": ("token_missing", "Unauthorized", "Send a token: Authorization: Bearer …", ""),
    "402": ("spending_limit_reached", "Payment required", "The month's limit is reached.", ""),
    "403": ("scope_missing", "Forbidden", "This needs the scope keys:write.", ""),
    "404": ("not_found", "Not found", "There is nothing here.", ""),
    "406": ("not_acceptable", "Not acceptable", "Ask for application/json.", ""),
    "409": ("name_taken", "Conflict", "This name is taken. Choose a different one.", ""),
    "412": ("stale", "Precondition failed", "It was changed meanwhile. Read it again.", ""),
    "413": ("body_too_large", "Content too large", "A body has 1 MiB at most.", ""),
    "415": ("unsupported_media_type", "Unsupported media type", "Send application/json.", ""),
    "422": ("validation_failed", "Invalid request", "Some members are wrong.", "/name"),
    "429": ("too_many_requests", "Too many requests", "Come back after Retry-After.", ""),
    "503": ("vault_unavailable", "Unavailable", "Nothing was done. Try again in a moment.", ""),
}

type Schema = Mapping[str, Any]


def add_examples(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Give every body, answer and refusal an example, as drf-spectacular's last step."""
    components = result.get("components", {}).get("schemas", {})
    refused: set[str] = set()
    for operations in result["paths"].values():
        for operation in operations.values():
            answers = operation["responses"]
            for body in (operation.get("requestBody", {}), *answers.values()):
                for kind, media in body.get("content", {}).items():
                    _show(kind, media, components)
            for status in _REFUSALS.keys() & answers.keys():
                for media in answers[status]["content"].values():
                    media["examples"] = {"example": {"$ref": f"#/components/examples/{status}"}}
                    refused.add(status)
    result.setdefault("components", {})["examples"] = {
        status: {"value": _refusal(status)} for status in sorted(refused)
    }
    return result


def _show(kind: str, media: dict[str, Any], components: Schema) -> None:
    """Give one form of a body an example, if it has none and can have one."""
    if "examples" in media:
        return
    if kind == _JSON:
        media["examples"] = {"example": {"value": example_of(media["schema"], components)}}
    elif kind in _BY_MEDIA:
        media["examples"] = {"example": {"value": _BY_MEDIA[kind]}}


def _refusal(status: str) -> dict[str, Any]:
    """Write a refusal, as ``access.errors`` does."""
    code, title, detail, pointer = _REFUSALS[status]
    said = {"pointer": pointer, "code": "required", "detail": "This member is required."}
    return {
        "type": f"/api/v1/problems/{code}",
        "title": title,
        "status": int(status),
        "detail": detail,
        "code": code,
        "request_id": _ID,
        "errors": [said] if pointer else [],
    }


def example_of(schema: Schema, components: Schema, name: str = "", depth: int = 0) -> Any:
    """Make an example of a schema.

    Args:
        schema: JSON Schema, as OpenAPI 3.1 has it.
        components: what its references lead to, by name.
        name: of the member that it is the schema of.
        depth: how deep it lies.
    """
    if name in _NULL and _takes_null(schema):
        return None
    schema = _resolved(schema, components)
    if said := _said(schema):
        return said[0]
    types = schema.get("type", "object" if "properties" in schema else "string")
    known = [types] if isinstance(types, str) else list(types)
    kind = next((one for one in known if one != "null"), "null")
    if kind == "object":
        return _object(schema, components, depth)
    if kind == "array":
        items = schema.get("items", {})
        # Not a page inside of a page: what is nested too deep is left out.
        return [example_of(items, components, name, depth + 1)] if depth <= _MAX_DEPTH else []
    return _scalar(schema, kind, name)


def _said(schema: Schema) -> list[Any]:
    """Give the values that a schema names itself."""
    one = [schema["const"]] if "const" in schema else []
    return [*schema.get("examples", ()), *one, *schema.get("enum", ())]


def _object(schema: Schema, components: Schema, depth: int) -> dict[str, Any]:
    members = {
        name: example_of(member, components, name, depth + 1)
        for name, member in schema.get("properties", {}).items()
    }
    others = schema.get("additionalProperties")
    if not members and isinstance(others, Mapping) and others:
        return {"name": example_of(others, components, "", depth + 1)}
    return members


def _scalar(schema: Schema, kind: str, name: str) -> Any:
    for found in (_BY_NAME.get(name), _BY_FORMAT.get(schema.get("format", ""))):
        if found is not None and isinstance(found, type(_BY_TYPE[kind])):
            return found
    if "default" in schema and isinstance(schema["default"], type(_BY_TYPE[kind])):
        return schema["default"]
    if kind in {"integer", "number"}:
        return max(schema.get("minimum", _BY_TYPE[kind]), _BY_TYPE[kind])
    return _BY_TYPE[kind]


def _takes_null(schema: Schema) -> bool:
    forms = [schema, *schema.get("oneOf", ()), *schema.get("anyOf", ())]
    return any("null" in (one.get("type"), *_listed(one.get("type"))) for one in forms)


def _listed(types: Any) -> list[Any]:
    return types if isinstance(types, list) else []


def _resolved(schema: Schema, components: Schema) -> Schema:
    """Follow references, and take the first of several forms that is not null."""
    for _ in range(_MAX_DEPTH):
        if "$ref" in schema:
            schema = components[schema["$ref"].rpartition("/")[2]]
            continue
        forms = schema.get("allOf") or schema.get("oneOf") or schema.get("anyOf")
        if not forms:
            return schema
        schema = next((one for one in forms if one.get("type") != "null"), forms[0])
    return schema
