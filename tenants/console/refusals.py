"""Refusals and failures as pages of the house, for people; programs get problems as ever.

Who asks for HTML outside of the programs' addresses is a person with a browser. These pages ask no
database for anything, so that they also say that it does not answer. What a member is refused
inside of an organization keeps what stands around its pages: that is given, and was read before.
"""

from collections.abc import Collection, Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext as _

from tenants.access import errors
from tenants.access.requests import request_id
from tenants.common.problems import Problem, Unavailable

_PROGRAMS = ("/api/", "/v1", "/_allauth/", "/health/", "/metrics", "/static/")
_MINUTES_LATER = 120
_BAD_REQUEST = HTTPStatus.BAD_REQUEST
type _Around = Mapping[str, Any]
_NOWHERE: _Around = {}


def problem_page(
    request: HttpRequest, problem: Problem, around: _Around = _NOWHERE
) -> HttpResponse:
    """Tell a problem to a person: what happened, what it means, what to do next.

    Args:
        request: what was asked.
        problem: what stands in the way.
        around: the visit and its frame, inside of an organization.
    """
    title = problem.title or _title(problem.status)
    response = _page(request, problem.status, title, problem.detail, problem.code, around)
    if problem.retry_after is not None:
        response.headers["Retry-After"] = str(problem.retry_after)
    return response


def too_many_requests(request: HttpRequest) -> HttpResponse:
    """Answer who tries signing in and the like too often, where allauth's forms do not say it."""
    problem = errors.tried_too_often()
    return problem_page(request, problem) if _is_person(request) else errors.answer(problem)


def not_found_page(request: HttpRequest, around: _Around = _NOWHERE) -> HttpResponse:
    """Tell that there is nothing: the same for what is nowhere and for what is somebody else's."""
    detail = _(
        "The address leads nowhere, or to something that is not yours. Check it for a slip, or"
        " start from the overview."
    )
    return _page(request, 404, _("There is no such page"), detail, "not_found", around)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer what Django itself refuses."""
    if not _is_person(request):
        return errors.bad_request(request, exception)
    detail = _("The browser sent something that this service does not read. Go back and try again.")
    return _page(request, _BAD_REQUEST, _("This was not understood"), detail, "bad_request")


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer Django's own 403."""
    if not _is_person(request):
        return errors.permission_denied(request, exception)
    return _page(request, 403, _("This is not allowed"), _not_allowed(), "forbidden")


def page_not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer an address that leads nowhere."""
    return (
        not_found_page(request)
        if _is_person(request)
        else errors.page_not_found(request, exception)
    )


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer a failure; Django has logged it."""
    if not _is_person(request):
        return errors.server_error(request)
    detail = _(
        "Something went wrong on our side; nothing you typed is at fault. Try again in a moment. If"
        " it stays, tell support the number below."
    )
    return _page(request, 500, _("Something went wrong"), detail, "internal_error")


def unavailable(request: HttpRequest) -> HttpResponse:
    """Answer while the service is worked on, or its database is away: nothing was done."""
    detail = _(
        "The service is being worked on and comes back in minutes. Models answer meanwhile; nothing"
        " that was saved is lost. Reload the page in a moment."
    )
    problem = Unavailable(
        "maintenance", detail, title=_("Back in a moment"), retry_after=_MINUTES_LATER
    )
    return problem_page(request, problem) if _is_person(request) else errors.answer(problem)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Answer a form that another site may have sent."""
    if not _is_person(request):
        return errors.csrf_failure(request, reason)
    detail = _(
        "The form was open for too long, or came from another page, so nothing was changed. Go"
        " back, reload the page and send it again."
    )
    return _page(request, 403, _("This form is out of date"), detail, "csrf_failed")


def method_not_allowed(
    request: HttpRequest, allowed: Collection[str], around: _Around = _NOWHERE
) -> HttpResponse:
    """Answer a method that an address does not have."""
    title = _("This did not work")
    detail = _("This address does not take what the browser sent. Start from the overview.")
    code = "method_not_allowed"
    if _is_person(request):
        response = _page(request, 405, title, detail, code, around)
    else:
        response = errors.answer(Problem(code, detail, status=405))
    response.headers["Allow"] = ", ".join(name.upper() for name in allowed)
    return response


def _is_person(request: HttpRequest) -> bool:
    asks_for_page = "text/html" in request.headers.get("Accept", "")
    return asks_for_page and not request.path.startswith(_PROGRAMS)


def _page(  # noqa: PLR0917 - what the page says, in its order
    request: HttpRequest,
    status: int,
    title: str,
    detail: str,
    code: str,
    around: _Around = _NOWHERE,
) -> HttpResponse:
    facts = {
        **around,
        "house": "console/page.html" if around else "console/door.html",
        "status": status,
        "title": title,
        "detail": detail,
        "code": code,
        # The overview is closed as well then; what was sent is sent again by reloading only.
        "again": request.get_full_path() if request.method in {"GET", "HEAD"} else "",
        "request_id": request_id(),
    }
    text = render_to_string("console/problem.html", facts, request)
    return HttpResponse(text, status=status, headers={"Cache-Control": "no-store"})


def _title(status: int) -> str:
    return {
        403: _("This is not allowed"),
        404: _("There is no such page"),
        409: _("This cannot be done now"),
        429: _("Too many requests"),
        503: _("This is not available now"),
    }.get(status, _("This did not work"))


def _not_allowed() -> str:
    return _("Your role does not allow this. Ask an administrator of the organization.")
