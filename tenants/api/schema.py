"""How endpoints are described in OpenAPI 3.1: problems, pages, tokens, idempotency."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework import serializers

from tenants.access.authentication import TokenAuthentication
from tenants.access.errors import PROBLEM_JSON
from tenants.access.idempotency import HEADER, REPLAYED
from tenants.access.sessions import SessionAuthentication
from tenants.api.conditions import HEADER as IF_MATCH
from tenants.api.deprecation import Deprecated

_MEANINGS = {
    400: "The body is not JSON.",
    401: "No token or session, or not a live one.",
    402: "A spending limit stands in the way.",
    403: "The token lacks a scope, or the member a role.",
    404: "Not there, or not yours.",
    406: "The answer has no form that Accept names.",
    409: "The present state does not allow it.",
    412: "The resource was changed since it had the tag in If-Match.",
    413: "The body is too large.",
    415: "The body is not application/json.",
    422: "Something in the request is wrong; `errors` says what.",
    429: "Too often; wait as long as Retry-After says.",
    503: "Something behind the service does not answer.",
}
_IN_A_BODY = "What the query asks may stand in a JSON body instead."
_SUCCESSES = {200: "Done.", 201: "Created.", 202: "Accepted; a worker goes on.", 204: "Gone."}


class FieldError(serializers.Serializer[Any]):
    """What is wrong with one member of a request."""

    pointer = serializers.CharField(help_text="JSON pointer (RFC 6901) to the member.")
    code = serializers.CharField()
    detail = serializers.CharField()


class ProblemDetails(serializers.Serializer[Any]):
    """A refusal or failure (RFC 9457)."""

    type = serializers.CharField(help_text="Relative reference to the problem's description.")
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What happened and what to do next.")
    code = serializers.CharField(help_text="Stable; docs/problems.md lists all of them.")
    request_id = serializers.CharField()
    errors = FieldError(many=True)  # type: ignore[assignment]  # a member, not the property


class TokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The bearer token, as OpenAPI names it."""

    target_class = TokenAuthentication
    name = "token"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Describe it."""
        return {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "aim_plat_… or aim_org_…",
            "description": "A platform token, or a token of one organization.",
        }


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The console's session, as OpenAPI names it."""

    target_class = SessionAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, Any]:
        """Describe it."""
        return {
            "type": "apiKey",
            "in": "cookie",
            "name": "aim_session",
            "description": (
                "A person's session (docs/people.md). What changes something carries the CSRF"
                " token in the header X-CSRFToken."
            ),
        }


def write_nulls(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Write ``null`` beside a list of words as JSON Schema's own type, which every client knows.

    Runs after drf-spectacular's step for such lists, which makes a component of each, ``null`` and
    the empty word included.
    """
    schemas = result.get("components", {}).get("schemas", {})
    plain = {
        f"#/components/schemas/{name}": plainly
        for name, plainly in (
            ("NullEnum", {"type": "null"}),
            ("BlankEnum", {"type": "string", "const": ""}),
        )
        if schemas.pop(name, None) is not None
    }
    _replace(result, plain)
    return result


def _replace(node: Any, plain: Mapping[str, Mapping[str, Any]]) -> None:
    """Put schemas in the place of references to them, wherever they are."""
    members = node.items() if isinstance(node, dict) else enumerate(node)
    for place, value in members:
        if isinstance(value, dict) and value.get("$ref") in plain:
            node[place] = dict(plain[value["$ref"]])
        elif isinstance(value, dict | list):
            _replace(value, plain)


def describe(
    *,
    operation_id: str,
    summary: str,
    detail: str,
    tag: str,
    method: str,
    scopes: Collection[str],
    takes: Any,
    query: Any,
    gives: Mapping[int, Any],
    refuses: Collection[int],
    example: Mapping[str, Any] | None,
    media_types: Collection[str],
    is_personal: bool = False,
    is_dangerous: bool = False,
    deprecated: Deprecated | None = None,
    has_condition: bool = False,
) -> Callable[[Any], Any]:
    """Make the decorator that puts a handler's declaration into the schema."""
    named = ", ".join(f"`{scope}`" for scope in sorted(scopes))
    needs = f"Scopes: {named}." if scopes else "Any live token."
    if is_personal:
        needs = "A person's session."
    if is_dangerous:
        needs += " A person has to have confirmed within minutes that it is really them."
    if query and method == "delete":
        needs = f"{_IN_A_BODY}\n\n{needs}"
    said = [deprecated.describe()] if deprecated else []
    parameters: list[Any] = [query] if query else []
    if method == "post":
        parameters.append(_idempotency_key())
    if has_condition:
        parameters.append(_if_match())
    responses: dict[Any, Any] = {}
    for status, serializer in gives.items():
        for media_type in media_types:
            answer = OpenApiTypes.STR if media_type != "application/json" else serializer
            responses[status, media_type] = OpenApiResponse(answer, description=_SUCCESSES[status])
    reads = bool(takes or (query and method == "delete"))
    for status in sorted({*refuses, *_usual(reads=reads, holds=has_condition)}):
        responses[status, PROBLEM_JSON] = OpenApiResponse(ProblemDetails, _MEANINGS[status])
    examples = [OpenApiExample("example", value=example, request_only=True)] if example else []
    return extend_schema(
        operation_id=operation_id,
        summary=summary,
        description="\n\n".join([*said, *([detail] if detail else ()), needs]),
        deprecated=bool(deprecated),
        tags=[tag],
        parameters=parameters,
        request=takes,
        responses=responses,
        examples=examples,
    )


def _usual(*, reads: bool, holds: bool) -> Iterator[int]:
    """Tell what is refused everywhere, where a body is read, and where a condition holds."""
    yield from (401, 403, 404, 422, 429)
    if reads:
        yield from (400, 413, 415)
    if holds:
        yield 412


def _if_match() -> OpenApiParameter:
    return OpenApiParameter(
        IF_MATCH,
        str,
        OpenApiParameter.HEADER,
        description=(
            "The `ETag` that reading the resource gave: change it only if it still has this one."
        ),
    )


def _idempotency_key() -> OpenApiParameter:
    return OpenApiParameter(
        HEADER,
        str,
        OpenApiParameter.HEADER,
        description=(
            "1 to 255 visible ASCII characters. The same key with the same body gives the same"
            f" answer for a day, with the header `{REPLAYED}: true`."
        ),
    )
