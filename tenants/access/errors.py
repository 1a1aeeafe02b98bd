"""Turns every refusal and failure under Django into ``application/problem+json`` (RFC 9457).

A problem's ``type`` is a relative reference to its description, ``/api/v1/problems/CODE``; the same
texts are in docs/problems.md. What was not foreseen is logged and told without a word of its cause.
"""

import traceback
from collections.abc import Callable, Iterator, Mapping
from functools import wraps
from typing import Any

import structlog
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.core.signals import got_request_exception
from django.db import InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.http.response import HttpResponseBase
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from rest_framework import exceptions

from tenants.access.requests import json_response, request_id, too_large
from tenants.common.problems import (
    FieldError,
    Forbidden,
    Invalid,
    NotFound,
    Problem,
    TooMany,
    Unauthenticated,
    Unavailable,
)

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "/api/v1/problems/"
_RETRY_SECONDS = 5
_UNAUTHENTICATED = 401
_READING = ("GET", "HEAD")

type _View = Callable[..., HttpResponseBase]

log = structlog.get_logger(__name__)

_TITLES: dict[int, Promise] = {
    400: gettext_lazy("Bad request"),
    401: gettext_lazy("Not authenticated"),
    402: gettext_lazy("Spending limit reached"),
    403: gettext_lazy("Not allowed"),
    404: gettext_lazy("Not found"),
    405: gettext_lazy("Method not allowed"),
    406: gettext_lazy("Not acceptable"),
    409: gettext_lazy("Conflict"),
    412: gettext_lazy("Changed meanwhile"),
    413: gettext_lazy("Content too large"),
    415: gettext_lazy("Unsupported media type"),
    422: gettext_lazy("Invalid request"),
    429: gettext_lazy("Too many requests"),
    500: gettext_lazy("Internal error"),
    502: gettext_lazy("Bad gateway"),
    503: gettext_lazy("Unavailable"),
    504: gettext_lazy("Time-out"),
}


def answer(problem: Problem) -> HttpResponse:
    """Write a problem as a response, with the headers that its status calls for."""
    document = problem.members | {
        "type": TYPE_PREFIX + problem.code,
        "title": problem.title or str(_TITLES.get(problem.status, problem.code)),
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
        "request_id": request_id(),
        "errors": [
            {"pointer": error.pointer, "code": error.code, "detail": error.detail}
            for error in problem.errors
        ],
    }
    response = json_response(document, problem.status, PROBLEM_JSON)
    if problem.status == _UNAUTHENTICATED:
        # RFC 6750, 3.1: no error code when no token was sent at all.
        invalid = "" if problem.code == "token_missing" else ', error="invalid_token"'
        response["WWW-Authenticate"] = f'Bearer realm="aisuru-mistral"{invalid}'
    if problem.retry_after is not None:
        response["Retry-After"] = str(problem.retry_after)
    response["Cache-Control"] = "no-store"
    return response


def problem_response(exc: Exception, context: Mapping[str, Any]) -> HttpResponse:
    """Answer for an exception that left a view: REST framework's exception handler."""
    problem = _known(exc)
    if problem is None:
        view = type(context.get("view")).__name__
        log.error("unforeseen", view=view, **_place_of(exc))
        got_request_exception.send(sender=problem_response, request=context.get("request"))
        problem = _internal()
    return answer(problem)


def _known(exc: Exception) -> Problem | None:
    """Translate what is understood; None for what is not."""
    if isinstance(exc, Problem):
        return exc
    for kinds, translate in _TRANSLATIONS:
        if isinstance(exc, kinds):
            return translate(exc)
    return None


def _validation(exc: exceptions.ValidationError) -> Problem:
    detail = _("Some members of the request are not right; see errors.")
    return Invalid("validation_failed", detail, errors=field_errors(exc))


def field_errors(exc: exceptions.ValidationError) -> tuple[FieldError, ...]:
    """Tell what is wrong, member by member."""
    return tuple(_field_errors(exc.detail, ""))


def _forbidden(_exc: Exception) -> Problem:
    return Forbidden("forbidden", _("This is not allowed."))


def _not_acceptable(_exc: Exception) -> Problem:
    detail = _("No answer can be given in the media types of the header Accept.")
    return Problem("not_acceptable", detail, status=406)


def _unsupported(_exc: Exception) -> Problem:
    detail = _("Send the body as JSON, with Content-Type: application/json.")
    return Problem("unsupported_media_type", detail, status=415)


