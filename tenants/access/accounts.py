"""How people sign up and in: our rules, where django-allauth asks for them.

allauth owns the flows (docs/people.md): verification by code, passwords, passkeys, one-time codes,
sessions, limits. Here it is told what an address is, what is said in mail, which facts a sign-up
takes, and that a verified founder gets an organization.
"""

from collections.abc import Mapping
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.models import EmailAddress
from allauth.headless.adapter import DefaultHeadlessAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.common.text import normalise_email, normalise_name
from tenants.organizations import joining
from tenants.people import letters, mail, second_factors
from tenants.people.models import Person
from tenants.people.services import TERMS_VERSION, accept_terms

_LOCALES = [("it", "it"), ("en", "en")]


class NameField(forms.CharField):
    """A name by the one rule for names."""

    def clean(self, value: Any) -> str:
        """Normalise it."""
        text: str = super().clean(value)
        name = normalise_name(text)
        if name is None and text.strip():
            raise ValidationError(_("Must not contain invisible characters."), "hidden_character")
        if self.required and not name:
            raise ValidationError(self.error_messages["required"], "required")
        return name or ""


class SignupFacts(forms.Form):
    """What a sign-up takes beside address and password."""

    name = NameField(max_length=120)
    terms = forms.CharField(max_length=32)
    organization = NameField(max_length=120, required=False)
    locale = forms.ChoiceField(choices=_LOCALES, required=False)

    def clean_terms(self) -> str:
        """Take the version in force only.

        Raises:
            ValidationError: another one.
        """
        version: str = self.cleaned_data["terms"]
        if version != TERMS_VERSION:
            detail = _("These are not the terms in force. Read and accept version %(version)s.")
            raise ValidationError(detail % {"version": TERMS_VERSION}, "terms_version")
        return version

    def signup(self, request: HttpRequest, user: Person) -> None:
        """Keep them with the new person; the organization waits for the verified address."""
        user.name = self.cleaned_data["name"]
        user.founding = self.cleaned_data["organization"]
        user.locale = self.cleaned_data["locale"] or (translation.get_language() or "it")[:2]
        user.save(update_fields=["name", "founding", "locale"])
        accept_terms(person=user, version=self.cleaned_data["terms"])


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # it comes without types
    """What allauth asks about accounts."""

    def clean_email(self, email: str) -> str:
        """Bring an address into its one spelling.

        Raises:
            ValidationError: it is none.
        """
        address = normalise_email(email)
        if address is None:
            detail = _(
                "This is not an e-mail address. Before the @ only plain letters and digits work."
            )
            raise ValidationError(detail, "email_invalid")
        return address

    def authenticate(self, request: HttpRequest, **credentials: Any) -> Any:
        """Look for the one spelling of whatever was typed."""
        typed = credentials.get("email")
        if typed is not None:
            credentials["email"] = normalise_email(typed) or typed
        return super().authenticate(request, **credentials)

    def confirm_email(self, request: HttpRequest, email_address: EmailAddress) -> bool:
        """Verify an address, and make the organization that waited for it."""
        confirmed: bool = super().confirm_email(request, email_address)
        if confirmed:
            joining.found_waiting(email_address.user)
        return confirmed

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """Name what a person can prove with who they are; whoever has nothing chooses a password.

        That is no proof: it leads to the form that mails the link.
        """
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if methods or not user.is_authenticated:
            return methods
        way = reverse("account_reset_password")
        return [{"id": "set_password", "description": _("Choose a new password"), "url": way}]

    def add_message(self, *_args: Any, **_kwargs: Any) -> None:
        """Say nothing on allauth's behalf: our pages say what has happened."""

    def send_account_already_exists_mail(self, email: str) -> None:
        """Say so by mail only, after as much work as a sign-up that goes on."""
        Person().set_password("as costly as a new account's")
        super().send_account_already_exists_mail(email)

    def send_mail(self, template_prefix: str, email: str, context: Mapping[str, Any]) -> None:
        """Write the letter in the reader's language and hand it over."""
        reader = Person.objects.filter(email=normalise_email(email)).first()
        locale = reader.locale if reader else translation.get_language()
        facts = dict(context) | {
            "account": email,
            "link": settings.HEADLESS_FRONTEND_URLS["account_confirm_email"].format(
                key=context.get("code", "")
            ),
            "reset_link": settings.HEADLESS_FRONTEND_URLS["account_reset_password"],
        }
        with translation.override(locale):
            letter = letters.write(template_prefix, facts)
        mail.send(letter, to=email, purpose=template_prefix)


class HeadlessAdapter(DefaultHeadlessAdapter):  # type: ignore[misc]  # it comes without types
    """What allauth's answers say of a person."""

    def serialize_user(self, user: Any) -> dict[str, Any]:
        """Say no more than whose session it is; `/api/v1/me` says the rest."""
        return {"id": str(user.pk), "display": user.called, "email": user.email}


class SecondFactorAdapter(DefaultMFAAdapter):  # type: ignore[misc]  # it comes without types
    """What allauth asks about passkeys and one-time codes."""

    error_messages = DefaultMFAAdapter.error_messages | {
        "incorrect_code": gettext_lazy("This code is not right, or its time is over."),
    }

    def generate_authenticator_name(self, user: Any, type: Any) -> str:  # noqa: A002 - its own word
        """Name a passkey that was given no name; allauth would call it by a word for keys."""
        before: int = Authenticator.objects.filter(user_id=user.pk, type=type).count()
        return _("Passkey %(number)d") % {"number": before + 1}

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        """Name whom a passkey is for: the host that people know, by our name."""
        facts: dict[str, str] = super().get_public_key_credential_rp_entity()
        return facts | {"name": settings.MFA_TOTP_ISSUER}

    def encrypt(self, text: str) -> str:
        """Seal a secret before it is stored."""
        return second_factors.seal(text)

    def decrypt(self, encrypted_text: str) -> str:
        """Open a stored secret."""
        return second_factors.unseal(encrypted_text)
