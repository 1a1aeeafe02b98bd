"""Writes the letter about an announcement, in the reader's language; one purpose each.

The subject says the fact, the text what it means and what to do next, the button leads there.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace

from django.utils import translation
from django.utils.translation import gettext as _

from tenants.notices import (
    letters_of_keys,
    letters_of_models,
    letters_of_people,
    letters_of_spend,
    letters_of_support,
)
from tenants.notices.telling import Told
from tenants.organizations.models import Announcement, Organization
from tenants.people.mail import Button, Letter

_WRITERS: Mapping[str, Callable[[Told], Letter]] = {
    "key.validated": letters_of_keys.validated,
    "key.invalid": letters_of_keys.invalid,
    "key.replacement_refused": letters_of_keys.replacement_refused,
    "key.expiring": letters_of_keys.expiring,
    "key.leaked": letters_of_keys.leaked,
    "key.used_elsewhere": letters_of_keys.used_elsewhere,
    "token.expiring": letters_of_people.token_expiring,
    "token.leaked": letters_of_people.token_leaked,
    "model.retiring": letters_of_models.retiring,
    "alias.moved": letters_of_models.moved,
    "spend.threshold_reached": letters_of_spend.threshold_reached,
    "spend.limit_reached": letters_of_spend.limit_reached,
    "spend.limit_extended": letters_of_spend.limit_extended,
    "spend.limit_restored": letters_of_spend.limit_restored,
    "statement.closed": letters_of_spend.statement_closed,
    "member.joined": letters_of_people.joined,
    "member.requested": letters_of_people.requested,
    "support.session_opened": letters_of_support.session_opened,
    "support.helped": letters_of_support.acted,
    "support.acted": letters_of_support.acted,
    "webhook.disabled": letters_of_people.webhook_disabled,
}


def write(
    announcement: Announcement,
    organization: Organization,
    *,
    language: str,
    unsubscribe: str = "",
    is_owner: bool = False,
) -> Letter:
    """Write a letter, inside the organization's scope.

    Args:
        announcement: of a kind that has an audience.
        organization: whose it is.
        language: ``it`` or ``en``.
        unsubscribe: the link that mutes its kind for the reader, where that is possible.
        is_owner: it goes to the organization's own address, as nobody is a member yet.
    """
    with translation.override(language):
        told = replace(Told.about(announcement, organization), is_owner=is_owner)
        letter = _WRITERS[announcement.kind](told)
        if not unsubscribe:
            return letter
        label = _("Get no more messages of this kind")
        return replace(letter, unsubscribe=Button(label, unsubscribe))
