"""Passkeys on our pages: add, name, remove, sign in and prove who one is; allauth's own flows.

What the browser has to say to the device is in ``passkeys.js``; these pages carry the options that
it needs. A passkey here always lives on the device and asks for a finger, a face or a PIN, so that
it signs in by itself: it is never only a second factor.
"""

from typing import Any

from allauth.account.utils import passthrough_next_redirect_url
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import views as webauthn
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseRedirect
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext as _

from tenants.access.passkeys import AddForm, ConfirmForm, LoginForm, RenameForm
from tenants.console.accounts import METHODS, Unkept
from tenants.console.door import Page, Visit, page


class AddPasskey(Unkept, webauthn.AddWebAuthnView):  # type: ignore[misc]
    """``/security/passkeys/new``."""

    http_method_names = METHODS
    template_name = "console/account/add_passkey.html"
    form_class = AddForm

    def get_success_url(self) -> str:
        """Show the recovery codes that came with the first one; else the list."""
        if self.did_generate_recovery_codes:
            return reverse("mfa_view_recovery_codes")
        return reverse("mfa_list_webauthn")

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Show a form that comes back as it is."""
        facts: dict[str, Any] = super().get_context_data()
        return facts | kwargs

    def form_valid(self, form: Any) -> HttpResponse:
        """Keep it, and say so."""
        response: HttpResponse = super().form_valid(form)
        messages.success(self.request, _("The passkey was added."))
        return response


class RenamePasskey(Unkept, webauthn.EditWebAuthnView):  # type: ignore[misc]
    """``/security/passkeys/<pk>/rename``."""

    http_method_names = METHODS
    template_name = "console/account/rename_passkey.html"
    form_class = RenameForm


class RemovePasskey(Unkept, webauthn.RemoveWebAuthnView):  # type: ignore[misc]
    """``/security/passkeys/<pk>/remove``."""

    http_method_names = METHODS
    template_name = "console/account/remove_passkey.html"
    success_url = reverse_lazy("mfa_list_webauthn")

    def form_valid(self, form: Any) -> HttpResponse:
        """Remove it, and say so."""
        response: HttpResponse = super().form_valid(form)
        messages.success(self.request, _("The passkey was removed."))
        return response


class SignInByPasskey(Unkept, webauthn.LoginWebAuthnView):  # type: ignore[misc]
    """``/sign-in/passkey``: asked for its options by the script, then sent the device's answer."""

    http_method_names = METHODS
    form_class = LoginForm

    def form_invalid(self, form: Any) -> HttpResponse:
        """Go back to signing in, and say why."""
        messages.error(self.request, _refusal())
        return _onward(self.request, reverse("account_login"))


class ConfirmByPasskey(Unkept, webauthn.ReauthenticateWebAuthnView):  # type: ignore[misc]
    """``/confirm/passkey``: prove it by a passkey."""

    http_method_names = METHODS
    template_name = "console/account/confirm_passkey.html"
    form_class = ConfirmForm

    def form_invalid(self, form: Any) -> HttpResponse:
        """Ask again, and say why."""
        messages.error(self.request, _refusal())
        return _onward(self.request, self.request.path)


class Passkeys(Page):
    """``/security/passkeys``."""

    @page(is_personal=True)
    def get(self, visit: Visit) -> HttpResponse:
        """List them, newest first."""
        rows = Authenticator.objects.filter(
            user=visit.visitor.person, type=Authenticator.Type.WEBAUTHN
        )
        return visit.show("account/passkeys", passkeys=rows.order_by("-pk"))


def _onward(request: HttpRequest, address: str) -> HttpResponseRedirect:
    """Go somewhere, with where the way goes on afterwards."""
    onward: str = passthrough_next_redirect_url(request, address, REDIRECT_FIELD_NAME)
    return HttpResponseRedirect(onward)


def _refusal() -> str:
    return _("This passkey was not accepted. Try again, or use another way.")
