"""The service is being worked on: a page of the house for people, a problem for programs.

Inference callers notice nothing: the gateway runs ahead of Django. Probes and metrics go on too.
"""

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from tenants.console import refusals

_OPEN = ("/health/", "/metrics", "/static/", "/looks")


def maintenance_middleware(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Answer 503 to everything else while ``MAINTENANCE`` is on."""

    def answered(request: HttpRequest) -> HttpResponseBase:
        if settings.MAINTENANCE and not request.path.startswith(_OPEN):
            return refusals.unavailable(request)
        return get_response(request)

    return answered
