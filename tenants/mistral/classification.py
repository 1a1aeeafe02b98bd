"""From any error answer of Mistral's to what it means; refuses to guess beyond what was observed.

The rules are data, the first that fits decides. They come from recorded traffic, where bodies
differ by gateway and year: `code` is text, number or null, `message` is text or an object, `detail`
is text or a list, and a body may be no JSON at all. A body is looked at, never kept.
"""

import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, replace
from typing import Any

from tenants.mistral.errors import (
    Confidence,
    ErrorClass,
    Family,
    Quota,
    Retry,
    Scope,
    UpstreamFailure,
)
from tenants.mistral.headers import read_correlation_id, read_rate_limits, read_retry_after

_MAX_BODY_BYTES = 256 * 1024
_MAX_TEXT = 1_000
#: Statuses from here on are no success; redirects are never followed.
FIRST_FAILURE = 300
# Observed codes are numbers, types are snake-case words. Whatever else comes is not kept: it might
# be a piece of the key.
_IDENTIFIER = re.compile(r"[0-9]{1,8}|(?=.{1,80}\Z)[a-z]{1,19}(?:_[a-z0-9]{1,19})*")
_REQUEST_ID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class _Body:
    """The marks of an error body that rules look at."""

    code: str | None = None
    type: str | None = None
    text: str = ""
    request_id: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class _Rule:
    """An answer fits when its status and path do, and any one of the rule's marks (if it has any).

    `types` and `path` are beginnings; `text` is a pattern for the lower-case sentence. `confidence`
    says how well the meaning is established; without marks it is concluded from the status.
    """

    error_class: ErrorClass
    statuses: Container[int]
    scope: Scope
    retry: Retry = Retry.NO
    path: str = ""
    codes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    text: str = ""
    confidence: Confidence = Confidence.LOW

    def fits(self, status: int, path: str, body: _Body) -> bool:
        """Decide for an answer."""
        unmarked = not (self.codes or self.types or self.text)
        return (
            status in self.statuses
            and path.startswith(self.path)
            and (unmarked or self.is_marked(body))
        )

    def is_marked(self, body: _Body) -> bool:
        """Decide by the body alone."""
        return (
            body.code in self.codes
            or (body.type or "").startswith(self.types)
            or (self.text != "" and re.match(self.text, body.text) is not None)
        )


_HIGH, _MEDIUM = Confidence.HIGH, Confidence.MEDIUM
_REDIRECTS, _REFUSALS, _FAILURES = range(300, 400), range(400, 500), range(500, 1000)
_BUSY = frozenset({429, *range(500, 600)})
_ANY = range(400, 1000)

