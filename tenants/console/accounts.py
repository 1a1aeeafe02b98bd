"""Signing up, in and out, and what keeps an account safe: django-allauth's own flows on our pages.

The pages are allauth's regular views with our templates, not a script over its headless interface:
they work without JavaScript, their forms are refused by the same rules and counted by the same
limits, and there is one implementation of each flow. Programs go on using ``/_allauth/``.
"""

import time
from http import HTTPStatus
from typing import Any

from allauth.account import app_settings
from allauth.account import views as account
from allauth.account.adapter import get_adapter
from allauth.account.internal.flows.email_verification_by_code import (
    EMAIL_VERIFICATION_CODE_SESSION_KEY,
)
from allauth.mfa.base import views as mfa
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.usersessions.views import ListUserSessionsView
from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse_lazy
from django.utils.translation import gettext as _
from django.views import View

from tenants.access import patience
from tenants.access.passkeys import AuthenticateByPasskeyForm
from tenants.common.problems import Problem
from tenants.common.text import normalise_email
from tenants.console import kept, refusals, signed_in
from tenants.console.door import Page, Visit, page, see_other
from tenants.organizations.invitations import open_for
from tenants.people.services import TERMS_VERSION, verified_addresses

_CODE_LASTS = app_settings.EMAIL_VERIFICATION_BY_CODE_TIMEOUT
METHODS = ("get", "head", "post")


class Unkept(View):
    """Keeps a page out of caches: it may show a secret, or how an account stands."""

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, and say so; a second factor that cannot be read is a page, too."""
        try:
            response = super().dispatch(request, *args, **kwargs)
        except Problem as problem:
            response = refusals.problem_page(request, problem)
        response.headers["Cache-Control"] = "no-store"
        return response


class Patient(Unkept):
    """A form that says how long to wait when it was tried too often, and keeps what was typed.

    allauth answers with a page of its own, or in the form without a time. Passwords are not kept:
    their fields are never written back.
    """

    #: What allauth counts here, by its names; and the field of what it counts it by.
    counted: tuple[str, ...] = ()
    counted_by = "email"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer; a form that came too often is shown again, with a time."""
        response = super().dispatch(request, *args, **kwargs)
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and request.method == "POST":
            return self._not_yet(self.get_form())  # type: ignore[attr-defined]
        return response

    def _not_yet(self, form: Any) -> HttpResponse:
        request: HttpRequest = self.request
        key = request.POST.get(self.counted_by, "").strip().lower()
        seconds = max(
            1,
            *(patience.seconds_left(request, one, self._key(one, key)) for one in self.counted),
        )
        form.is_valid()
        form.errors.clear()
        form.add_error(None, patience.too_often(seconds))
        view: Any = self
        response: HttpResponse = view.render_to_response(view.get_context_data(form=form))
        response.render()  # type: ignore[attr-defined]
        response.status_code = HTTPStatus.TOO_MANY_REQUESTS
        response.headers["Retry-After"] = str(seconds)
        response.headers["Cache-Control"] = "no-store"
        return response

    def _key(self, action: str, typed: str) -> str:
        if action != "login_failed":
            return typed
        spelled = normalise_email(typed) or typed
        key: str = get_adapter()._get_login_attempts_cache_key(self.request, email=spelled)  # noqa: SLF001 - it has no other name
        return key


class SignIn(Patient, account.LoginView):  # type: ignore[misc]  # it comes without types
    """``/sign-in``."""

    http_method_names = METHODS
    template_name = "console/account/sign_in.html"
    counted = ("login", "login_failed", "confirm_email")
    counted_by = "login"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Say why one is here, where a form or a page asked after the end of the session."""
        facts: dict[str, Any] = super().get_context_data(**kwargs)
        back = facts.get("redirect_field_value") or ""
        is_over = "over" in self.request.GET
        return facts | {"waiting": kept.waits_for(self.request, back), "is_over": is_over}

    def form_invalid(self, form: Any) -> HttpResponse:
        """Show the form again; after too many wrong tries with the time to wait."""
        if form.has_error(NON_FIELD_ERRORS, "too_many_login_attempts"):
            return self._not_yet(form)
        response: HttpResponse = super().form_invalid(form)
        return response


class SignUp(Patient, account.SignupView):  # type: ignore[misc]
    """``/sign-up``."""

    http_method_names = METHODS
    template_name = "console/account/sign_up.html"
    counted = ("signup", "confirm_email")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Name the terms that are accepted by signing up."""
        facts: dict[str, Any] = super().get_context_data(**kwargs)
        return facts | {"terms_version": TERMS_VERSION}


class VerifyEmail(Unkept, account.ConfirmEmailVerificationCodeView):  # type: ignore[misc]
    """``/verify-email``: the code that came by mail, typed, or taken from the mail's link."""

    http_method_names = METHODS
    template_name = "console/account/verify_email.html"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer; where the code is gone, say why and how to get another."""
        before: Any = request.session.get(EMAIL_VERIFICATION_CODE_SESSION_KEY)
        response = super().dispatch(request, *args, **kwargs)
        is_gone = EMAIL_VERIFICATION_CODE_SESSION_KEY not in request.session
        if before and is_gone and request.user.is_anonymous:
            is_late = time.time() - before["at"] > _CODE_LASTS
            spent = _("The code is spent: it was typed wrong too often.")
            over = _("The code's time is over.")
            again = _("Sign in with the address and the password: another code is mailed then.")
            messages.warning(request, f"{over if is_late else spent} {again}")
        return response

    def get_initial(self) -> dict[str, Any]:
        """Take the code from the link."""
        return {**super().get_initial(), "code": self.request.GET.get("code", "")[:16]}


class SignOut(Unkept, account.LogoutView):  # type: ignore[misc]
    """``/sign-out``."""

    http_method_names = METHODS
    template_name = "console/account/sign_out.html"


class ForgotPassword(Unkept, account.PasswordResetView):  # type: ignore[misc]
    """``/reset-password``: have a link sent."""

    http_method_names = METHODS
    template_name = "console/account/forgot_password.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Tell whoever is signed in and never had a password why they are here."""
        facts: dict[str, Any] = super().get_context_data(**kwargs)
        person = self.request.user
        is_first = person.is_authenticated and not person.has_usable_password()
        return facts | {"is_first": is_first}


