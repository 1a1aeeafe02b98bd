"""What the desk calls states, roles and modes: the console's words, with the code small after them.

Staff write to people in the console's words, and look into logs and the API by the codes.
"""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from tenants.accounting.models import FigureSource, ReconciliationStatus
from tenants.keys.models import KeyStatus
from tenants.notices.kinds import KINDS
from tenants.notices.models import DeliveryStatus
from tenants.organizations import deeds, fields
from tenants.organizations.models import AuditEvent, OrganizationStatus
from tenants.organizations.roles import Role
from tenants.registry.models import PublicationStatus
from tenants.spend.calls import LimitMode, Outcome

type Words = Mapping[str, Promise]

ORGANIZATIONS: Words = {
    OrganizationStatus.ACTIVE: _("active"),
    OrganizationStatus.SUSPENDED: _("suspended"),
    OrganizationStatus.ERASED: _("erased"),
}
KEYS: Words = {
    KeyStatus.PENDING: _("checking"),
    KeyStatus.VALID: _("valid"),
    KeyStatus.INVALID: _("not valid"),
    KeyStatus.SUSPENDED: _("suspended"),
    KeyStatus.EXPIRED: _("expired"),
    KeyStatus.UNREACHABLE: _("not reachable"),
    KeyStatus.UNDECRYPTABLE: _("cannot be opened"),
    KeyStatus.REVOKED: _("revoked"),
}
ROLES: Words = {
    Role.ADMIN: _("Admin"),
    Role.BILLING: _("Billing"),
    Role.MEMBER: _("Member"),
}
OUTCOMES: Words = {
    Outcome.COMPLETED: _("answered by Mistral"),
    Outcome.REFUSED: _("refused by Mistral"),
    Outcome.FAILED: _("Mistral failed"),
    Outcome.DISCONNECTED: _("the caller went away"),
    Outcome.NOT_SENT: _("not sent to Mistral"),
    Outcome.UNKNOWN: _("ended with the process"),
}
MODES: Words = {
    LimitMode.ENFORCE: _("refuses calls"),
    LimitMode.SHADOW: _("only counts"),
}
DELIVERIES: Words = {
    DeliveryStatus.PENDING: _("to be delivered"),
    DeliveryStatus.DELIVERED: _("delivered"),
    DeliveryStatus.FAILED: _("not delivered"),
}
PUBLICATIONS: Words = {
    PublicationStatus.PENDING: _("to be published"),
    PublicationStatus.PUBLISHED: _("published"),
    PublicationStatus.CHANGED: _("changed in AIsuru"),
    PublicationStatus.DELETED: _("deleted in AIsuru"),
    PublicationStatus.FAILED: _("given up"),
    PublicationStatus.WITHDRAWN: _("withdrawn"),
}
RECONCILIATIONS: Words = {
    ReconciliationStatus.PENDING: _("being compared"),
    ReconciliationStatus.OPEN: _("compared"),
    ReconciliationStatus.CONFIRMED: _("confirmed"),
    ReconciliationStatus.FAILED: _("not compared"),
}
#: What the look-up was found by, as its functions in the database tell it.
MATCHES: Words = {
    "organization": _("organization"),
    "owner": _("address of the owner"),
    "member": _("member"),
    "invitation": _("invitation"),
    "workspace": _("workspace"),
    "key": _("key"),
    "check of a key": _("check of a key"),
    "model": _("model"),
    "token": _("token of the organization"),
    "model token": _("token of a model"),
    "hold": _("call that is going on"),
    "call": _("call"),
    "call at Mistral": _("call at Mistral"),
}
#: What the staff does outside of organizations, as the platform's log tells it.
PLATFORM: Words = {
    "attention.exported": _("saved as a table who needs attention"),
    "attention.viewed": _("looked at who needs attention"),
    "directory.asked": _("asked the directory for the name of an organization"),
    "lookup.made": _("looked up whose something is"),
    "role.given": _("gave somebody of the staff a role"),
}
#: Who acts, as the audit log tells it.
ACTORS: Words = {
    "person": _("person"),
    "organization": _("token of the organization"),
    "platform": _("token of the platform"),
    "staff": _("support staff"),
    "worker": _("the system"),
    "command": _("operator"),
}
SOURCES: Words = {
    FigureSource.MISTRAL_ADMIN_API: _("Mistral's Admin API"),
    FigureSource.MANUAL: _("typed in"),
    FigureSource.AISURU: _("AIsuru"),
}


def told(words: Words, code: str) -> SafeString:
    """Say a code in words, and name it after them; a code without words stands alone."""
    return coded(str(words.get(code, code)), code)


def matches(codes: str) -> SafeString:
    """Say everything that something was found by."""
    each = dict.fromkeys(codes.split(", "))
    return format_html_join(", ", "{}", ((told(MATCHES, one),) for one in each))


def deed(verb: str) -> SafeString:
    """Say what was done, without names, and its verb."""
    return coded(deeds.said(verb), verb)


def thing(event: AuditEvent) -> SafeString:
    """Say what something was done to, as the filter has it, then its row; names are not shown."""
    said = told(deeds.NOUNS, event.verb.partition(".")[0])
    return format_html("{} · {} {}", said, event.target_kind, event.target_id)


def changed(event: AuditEvent) -> SafeString:
    """Say what an event has changed; what has no words, as steps and ids, is named by its code."""
    called: Words = {} if event.verb.startswith("onboarding.") else fields.LABELS
    if event.verb == "member.notices_chosen":
        called = {kind: one.meaning for kind, one in KINDS.items()}
    return format_html_join(", ", "{}", ((told(called, one),) for one in event.changed))


def platform_deed(verb: str) -> SafeString:
    """Say what was done outside of organizations, and its verb."""
    return told(PLATFORM, verb)


def coded(word: str, code: str) -> SafeString:
    """Write a code small after its word; alone where it has none."""
    if word == code:
        return format_html("{}", code)
    return format_html('{} <small class="desk-code">({})</small>', word, code)


def menu(words: Words) -> list[tuple[str, str]]:
    """Offer codes for a filter, as words with the code after them."""
    return [(str(code), f"{word} ({code})") for code, word in words.items()]


def nouns() -> list[tuple[str, str]]:
    """Offer what can have been done to something, by what that is."""
    return [(noun, f"{word} ({noun})") for noun, word in deeds.nouns()]


def verbs() -> list[tuple[str, list[tuple[str, str]]]]:
    """Offer everything that can have been done, in groups by what it was done to."""
    return [
        (word, [(verb, f"{deeds.said(verb)} ({verb})") for verb in deeds.verbs_of(noun)])
        for noun, word in deeds.nouns()
    ]