_RULES = (
    # Capacity first: its bodies came with 429 and with 503.
    _Rule(
        ErrorClass.CAPACITY,
        _BUSY,
        Scope.MODEL,
        Retry.BACKOFF,
        codes=("3810",),
        types=("engine_max_pending_tokens",),
        confidence=_MEDIUM,
    ),
    _Rule(
        ErrorClass.CAPACITY,
        _BUSY,
        Scope.MODEL,
        Retry.BACKOFF,
        codes=("3505",),
        types=("service_tier_capacity_exceeded",),
        text=r".*\bcapacity exceeded",
        confidence=_HIGH,
    ),
    # Their own faults, whatever the status: the one of `unreachable_backend` is not established.
    _Rule(
        ErrorClass.SERVER_ERROR,
        _ANY,
        Scope.SERVER,
        Retry.BACKOFF,
        codes=("1000", "3800"),
        types=("internal_server_error",),
        confidence=_MEDIUM,
    ),
    _Rule(
        ErrorClass.SERVER_ERROR,
        _ANY,
        Scope.SERVER,
        Retry.BACKOFF,
        codes=("1100",),
        types=("unreachable_backend",),
    ),
    # The key is known: never tell its owner that it is wrong. 401 today, 403 in 2024.
    _Rule(
        ErrorClass.BILLING_INACTIVE,
        (401, 403),
        Scope.ORGANIZATION,
        text=r"inactive subscription",
        confidence=_MEDIUM,
    ),
    _Rule(ErrorClass.ADMIN_KEY_REQUIRED, (401,), Scope.KEY, path="/v1/admin"),
    _Rule(ErrorClass.KEY_INVALID, (401,), Scope.KEY, text=r"unauthorized\b", confidence=_HIGH),
    _Rule(ErrorClass.KEY_INVALID, (401,), Scope.KEY, text=r"invalid api key\b", confidence=_MEDIUM),
    _Rule(ErrorClass.KEY_INVALID, (401,), Scope.KEY),
    _Rule(
        ErrorClass.INCLUDED_USAGE_EXHAUSTED,
        (402,),
        Scope.ORGANIZATION,
        Retry.AFTER_RESET,
        codes=("2303",),
        types=("billing_api_budget_exhausted",),
        confidence=_MEDIUM,
    ),
    _Rule(
        ErrorClass.SPENDING_LIMIT_REACHED,
        (402,),
        Scope.ORGANIZATION,
        Retry.AFTER_RESET,
        codes=("2300",),
        types=("billing_customer_",),
        confidence=_MEDIUM,
    ),
    # The body of a workspace's limit is not established; its type should begin like the others.
    _Rule(
        ErrorClass.SPENDING_LIMIT_REACHED,
        (402,),
        Scope.WORKSPACE,
        Retry.AFTER_RESET,
        types=("billing_",),
    ),
    _Rule(
        ErrorClass.BATCH_TOO_BIG_FOR_FREE,
        (402,),
        Scope.REQUEST,
        text=r".*\bbatch jobs this big",
        confidence=_MEDIUM,
    ),
    _Rule(
        ErrorClass.SUBSCRIPTION_REQUIRED,
        (402,),
        Scope.ORGANIZATION,
        text=r".*\bsubscription\b",
        confidence=_MEDIUM,
    ),
    _Rule(ErrorClass.SUBSCRIPTION_REQUIRED, (402,), Scope.ORGANIZATION),
    _Rule(
        ErrorClass.MODEL_TIER_DENIED,
        (403,),
        Scope.MODEL,
        codes=("1910",),
        types=("tier_not_allowed",),
        confidence=_MEDIUM,
    ),
    _Rule(
        ErrorClass.LABS_NOT_ENABLED,
        (403,),
        Scope.MODEL,
        codes=("1913",),
        types=("labs_not_enabled",),
        confidence=_MEDIUM,
    ),
    _Rule(ErrorClass.FORBIDDEN_OTHER, (403,), Scope.KEY),
    # A retired model: documentation says 404, recordings show 400 with code 1500.
    _Rule(ErrorClass.MODEL_RETIRED, (400, 404), Scope.MODEL, text=r"model\b.*\bis deprecated"),
    _Rule(
        ErrorClass.MODEL_UNKNOWN,
        (400, 404),
        Scope.MODEL,
        codes=("1500",),
        types=("invalid_model",),
        confidence=_HIGH,
    ),
    _Rule(ErrorClass.MODEL_UNKNOWN, (400, 404), Scope.MODEL, text=r"model\b.*\bwas not found"),
    _Rule(ErrorClass.NO_ROUTE, (404,), Scope.CLIENT, text=r"no route matched", confidence=_MEDIUM),
    _Rule(ErrorClass.MODEL_UNKNOWN, (404,), Scope.MODEL, path="/v1/models/"),
    _Rule(ErrorClass.NO_ROUTE, (404,), Scope.CLIENT, text=r"not found\Z", confidence=_MEDIUM),
    _Rule(ErrorClass.NOT_FOUND, (404,), Scope.REQUEST),
    _Rule(
        ErrorClass.VALIDATION,
        (422,),
        Scope.REQUEST,
        types=("invalid_request_error",),
        confidence=_MEDIUM,
    ),
    _Rule(ErrorClass.VALIDATION, (422,), Scope.REQUEST, confidence=_HIGH),
    _Rule(
        ErrorClass.CONNECTOR_RATE_LIMITED,
        (429,),
        Scope.WORKSPACE,
        Retry.BACKOFF,
        text=r".*\bconnector\b",
        confidence=_MEDIUM,
    ),
    # The status says as much; the marks are for error events, which have none.
    _Rule(
        ErrorClass.RATE_LIMITED,
        (429,),
        Scope.WORKSPACE,
        Retry.BACKOFF,
        codes=("1300",),
        types=("rate_limited",),
        text=r".*\brate limit exceeded",
        confidence=_HIGH,
    ),
    _Rule(ErrorClass.RATE_LIMITED, (429,), Scope.WORKSPACE, Retry.BACKOFF, confidence=_MEDIUM),
    _Rule(ErrorClass.SERVER_ERROR, (408,), Scope.SERVER, Retry.BACKOFF, confidence=_MEDIUM),
    _Rule(ErrorClass.BAD_REQUEST, (400,), Scope.REQUEST, codes=("3051",), confidence=_HIGH),
    _Rule(
        ErrorClass.BAD_REQUEST,
        (400,),
        Scope.REQUEST,
        codes=("3291", "3310", "3740"),
        types=("invalid_request_", "document_parser_"),
        confidence=_MEDIUM,
    ),
    _Rule(ErrorClass.BAD_REQUEST, _REFUSALS, Scope.REQUEST),
    # A redirect is never followed: it would carry the key to another address.
    _Rule(ErrorClass.NO_ROUTE, _REDIRECTS, Scope.CLIENT),
    _Rule(ErrorClass.SERVER_ERROR, _FAILURES, Scope.SERVER, Retry.BACKOFF, confidence=_MEDIUM),
)
_FAULT = _RULES[-1]


