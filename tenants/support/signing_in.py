"""Signing in at the desk: password, then a second factor, always; without one, enrol it first.

Passwords, codes and the limits on trying them are allauth's. A session of the console that proved a
second factor or a passkey is let in as it is. Whoever is not of the staff is told what everybody is
told whose password is wrong.
"""

import base64
import time
from typing import Any

import structlog
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.login import record_authentication
from allauth.mfa.adapter import get_adapter as second_factors
from allauth.mfa.base.forms import AuthenticateForm
from allauth.mfa.base.internal.flows import post_authentication
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.totp.internal.auth import TOTP, clear_totp_secret
from django.contrib.auth import logout
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext as _

from tenants.common.text import normalise_email
from tenants.people.models import Person
from tenants.support import pages
from tenants.support.door import opened, staff_of
from tenants.support.forms import SignInForm, as_code
from tenants.support.pages import Section

_PENDING = "aim_staff_pending"
_PATIENCE = 300
_UNAUTHORISED = 401

log = structlog.get_logger(__name__)


def login(request: HttpRequest) -> HttpResponse:
    """Take address and password."""
    if staff_of(request) is not None:
        return HttpResponseRedirect(reverse("admin:index"))
    form = SignInForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        person = _authenticated(request, form)
        if person is not None:
            request.session.cycle_key()
            request.session[_PENDING] = {"id": str(person.pk), "at": time.time()}
            return HttpResponseRedirect(reverse("admin:second_factor"))
    return _page(request, _("Sign in"), form, "admin:login")


def second_factor(request: HttpRequest) -> HttpResponse:
    """Take the code of an authenticator app, or have one set up and proved."""
    person = _pending(request)
    if person is None:
        return HttpResponseRedirect(reverse("admin:login"))
    data = request.POST or None
    if second_factors().is_mfa_enabled(person):
        form = as_code(AuthenticateForm(data, user=person))
        if request.method == "POST" and form.is_valid():
            return _enter(request, person, form.authenticator)
        return _page(request, _("Second factor"), form, "admin:second_factor")
    enrolling = as_code(ActivateTOTPForm(data, user=person))
    if request.method == "POST" and enrolling.is_valid():
        made = TOTP.activate(person, enrolling.secret).instance
        clear_totp_secret(request)
        log.info("staff_second_factor_enrolled", person_id=str(person.pk))
        return _enter(request, person, made)
    return _enrolment(request, person, enrolling)


def leave(request: HttpRequest) -> HttpResponse:
    """Sign out; support sessions end by themselves or by their button."""
    logout(request)
    return HttpResponseRedirect(reverse("admin:login"))


def _authenticated(request: HttpRequest, form: SignInForm) -> Person | None:
    """Check the password; None, with the reason in the form, for all but the staff."""
    email = normalise_email(form.cleaned_data["email"]) or form.cleaned_data["email"]
    try:
        person = get_adapter().authenticate(
            request, email=email, password=form.cleaned_data["password"]
        )
    except ValidationError as refusal:
        form.add_error(None, refusal)
        return None
    if isinstance(person, Person) and person.is_staff and person.is_active:
        return person
    form.add_error(None, _("This address and password do not open the support desk."))
    return None


def _pending(request: HttpRequest) -> Person | None:
    pending: Any = request.session.get(_PENDING) or {}
    if pending.get("at", 0) < time.time() - _PATIENCE:
        return None
    return Person.objects.filter(pk=pending["id"], is_staff=True, is_active=True).first()


def _enter(request: HttpRequest, person: Person, authenticator: Any) -> HttpResponse:
    del request.session[_PENDING]
    get_adapter().login(request, person)
    record_authentication(request, person, method="password", email=person.email)
    post_authentication(request, authenticator)
    log.info("staff_signed_in", person_id=str(person.pk))
    return HttpResponseRedirect(reverse("admin:index"))


def _enrolment(request: HttpRequest, person: Person, form: Any) -> HttpResponse:
    """Show the secret of an app to be set up, to its owner and before it is worth anything."""
    adapter = second_factors()
    picture: str = adapter.build_totp_svg(adapter.build_totp_url(person, form.secret))
    encoded = base64.b64encode(picture.encode()).decode()
    section = Section(
        _("Set up a second factor"),
        _("Scan the picture with an authenticator app, or type the secret, then enter its code."),
        facts=[(_("Secret"), form.secret)],
        form=form,
        form_url=reverse("admin:second_factor"),
        form_label=_("Go on"),
    )
    more = {"picture": f"data:image/svg+xml;base64,{encoded}"}
    return pages.page(request, None, _("Support staff"), [section], more=more)


def _page(request: HttpRequest, title: str, form: Any, name: str) -> HttpResponse:
    section = Section(title, form=form, form_url=reverse(name), form_label=_("Go on"))
    status = _UNAUTHORISED if form.errors else 200
    return pages.page(request, None, _("Support staff"), [section], status=status)


LOGIN = opened(login, "GET", "POST")
SECOND_FACTOR = opened(second_factor, "GET", "POST")
LEAVE = opened(leave, "POST")
