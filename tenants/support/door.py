"""Who gets in at ``/admin/``, and what every page there is wrapped in.

Only people of the staff with a role, signed in with a second factor within the last twelve hours.
Refusals are pages of their own; what was not foreseen is Django's 500, which says nothing.
"""

import time
from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any

from allauth.account.internal.flows.login import get_authentication_records
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.csp import CSP, build_policy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from tenants.access.requests import request_id
from tenants.assistance import visiting
from tenants.assistance.staff import Staff
from tenants.common.problems import Problem
from tenants.people.models import Person
from tenants.support import pages

#: A day's work: then sign in again.
LONGEST_DAY = 12 * 3600
_CACHE = "aim_staff"

#: Alpine evaluates what its attributes say, and unfold writes its colours into the page; no script
#: is inline, and nothing comes from elsewhere.
POLICY: Mapping[str, Collection[str]] = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF, CSP.UNSAFE_EVAL],
    "style-src": [CSP.SELF, CSP.UNSAFE_INLINE],
    "font-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "connect-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
_HEADER = build_policy(POLICY)

type View = Callable[..., HttpResponse]


def has_second_factor(request: HttpRequest) -> bool:
    """Tell whether this session proved a second factor, or a passkey, within a day's work."""
    oldest = time.time() - LONGEST_DAY
    return any(
        record.get("method") == "mfa" and record.get("at", 0) > oldest
        for record in get_authentication_records(request, request.user)
    )


def staff_of(request: HttpRequest) -> Staff | None:
    """Find who of the staff this is; None for everybody else, or without a second factor."""
    known: dict[str, Any] = vars(request)
    if _CACHE not in known:
        person = request.user
        found = None
        if isinstance(person, Person) and person.is_staff and has_second_factor(request):
            found = visiting.staff_of(person, request_id())
        known[_CACHE] = found
    staff: Staff | None = known[_CACHE]
    return staff


def closed(view: View, *methods: str) -> View:
    """Wrap a view of the desk: it gets ``(request, staff, …)``, and only the staff get it."""

    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        staff = staff_of(request)
        if staff is None:
            return HttpResponseRedirect(reverse("admin:login"))
        try:
            return view(request, staff, *args, **kwargs)
        except Problem as problem:
            return pages.refusal(request, staff, problem)

    return opened(wraps(view)(guarded), *methods)


def opened(view: View, *methods: str) -> View:
    """Wrap a view that anybody may get: it is never kept, framed or fed from elsewhere."""

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        try:
            response = view(request, *args, **kwargs)
        except Problem as problem:  # a second factor that cannot be read, or not now
            response = pages.refusal(request, None, problem)
        response["Content-Security-Policy"] = _HEADER
        return response

    allowed = require_http_methods([*(methods or ("GET",)), "HEAD"])
    made: View = never_cache(allowed(wrapped))
    return made
