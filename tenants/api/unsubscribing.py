"""The page that a mail's unsubscribe link leads to, and what mail programs post there (RFC 8058).

It needs no login: the link is signed. Looking at it changes nothing, because programs that check
mail for harm follow every link in it.
"""

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils import translation
from django.utils.translation import gettext as _
from django.views.decorators.csrf import csrf_exempt

from tenants.access.errors import read_only
from tenants.notices import muting, services
from tenants.notices.kinds import KINDS
from tenants.notices.muting import Muting

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'"


@csrf_exempt
def unsubscribe(request: HttpRequest, token: str) -> HttpResponseBase:
    """``/unsubscribe/{token}``: ask on GET, do it on POST."""
    if request.method != "POST":
        return _ask(request, token)
    found = muting.read(token)
    if found is None:
        return _unknown(request)
    services.mute_by_link(muting=found)
    with translation.override(found.member.person.locale):
        return _page(request, _("You get no more of these messages"), _about(found))


@read_only
def _ask(request: HttpRequest, token: str) -> HttpResponseBase:
    found = muting.read(token)
    if found is None:
        return _unknown(request)
    with translation.override(found.member.person.locale):
        title = _("Get no more of these messages?")
        return _page(request, title, _about(found), button=_("Unsubscribe"))


def _about(found: Muting) -> str:
    words = {"kind": KINDS[found.kind].meaning, "organization": found.member.organization.name}
    return _("“%(kind)s” in %(organization)s. Other messages still come.") % words


def _unknown(request: HttpRequest) -> HttpResponse:
    title = _("This link does not work (any more)")
    return _page(request, title, _("It may be older than ninety days, or cut off."), status=404)


def _page(
    request: HttpRequest, title: str, text: str, *, button: str = "", status: int = 200
) -> HttpResponse:
    facts = {
        "title": title,
        "text": text,
        "button": button,
        "language": translation.get_language(),
    }
    response = render(request, "api/unsubscribe.html", facts, status=status)
    response["Content-Security-Policy"] = _POLICY
    response["Cache-Control"] = "no-store"
    return response
