"""What a device says of a passkey, as pages and programs send it; a made-up answer is a wrong one.

allauth reads these answers; what breaks its reading would be a failure of ours otherwise.
"""

from typing import Any

from allauth.headless.mfa import inputs, views
from allauth.mfa.adapter import get_adapter
from allauth.mfa.webauthn import forms as webauthn
from django import forms

from tenants.access.accounts import NameField

_LONGEST_NAME = 60
#: What reading a made-up answer of a device ends in.
_UNREADABLE = (ValueError, TypeError, AttributeError, LookupError, OverflowError)


class _Credential(forms.Form):
    """Takes what a device answered; what is no such answer is refused like a wrong one."""

    def full_clean(self) -> None:
        """Look at the members; a made-up answer may break in any of them."""
        try:
            super().full_clean()
        except _UNREADABLE:
            self.cleaned_data = {}
            self.add_error(None, get_adapter().validation_error("incorrect_code"))


class AddForm(_Credential, webauthn.AddWebAuthnForm):  # type: ignore[misc]  # no types
    """A new passkey and its name."""

    name = NameField(max_length=_LONGEST_NAME, required=False)
    field_order = ("name",)

    def clean(self) -> dict[str, Any]:
        """Insist on what makes a passkey of it."""
        self.cleaned_data["passwordless"] = True
        return super().clean() or {}


class RenameForm(webauthn.EditWebAuthnForm):  # type: ignore[misc]
    """Another name for a passkey."""

    name = NameField(max_length=_LONGEST_NAME)


class LoginForm(_Credential, webauthn.LoginWebAuthnForm):  # type: ignore[misc]
    """The answer of a device that signs somebody in."""


class ConfirmForm(_Credential, webauthn.ReauthenticateWebAuthnForm):  # type: ignore[misc]
    """The answer of a device that proves who somebody is."""


class AuthenticateByPasskeyForm(_Credential, webauthn.AuthenticateWebAuthnForm):  # type: ignore[misc]
    """The answer of a device after the password."""


class _Add(_Credential, inputs.AddWebAuthnInput):  # type: ignore[misc]
    name = NameField(max_length=_LONGEST_NAME, required=False)


class _Rename(inputs.UpdateWebAuthnInput):  # type: ignore[misc]
    name = NameField(max_length=_LONGEST_NAME)


class _Login(_Credential, inputs.LoginWebAuthnInput):  # type: ignore[misc]
    pass


class _Confirm(_Credential, inputs.ReauthenticateWebAuthnInput):  # type: ignore[misc]
    pass


class _Authenticate(_Credential, inputs.AuthenticateWebAuthnInput):  # type: ignore[misc]
    pass


class ManageView(views.ManageWebAuthnView):  # type: ignore[misc]
    """Programs' way to add, rename and remove passkeys."""

    input_class = views.ManageWebAuthnView.input_class | {"POST": _Add, "PUT": _Rename}


class LoginView(views.LoginWebAuthnView):  # type: ignore[misc]
    """Programs' way to sign in with one."""

    input_class = {"POST": _Login}


class ConfirmView(views.ReauthenticateWebAuthnView):  # type: ignore[misc]
    """Programs' way to prove by one who somebody is."""

    input_class = {"POST": _Confirm}


class AuthenticateView(views.AuthenticateWebAuthnView):  # type: ignore[misc]
    """Programs' way to use one after the password."""

    input_class = {"POST": _Authenticate}
