"""What we write to people about their own login, in their language; one purpose each."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tenants.common.days import say_instant
from tenants.people.mail import Button, Letter

type _Writer = Callable[[Mapping[str, Any]], Letter]


def _confirm(facts: Mapping[str, Any]) -> Letter:
    code = facts["code"]
    return Letter(
        _("%(code)s is your code") % {"code": code},
        (_("Enter this code to confirm your e-mail address: %(code)s") % {"code": code},),
        Button(_("Confirm the address in the same browser"), facts["link"]),
        small=(_("It works for fifteen minutes. If you asked for nothing, ignore this message."),),
    )


def _reset(facts: Mapping[str, Any]) -> Letter:
    return Letter(
        _("Choose a new password"),
        (_("Somebody, probably you, asked for a new password for this address."),),
        Button(_("Choose a new password"), facts["password_reset_url"]),
        small=(_("If you did not ask for it, ignore this message: your password stays as it is."),),
    )


def _already_there(facts: Mapping[str, Any]) -> Letter:
    return Letter(
        _("You already have an account"),
        (
            _("Somebody, probably you, tried to sign up with this address, which has an account."),
            _("If you forgot the password, choose a new one."),
        ),
        Button(_("Choose a new password"), facts["password_reset_url"]),
    )


def _unknown(facts: Mapping[str, Any]) -> Letter:
    return Letter(
        _("There is no account with this address"),
        (
            _("Somebody asked for a new password for this address, which has no account here."),
            _("If it was you, try another address or sign up."),
        ),
        Button(_("Sign up"), facts["signup_url"]),
    )


_LETTERS: Mapping[str, _Writer] = {
    "account/email/email_confirmation": _confirm,
    "account/email/email_confirmation_signup": _confirm,
    "account/email/password_reset_key": _reset,
    "account/email/account_already_exists": _already_there,
    "account/email/unknown_account": _unknown,
}


def notices() -> Mapping[str, str]:
    """Name what is told after it happened, by allauth's name of it."""
    return {
        "account/email/password_changed": _("Your password was changed"),
        "account/email/password_set": _("A password was set"),
        "account/email/password_reset": _("Your password was reset"),
        "account/email/email_changed": _("Your e-mail address was changed"),
        "account/email/email_deleted": _("An e-mail address was removed"),
        "account/email/email_confirm": _("An e-mail address was confirmed"),
        "mfa/email/totp_activated": _("An authenticator app was added"),
        "mfa/email/totp_deactivated": _("The authenticator app was removed"),
        "mfa/email/webauthn_added": _("A passkey was added"),
        "mfa/email/webauthn_removed": _("A passkey was removed"),
        "mfa/email/recovery_codes_generated": _("New recovery codes were made"),
    }


def write(kind: str, facts: Mapping[str, Any]) -> Letter:
    """Write a letter.

    Args:
        kind: allauth's name of it.
        facts: what it is about; ``reset_link`` leads to the page that sets a new password, and
            ``account`` is the address that the letter goes to. The rest is allauth's.
    """
    language = get_language() or ""
    if kind in _LETTERS:
        return replace(_LETTERS[kind](facts), language=language)
    what = notices().get(kind, _("Something changed in how you sign in"))
    return Letter(
        what,
        (
            _("This happened on your account just now: %(what)s.") % {"what": what},
            _("If it was not you, choose a new password at once."),
        ),
        Button(_("Choose a new password"), facts["reset_link"]),
        _surroundings(facts),
        language=language,
    )


def _surroundings(facts: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Say whose account it is, which addresses it is about, when it was and where from."""
    at = facts.get("timestamp")
    named = (
        (_("Account"), facts.get("account", "")),
        (_("Address before"), facts.get("from_email", "")),
        (_("Address now"), facts.get("to_email", "")),
        (_("Removed address"), facts.get("deleted_email", "")),
        (_("When"), say_instant(at) if at else ""),
        (_("From the network address"), facts.get("ip", "")),
    )
    return tuple((name, value) for name, value in named if value)