class ForgotPasswordSent(Unkept, account.PasswordResetDoneView):  # type: ignore[misc]
    """``/reset-password/sent``: the same words whether the address is known or not."""

    http_method_names = ("get", "head")
    template_name = "console/account/forgot_password_sent.html"


class NewPassword(Unkept, account.PasswordResetFromKeyView):  # type: ignore[misc]
    """``/reset-password/<key>``: the link that came by mail."""

    http_method_names = METHODS
    template_name = "console/account/new_password.html"


class NewPasswordSet(Unkept, account.PasswordResetFromKeyDoneView):  # type: ignore[misc]
    """``/reset-password/done``."""

    http_method_names = ("get", "head")
    template_name = "console/account/new_password_set.html"


class Inactive(Unkept, account.AccountInactiveView):  # type: ignore[misc]
    """``/inactive``: the account was deactivated."""

    http_method_names = ("get", "head")
    template_name = "console/account/inactive.html"


class Confirm(Unkept, account.ReauthenticateView):  # type: ignore[misc]
    """``/confirm``: prove by password that it is really you."""

    http_method_names = METHODS
    template_name = "console/account/confirm.html"


class ConfirmByCode(Unkept, mfa.ReauthenticateView):  # type: ignore[misc]
    """``/confirm/code``: prove it by the code of an authenticator app."""

    http_method_names = METHODS
    template_name = "console/account/confirm_code.html"


class SecondFactor(Unkept, mfa.AuthenticateView):  # type: ignore[misc]
    """``/sign-in/code``: the second factor, by a code or by a passkey."""

    http_method_names = METHODS
    template_name = "console/account/second_factor.html"
    webauthn_form_class = AuthenticateByPasskeyForm

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Tell what this person has."""
        facts: dict[str, Any] = super().get_context_data(**kwargs)
        rows = Authenticator.objects.filter(user=self.stage.login.user)
        return facts | {"kinds": set(rows.values_list("type", flat=True))}


class ChangePassword(Unkept, account.PasswordChangeView):  # type: ignore[misc]
    """``/security/password``."""

    http_method_names = METHODS
    template_name = "console/account/change_password.html"
    success_url = reverse_lazy("mfa_index")

    def form_valid(self, form: Any) -> HttpResponse:
        """Change it, and say so."""
        response: HttpResponse = super().form_valid(form)
        messages.success(self.request, _("The password was changed."))
        return response


class AddApp(Unkept, totp.ActivateTOTPView):  # type: ignore[misc]
    """``/security/app``: scan, type the code, done."""

    http_method_names = METHODS
    template_name = "console/account/add_app.html"


class RemoveApp(Unkept, totp.DeactivateTOTPView):  # type: ignore[misc]
    """``/security/app/remove``."""

    http_method_names = METHODS
    template_name = "console/account/remove_app.html"


class RecoveryCodes(Unkept, recovery_codes.ViewRecoveryCodesView):  # type: ignore[misc]
    """``/security/recovery-codes``."""

    http_method_names = ("get", "head")
    template_name = "console/account/recovery_codes.html"


class NewRecoveryCodes(Unkept, recovery_codes.GenerateRecoveryCodesView):  # type: ignore[misc]
    """``/security/recovery-codes/new``."""

    http_method_names = METHODS
    template_name = "console/account/new_recovery_codes.html"


class Sessions(Unkept, ListUserSessionsView):  # type: ignore[misc]
    """``/security/sessions``: end one, or all others; the list itself is on the security page."""

    http_method_names = ("post",)
    success_url = reverse_lazy("mfa_index")

    def form_valid(self, form: Any) -> HttpResponse:
        """End what the button named, and say so; this session ends by signing out only."""
        named = self.request.POST.get("session")
        if named is None:
            response: HttpResponse = super().form_valid(form)
            messages.success(self.request, _("All other sessions were ended."))
            return response
        if signed_in.end_one(self.request, named):
            messages.success(self.request, _("The session was ended."))
        return see_other(self.get_success_url())


class Security(Page):
    """``/security``: password, second factor, sessions."""

    @page(is_personal=True)
    def get(self, visit: Visit) -> HttpResponse:
        """Show how the account is kept safe, and where it is signed in."""
        person = visit.visitor.person
        kinds = set(Authenticator.objects.filter(user=person).values_list("type", flat=True))
        return visit.show(
            "account/security",
            person=person,
            addresses=verified_addresses(person),
            has_app=Authenticator.Type.TOTP in kinds,
            passkeys=Authenticator.objects.filter(
                user=person, type=Authenticator.Type.WEBAUTHN
            ).count(),
            has_codes=Authenticator.Type.RECOVERY_CODES in kinds,
            sessions=signed_in.sessions_of(person),
            invitations=open_for(person),
        )
