"""Language and looks: what every page is told, and how a person chooses them without a script."""

from typing import Any, Literal

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import get_language
from django.views import View

from tenants.console.door import see_other
from tenants.people.models import Person
from tenants.people.services import update_person

THEME_COOKIE = "aim_theme"
_THEMES = ("auto", "light", "dark")
_YEAR = 365 * 86_400


def looks(request: HttpRequest) -> dict[str, Any]:
    """Tell templates which language and theme are chosen: a context processor."""
    theme = request.COOKIES.get(THEME_COOKIE, "auto")
    return {
        "theme": theme if theme in _THEMES else "auto",
        "themes": _THEMES,
        "language": (get_language() or "it")[:2],
        "languages": settings.LANGUAGES,
        "here": request.get_full_path(),
    }


def remember(response: HttpResponseBase, name: str, value: str) -> None:
    """Keep a choice in the browser, for a year; no script can read it."""
    same_site: Literal["Lax"] = "Lax"
    response.set_cookie(
        name,
        value,
        max_age=_YEAR,
        secure=settings.SESSION_COOKIE_SECURE,
        httponly=True,
        samesite=same_site,
    )


class Looks(View):
    """``/looks``: another language or theme, for everybody; kept with whoever is signed in."""

    http_method_names = ("post",)

    def post(self, request: HttpRequest) -> HttpResponse:
        """Keep what is one of the choices, and go back to where the person was."""
        back = request.POST.get("from", "/")
        is_ours = url_has_allowed_host_and_scheme(back, None) and back.startswith("/")
        response = see_other(back if is_ours else "/")
        language, theme = request.POST.get("language"), request.POST.get("theme")
        if language in dict(settings.LANGUAGES):
            remember(response, settings.LANGUAGE_COOKIE_NAME, language)
            if isinstance(request.user, Person):
                update_person(person=request.user, changes={"locale": language})
        if theme in _THEMES:
            remember(response, THEME_COOKIE, theme)
        return response