def _database(exc: Exception) -> Problem:
    log.error("database_unavailable", **_place_of(exc))
    detail = _("The database does not answer. Try again shortly.")
    return Unavailable("database_unavailable", detail, retry_after=_RETRY_SECONDS)


# The first that fits decides; REST framework's own texts are translated already.
_TRANSLATIONS: tuple[tuple[tuple[type[Exception], ...], Callable[[Any], Problem]], ...] = (
    ((exceptions.ValidationError,), _validation),
    (
        (exceptions.NotAuthenticated, exceptions.AuthenticationFailed),
        lambda exc: Unauthenticated("token_missing", str(exc.detail)),
    ),
    ((exceptions.PermissionDenied, PermissionDenied), _forbidden),
    ((exceptions.NotFound, Http404), lambda _exc: not_found()),
    (
        (exceptions.MethodNotAllowed,),
        lambda exc: Problem("method_not_allowed", str(exc.detail), status=405),
    ),
    ((exceptions.NotAcceptable,), _not_acceptable),
    ((exceptions.UnsupportedMediaType,), _unsupported),
    (
        (exceptions.APIException,),
        lambda exc: Problem("bad_request", str(exc.detail), status=exc.status_code),
    ),
    ((RequestDataTooBig,), lambda _exc: too_large()),
    (
        (UnreadablePostError,),
        lambda _exc: Invalid("malformed_json", _("The body ended too early."), status=400),
    ),
    ((OperationalError, InterfaceError), _database),
)


def _field_errors(detail: Any, pointer: str) -> Iterator[FieldError]:
    """Walk REST framework's nested details, building JSON pointers (RFC 6901)."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            step = "" if name == "non_field_errors" else "/" + _escaped(str(name))
            yield from _field_errors(inner, pointer + step)
    elif isinstance(detail, list):
        for position, inner in enumerate(detail):
            nested = isinstance(inner, dict | list)
            yield from _field_errors(inner, f"{pointer}/{position}" if nested else pointer)
    else:
        yield FieldError(pointer, getattr(detail, "code", None) or "invalid", str(detail))


def _escaped(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def not_found() -> NotFound:
    """Make the one refusal for what is not there and for what is somebody else's."""
    return NotFound("not_found", _("There is nothing here, or it is not yours."))


def tried_too_often() -> TooMany:
    """Make the refusal of who tries too often to sign in, to have mail sent and the like.

    All counts that are answered so are of a minute at most, so by then another try is counted anew.
    """
    detail = _("You tried this too often. Wait a minute, then try again.")
    return TooMany("too_many_attempts", detail, retry_after=60)


def read_only(view: _View) -> _View:
    """Let a plain view answer GET and HEAD; other methods are a problem that says so in `Allow`."""

    @wraps(view)
    def answered(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if request.method in _READING:
            return view(request, *args, **kwargs)
        refusal = exceptions.MethodNotAllowed(request.method or "")
        response = answer(Problem("method_not_allowed", str(refusal.detail), status=405))
        response["Allow"] = ", ".join(_READING)
        return response

    return answered


def _place_of(exc: BaseException) -> dict[str, Any]:
    """Say what went wrong and where: the words of an exception, and locals, may quote a key."""
    frames = traceback.extract_tb(exc.__traceback__)
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return {"error": type(exc).__name__, "where": where}


def _internal() -> Problem:
    detail = _("Something went wrong on our side. Try again; if it stays, tell us the request id.")
    return Problem("internal_error", detail, status=500)


def bad_request(_request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django itself refuses: a host it does not serve, a body it does not read."""
    known = _known(exception)
    detail = _("The request is not one that this service answers.")
    return answer(known or Invalid("bad_request", detail, status=400))


def permission_denied(_request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer Django's own 403."""
    return answer(_forbidden(exception))


def page_not_found(
    _request: HttpRequest,
    exception: Exception | None = None,  # noqa: ARG001 - Django passes it by name
) -> HttpResponse:
    """Answer an address that leads nowhere."""
    return answer(not_found())


def csrf_failed() -> Forbidden:
    """Make the refusal of a request that another site may have sent."""
    detail = _("The CSRF token is missing or wrong. Reload the page, or send X-CSRFToken.")
    return Forbidden("csrf_failed", detail)


def csrf_failure(
    _request: HttpRequest,
    reason: str = "",  # noqa: ARG001 - Django passes it by name
) -> HttpResponse:
    """Answer what Django's own CSRF check refuses."""
    return answer(csrf_failed())


def server_error(_request: HttpRequest) -> HttpResponse:
    """Answer a failure outside of REST framework's views; Django has logged it."""
    return answer(_internal())