def classify(
    status: int, headers: Mapping[str, str], body: bytes, *, path: str = ""
) -> UpstreamFailure:
    """Say what an answer that is no success means.

    Args:
        status: HTTP status, 300 or above.
        headers: of the answer, names in any case.
        body: of the answer, whole or cut; anything goes.
        path: of the request, from ``/v1`` on; a 404 of one model and the Admin API depend on it.

    Raises:
        ValueError: the status is no failure.
    """
    if not FIRST_FAILURE <= status < _FAILURES.stop:
        raise ValueError(f"status {status} is no failure")
    read = _read(body)
    rule = next(rule for rule in _RULES if rule.fits(status, path, read))
    failure = replace(
        _failure(rule, status, read),
        correlation_id=read_correlation_id(headers) or read.request_id,
        retry_after_seconds=read_retry_after(headers),
    )
    return _with_quota(failure, headers) if failure.family is Family.QUOTA else failure


def classify_event(data: bytes) -> UpstreamFailure:
    """Say what an error event inside a stream means; the HTTP status of the stream was 200.

    Args:
        data: of the event. Its own status decides if it tells one, else its code, type or text; an
            event that tells nothing known is a server error.
    """
    read = _read(data)
    rule = next(
        (
            rule
            for rule in _RULES
            if (rule.fits(read.status, "", read) if read.status else rule.is_marked(read))
        ),
        _FAULT,
    )
    return _failure(rule, read.status, read)


def _failure(rule: _Rule, status: int | None, body: _Body) -> UpstreamFailure:
    return UpstreamFailure(
        rule.error_class,
        rule.scope,
        rule.retry,
        http_status=status,
        mistral_code=body.code,
        mistral_type=body.type,
        correlation_id=body.request_id,
        confidence=rule.confidence,
    )


def _with_quota(failure: UpstreamFailure, headers: Mapping[str, str]) -> UpstreamFailure:
    """Tell a busy minute from a month that is used up and from a model the plan does not serve."""
    readings = read_rate_limits(headers)
    if any(reading.limit == 0 for reading in readings):
        return replace(failure, quota=Quota.NOT_IN_PLAN, retry=Retry.NO)
    if any(reading.remaining == 0 and "month" in reading.window for reading in readings):
        return replace(failure, quota=Quota.MONTH, retry=Retry.AFTER_RESET)
    return replace(failure, quota=Quota.WINDOW)


def _read(body: bytes) -> _Body:
    document = _parse(body)
    if not isinstance(document, dict):
        return _Body()
    nested = document.get("error")
    error: dict[str, Any] = nested if isinstance(nested, dict) else document
    request_id = document.get("request_id")
    text = _text(error.get("message")) or _text(error.get("detail"))
    return _Body(
        code=_identifier(error.get("code")),
        type=_identifier(error.get("type")),
        text=" ".join(text[:_MAX_TEXT].lower().split()),
        request_id=request_id
        if isinstance(request_id, str) and _REQUEST_ID.fullmatch(request_id)
        else None,
        status=_status(document),
    )


def _parse(body: bytes) -> object:
    """Parse what can be parsed; None for the rest, and for bodies too large to be an error."""
    if len(body) > _MAX_BODY_BYTES:
        return None
    try:
        document: object = json.loads(body.decode(json.detect_encoding(body), "replace"))
    except (ValueError, RecursionError):
        return None
    return document


def _identifier(value: object) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if isinstance(value, str) and _IDENTIFIER.fullmatch(value):
        return value
    return None


def _text(value: object) -> str:
    """Find the sentence: text, or the text in a wrapped `{"detail": …}`."""
    if isinstance(value, dict):
        value = value.get("detail")
    return value if isinstance(value, str) else ""


def _status(document: dict[str, Any]) -> int | None:
    for name in ("raw_status_code", "status", "code"):
        value = document.get(name)
        if isinstance(value, int) and value in _ANY:
            return value
    return None
