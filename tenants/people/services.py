"""Verbs on people: none of them knows an organization. What is done is logged, by id."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import structlog
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from tenants.common.prepared import Prepared
from tenants.common.problems import Conflict, Invalid
from tenants.common.text import normalise_email
from tenants.people.models import Person, TermsAcceptance

#: The version of the terms that is in force; a new one has everybody asked again.
TERMS_VERSION = "2026-11"

log = structlog.get_logger(__name__)

#: Every request of a session asks.
_ACCEPTED = Prepared(
    lambda person_id, version: TermsAcceptance.objects.filter(
        person_id=person_id, version=version
    ).values_list("pk"),
    *(UUID, str),
)


def accept_terms(*, person: Person, version: str) -> None:
    """Keep that a person accepted the terms in force; accepting twice changes nothing.

    Raises:
        Invalid: ``terms_version``: not the version in force.
    """
    if version != TERMS_VERSION:
        detail = _("These are not the terms in force. Read and accept version %(version)s.")
        raise Invalid.field("/version", "terms_version", detail % {"version": TERMS_VERSION})
    made = TermsAcceptance(person=person, version=version)
    TermsAcceptance.objects.bulk_create([made], ignore_conflicts=True)
    log.info("terms_accepted", person_id=str(person.pk), version=version)


def has_accepted_terms(person: Person) -> bool:
    """Tell whether a person accepted the terms in force."""
    return bool(_ACCEPTED.ask(person.pk, TERMS_VERSION))


def update_person(*, person: Person, changes: Mapping[str, str]) -> Person:
    """Change name or language."""
    changed = sorted(
        name
        for name in {"name", "locale"} & changes.keys()
        if getattr(person, name) != changes[name]
    )
    for name in changed:
        setattr(person, name, changes[name])
    if changed:
        person.save(update_fields=changed)
    return person


def verified_addresses(person: Person) -> list[str]:
    """List the addresses that a person has proved to read."""
    rows = EmailAddress.objects.filter(user_id=person.pk, verified=True).order_by("pk")
    return list(rows.values_list("email", flat=True))


def has_second_factor(person: Person) -> bool:
    """Tell whether signing in asks for more than the password; recovery codes alone do not."""
    rows = Authenticator.objects.filter(user_id=person.pk)
    found: bool = rows.exclude(type=Authenticator.Type.RECOVERY_CODES).exists()
    return found


def used_second_factor_since(person: Person, at: datetime) -> bool:
    """Tell whether an app, a passkey or a recovery code was used or added since an instant."""
    rows = Authenticator.objects.filter(user_id=person.pk)
    found: bool = rows.filter(Q(last_used_at__gt=at) | Q(created_at__gt=at)).exists()
    return found


def forget_second_factors(*, person: Person) -> None:
    """Forget apps, passkeys and recovery codes; password, address and sessions stay."""
    Authenticator.objects.filter(user_id=person.pk).delete()
    log.info("second_factors_forgotten", person_id=str(person.pk))


def create_staff(*, email: str, password: str, name: str = "") -> Person:
    """Make a member of the support staff: a login, and no standing access to any tenant.

    Raises:
        Conflict: ``person_exists``: somebody signs in with this address already.
        Invalid: ``email_invalid``.
    """
    person = _create(email=email, password=password, name=name, is_staff=True)
    log.info("staff_created", person_id=str(person.pk))
    return person


def create_person(*, email: str, password: str, name: str = "") -> Person:
    """Make a login whose address is taken to be verified: whoever asks for it vouches for that.

    Raises:
        Conflict: ``person_exists``: somebody signs in with this address already.
        Invalid: ``email_invalid``.
    """
    person = _create(email=email, password=password, name=name, is_staff=False)
    log.info("person_created", person_id=str(person.pk))
    return person


def _create(*, email: str, password: str, name: str, is_staff: bool) -> Person:
    if normalise_email(email) is None:
        raise email_invalid()
    try:
        with transaction.atomic():
            person = Person.objects.create_person(
                email=email, password=password, name=name, is_staff=is_staff
            )
            EmailAddress.objects.create(
                user=person, email=person.email, verified=True, primary=True
            )
    except IntegrityError:
        detail = _("Somebody already signs in with this address.")
        raise Conflict("person_exists", detail) from None
    return person


def email_invalid(pointer: str = "/email") -> Invalid:
    """Make the refusal of what is no address of e-mail."""
    detail = _("This is not an e-mail address. Before the @ only plain letters and digits work.")
    return Invalid.field(pointer, "email_invalid", detail)
