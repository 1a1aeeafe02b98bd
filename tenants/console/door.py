"""The console's door: one declaration says who may see a page, and what a refusal looks like.

A ``Page`` is a view whose handlers are made by ``page``, which names the capabilities that they
need; ``tenants.access`` judges them by the same table and binds the request to an organization with
the same wall as on ``/api/v1``. Refusals become pages of the house, or a redirect to where the way
goes on: signing in, accepting the terms, proving who one is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import structlog
from django.contrib import messages
from django.db import OperationalError
from django.forms import Form
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views import View

from tenants.access import tenancy, throttling
from tenants.access.authentication import Principal, Visitor
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.permissions import admit, require
from tenants.access.sessions import principal_of_session
from tenants.common import scope
from tenants.common.models import Row
from tenants.common.problems import Forbidden, NotFound, Problem
from tenants.console import frame, kept, refusals, signed_in, undoing
from tenants.console.frame import Frame
from tenants.console.undoing import Undo
from tenants.keys import tripwire
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, Workspace

log = structlog.get_logger(__name__)

#: Where the way goes on for whoever is refused with these codes.
_ONWARD: Mapping[str, str] = {
    "terms_not_accepted": "console-terms",
    "no_organization": "console-welcome",
    "reauthentication_required": "account_reauthenticate",
}
#: Where a sign-in is renewed: what was typed into a form waits meanwhile.
_RENEWING = frozenset({"account_login", "account_reauthenticate"})


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person, as a page's handler sees it.

    Attributes:
        request: Django's.
        principal: who, bound to an organization unless the page is about the person.
        frame: what stands around the page: organization, workspaces, ways to other pages.
    """

    request: HttpRequest
    principal: Principal
    frame: Frame | None

    @property
    def actor(self) -> Actor:
        """Who acts."""
        return self.principal.actor

    @property
    def visitor(self) -> Visitor:
        """The person."""
        if self.principal.visitor is None:
            raise not_found()
        return self.principal.visitor

    @property
    def here(self) -> Frame:
        """What stands around a page of an organization."""
        if self.frame is None:
            raise not_found()
        return self.frame

    @property
    def organization(self) -> Organization:
        """Where the page is."""
        return self.here.organization

    @property
    def workspace(self) -> Workspace:
        """The workspace that the address names or points into."""
        if self.here.workspace is None:
            raise not_found()
        return self.here.workspace

    def may(self, *scopes: str) -> bool:
        """Tell whether the person may do all of this, where the page is."""
        return set(scopes) <= self.principal.scopes

    def require(self, *scopes: str) -> None:
        """Refuse whoever may not.

        Raises:
            Forbidden: ``role_missing``.
        """
        require(self.principal, *scopes)

    def find[M: Row](self, model: type[M], row_id: UUID) -> M:
        """Fetch one row that the person may act on.

        Raises:
            NotFound: there is none here.
        """
        return tenancy.find(self.principal, model, row_id)

    def show(self, template: str, status: int = 200, **facts: Any) -> HttpResponse:
        """Answer a page, or a part of one."""
        context = {"visit": self, "frame": self.frame, **facts}
        kept.tell(self.request)
        return render(self.request, f"console/{template}.html", context, status=status)

    def go(self, name: str, **ids: UUID | str) -> HttpResponseRedirect:
        """Go on to another page (303: whatever was sent is not sent again)."""
        return see_other(reverse(name, kwargs=ids))

    def tell(self, sentence: str, way: Undo | None = None) -> None:
        """Say on the next page what has happened, with the way back if there is one."""
        if undoing.UNDOING in self.request.POST:
            sentence = _("It is as it was before.")
        elif way is not None:
            undoing.keep(self.request, way)
        messages.success(self.request, sentence)

    def warn(self, sentence: str) -> None:
        """Say on the next page what should be known although it worked."""
        messages.warning(self.request, sentence)

    def screened(self, form: Form) -> dict[str, Any]:
        """Give what a valid form says, without secrets that were pasted in the wrong place."""
        owner = self.principal.organization_id
        return tripwire.screen_members(dict(form.cleaned_data), whose=lambda: owner)


type Handler = Callable[..., HttpResponseBase]


def page(
    *scopes: TokenScope, is_personal: bool = False, is_dangerous: bool = False
) -> Callable[[Handler], Handler]:
    """Declare a handler ``(view, visit, **ids) -> response`` of a ``Page``.

    Args:
        scopes: all of these capabilities are needed.
        is_personal: about the person who is signed in, in whatever organization.
        is_dangerous: the person has to have proved within minutes who it is.
    """

    def decorate(handler: Handler) -> Handler:
        declared: Any = handler
        declared.scopes = frozenset(scopes)
        declared.is_personal = is_personal
        declared.is_dangerous = is_dangerous
        return handler

    return decorate


