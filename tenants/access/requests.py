"""What every request gets and every JSON body must be: an id, a measure, strict JSON, a limit.

It refuses bodies over 1 MiB, what is not UTF-8 JSON, and JSON that is no shallow object of plain
text: control characters are left to the fields, NUL, lone surrogates and deep nesting are not.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from typing import IO, Any

import orjson
import structlog
from asgiref.sync import iscoroutinefunction
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.decorators import sync_and_async_middleware
from django.utils.translation import gettext as _
from prometheus_client import Counter, Histogram
from rest_framework.parsers import BaseParser

from tenants.common import tracing
from tenants.common.models import new_id
from tenants.common.problems import Invalid

MAX_BODY = 1_048_576
MAX_DEPTH = 16
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_SERVER_ERROR = 500

log = structlog.get_logger(__name__)
_current_id: ContextVar[str] = ContextVar("request_id", default="")

REQUESTS = Counter(
    "aim_http_requests", "Answers given by the Django doors.", ["method", "route", "status"]
)
SECONDS = Histogram("aim_http_request_seconds", "How long they took.", ["method", "route"])

type _Sync = Callable[[HttpRequest], HttpResponseBase]
type _Receive = Callable[[], Awaitable[dict[str, Any]]]
type _Async = Callable[[HttpRequest], Awaitable[HttpResponseBase]]


def request_id() -> str:
    """Return the id of the running request; empty outside of one."""
    return _current_id.get()


@sync_and_async_middleware
def request_middleware(get_response: _Sync | _Async) -> _Sync | _Async:
    """Name, measure and log every request; the outermost middleware.

    ``X-Request-Id`` is taken over when it is short and harmless, made otherwise, and always
    answered. The log line names the route, never the address: addresses may carry what people type.
    """
    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> HttpResponseBase:
            started = _begin(request)
            with tracing.span("request", request.headers.get("traceparent")) as here:
                response: HttpResponseBase = await get_response(request)
                return _end(request, response, started, here)

        return asynchronous

    def synchronous(request: HttpRequest) -> HttpResponseBase:
        started = _begin(request)
        with tracing.span("request", request.headers.get("traceparent")) as here:
            response = get_response(request)
            if not isinstance(response, HttpResponseBase):
                raise TypeError("an asynchronous handler behind a synchronous one")
            return _end(request, response, started, here)

    return synchronous


def _begin(request: HttpRequest) -> float:
    given = request.headers.get("X-Request-Id", "")
    chosen = given if _SAFE_ID.fullmatch(given) else str(new_id())
    _current_id.set(chosen)
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(request_id=chosen)
    if "CONTENT_LENGTH" not in request.META and "HTTP_TRANSFER_ENCODING" in request.META:
        # REST framework takes a body without a declared length for no body at all.
        request.META["CONTENT_LENGTH"] = str(MAX_BODY)
    return time.perf_counter()


def _end(
    request: HttpRequest, response: HttpResponseBase, started: float, here: tracing.Span
) -> HttpResponseBase:
    seconds = time.perf_counter() - started
    method = request.method if request.method in _METHODS else "other"
    route = request.resolver_match.route if request.resolver_match else "none"
    REQUESTS.labels(method, route, str(response.status_code)).inc()
    SECONDS.labels(method, route).observe(seconds)
    level = log.warning if response.status_code >= _SERVER_ERROR else log.info
    milliseconds = round(seconds * 1000, 1)
    level("request", method=method, route=route, status=response.status_code, ms=milliseconds)
    here.update_name(f"{method} {route}")
    here.set_attribute("http.response.status_code", response.status_code)
    here.set_attribute("aim.request_id", request_id())
    response["X-Request-Id"] = request_id()
    return response


class StrictJSONParser(BaseParser):
    """Reads a JSON object and nothing else (RFC 8259, with the surer half of RFC 7493)."""

    media_type = "application/json"

    def parse(
        self,
        stream: IO[Any],
        media_type: str | None = None,
        parser_context: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Read the body.

        Raises:
            Invalid: ``body_too_large`` (413), ``malformed_json`` (400) or ``not_an_object`` (422).
        """
        raw = stream.read(MAX_BODY + 1)
        if len(raw) > MAX_BODY:
            raise too_large()
        if not raw.strip():
            return {}
        try:
            body = orjson.loads(raw)
        except orjson.JSONDecodeError:
            detail = _("The body is not JSON in UTF-8. Numbers must be finite.")
            raise Invalid("malformed_json", detail, status=400) from None
        if not isinstance(body, dict):
            raise Invalid("not_an_object", _("The body must be a JSON object."))
        _check_depth(body)
        return body


def limited(receive: _Receive) -> _Receive:
    """Let an ASGI application read little more than the largest body, however much is sent.

    Django writes a body to disk before anybody looks at it. What is cut off here is one byte over
    the limit, so the parser refuses it.
    """
    left = MAX_BODY + 1

    async def receive_limited() -> dict[str, Any]:
        nonlocal left
        if left == 0:
            # The body is over; what Django asks for now is the caller's leaving, which it stops
            # waiting for once it has answered.
            await asyncio.get_running_loop().create_future()
        message = await receive()
        if message["type"] == "http.request":
            body = message.get("body", b"")[:left]
            left -= len(body)
            more = left > 0 and message.get("more_body", False)
            message = {**message, "body": body, "more_body": more}
        return message

    return receive_limited


def too_large() -> Invalid:
    """Make the refusal of a body that is over the limit."""
    detail = _("The body is larger than %(limit)s bytes.") % {"limit": MAX_BODY}
    return Invalid("body_too_large", detail, status=413)


def _check_depth(body: Any) -> None:
    level, depth = [body], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            detail = _("The body is nested deeper than %(limit)s levels.") % {"limit": MAX_DEPTH}
            raise Invalid("nested_too_deep", detail)
        level = [
            inner
            for value in level
            for inner in (value.values() if isinstance(value, dict) else value)
            if isinstance(inner, dict | list)
        ]


def json_response(content: Any, status: int, media_type: str = "application/json") -> HttpResponse:
    """Answer JSON outside of REST framework's renderers."""
    return HttpResponse(orjson.dumps(content, default=str), status=status, content_type=media_type)