class Page(View):
    """A view whose handlers are declared by ``page``; one that is not lets nobody in."""

    http_method_names = ("get", "head", "post")

    def dispatch(self, request: HttpRequest, *args: Any, **ids: Any) -> HttpResponseBase:
        """Answer within a confinement of its own."""
        with scope.confinement():
            try:
                response = self._answer(request, ids)
            except Problem as problem:
                response = _refused(request, problem)
            except OperationalError as error:  # the database is away, or restarts
                log.warning("database_away", error=type(error).__name__, what="console")
                response = refusals.unavailable(request)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _answer(self, request: HttpRequest, ids: dict[str, Any]) -> HttpResponseBase:
        method = (request.method or "").lower()
        handler = getattr(self, method, None) if method in self.http_method_names else None
        principal = principal_of_session(request)
        if handler is None:
            allowed = [name for name in self.http_method_names if hasattr(self, name)]
            visit = _merely_inside(request, principal, ids) if principal else None
            return refusals.method_not_allowed(request, allowed, _around(visit))
        if any("\0" in one for _name, values in request.GET.lists() for one in values):
            # No text of PostgreSQL's has it, so nothing can be found by it.
            return refusals.bad_request(request, ValueError("a null character"))
        scopes: frozenset[str] | None = getattr(handler, "scopes", None)
        if principal is None:
            return _sign_in(request)
        signed_in.note_use(request)
        if scopes is None:
            raise not_found()
        is_personal = handler.is_personal
        try:
            bound = admit(
                principal,
                scopes,
                lambda: ids,
                is_personal=is_personal,
                is_dangerous=handler.is_dangerous,
            )
        except Forbidden as refusal:
            visit = None if is_personal else _merely_inside(request, principal, ids)
            return _refused(request, refusal, visit)
        throttling.count(bound).require()
        around = None if is_personal else frame.build(request, bound, ids)
        visit = Visit(request, bound, around)
        try:
            return kept.at_hand(request, partial(handler, visit, **ids))
        except Problem as problem:
            return _refused(request, problem, visit)


def see_other(address: str) -> HttpResponseRedirect:
    """Redirect so that the next request is a GET, whatever this one was."""
    response = HttpResponseRedirect(address)
    response.status_code = 303
    return response


def _sign_in(request: HttpRequest) -> HttpResponseBase:
    return _onward(request, "account_login")


def _onward(request: HttpRequest, name: str) -> HttpResponseBase:
    """Send a person somewhere first, and back here afterwards."""
    back = request.get_full_path() if request.method in {"GET", "HEAD"} else _referring(request)
    response = see_other(f"{reverse(name)}?{urlencode({'next': back})}")
    if request.method == "POST" and name in _RENEWING:
        kept.keep(request, back)
    if "HX-Request" in request.headers:
        # A part of a page cannot be replaced by another page: have the browser load that one.
        shown = urlsplit(request.headers.get("HX-Current-URL", ""))
        back = f"{shown.path}?{shown.query}" if shown.query else shown.path or "/"
        answer = HttpResponse(status=204)
        over = {"over": "yes"} if name == "account_login" else {}
        answer["HX-Redirect"] = f"{reverse(name)}?{urlencode({'next': back, **over})}"
        return answer
    return response


def _referring(request: HttpRequest) -> str:
    """Name the page that a form stands on.

    By our convention it is its own address, or stands in ``from``; where there is no such page, it
    is the one that the browser says it comes from.
    """
    said = request.POST.get("from", "")
    if said.startswith("/") and not said.startswith("//"):
        return said
    match = request.resolver_match
    if match is None or hasattr(getattr(match.func, "view_class", None), "get"):
        return request.path
    came = urlsplit(request.headers.get("Referer", ""))
    return came.path if came.netloc == request.get_host() and came.path else "/"


def _merely_inside(
    request: HttpRequest, principal: Principal, ids: Mapping[str, Any]
) -> Visit | None:
    """Find where somebody is who may not see a page; None for whoever is no member there."""
    if not any(isinstance(one, UUID) for one in ids.values()):
        return None
    try:
        bound = admit(principal, frozenset(), lambda: ids)
    except Problem:
        return None
    return Visit(request, bound, frame.build(request, bound, ids))


def _refused(
    request: HttpRequest, problem: Problem, visit: Visit | None = None
) -> HttpResponseBase:
    """Send a person where the way goes on, or tell the problem, with what stands around the page.

    Args:
        request: what was asked.
        problem: why not.
        visit: of a member, as far as it got; None outside of an organization.
    """
    onward = _ONWARD.get(problem.code) if isinstance(problem, Forbidden) else None
    if onward is not None:
        return _onward(request, onward)
    if isinstance(problem, NotFound):
        return refusals.not_found_page(request, _around(visit))
    return refusals.problem_page(request, problem, _around(visit))


def _around(visit: Visit | None) -> dict[str, Any]:
    return {"visit": visit, "frame": visit.frame} if visit and visit.frame else {}
