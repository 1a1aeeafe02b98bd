"""Letters about who and what gets in: members, tokens, webhooks."""

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from tenants.common.tokens import TokenKind
from tenants.notices.models import DisabledReason
from tenants.notices.telling import Told, page
from tenants.organizations.roles import role_name
from tenants.people.mail import Button, Letter


def joined(told: Told) -> Letter:
    """Say who is a member now."""
    words = {"name": told.data.get("name", ""), "organization": told.organization.name}
    return _letter(
        told,
        "console-members",
        _("Open the members"),
        _("%(name)s is now a member of %(organization)s") % words,
        _("Somebody accepted an invitation, or was let in. There is nothing to do."),
        facts=(
            (_("Name"), words["name"]),
            (_("Role"), role_name(told.data.get("role", ""))),
        ),
    )


def requested(told: Told) -> Letter:
    """Say who asks to be let in."""
    words = {"name": told.data.get("name", ""), "organization": told.organization.name}
    return _letter(
        told,
        "console-members",
        _("Decide about the request"),
        _("%(name)s asks to join %(organization)s") % words,
        _("%(name)s has a verified address in one of the organization's domains.") % words,
        _("Nothing is open to them until an administrator approves the request."),
    )


def token_expiring(told: Told) -> Letter:
    """Say that a token of the organization ends soon."""
    days = int(told.data["days_left"])
    words = {"hint": told.data.get("hint", ""), "days": days}
    subject = _("Token %(hint)s ends within a day")
    if days:
        subject = ngettext(
            "Token %(hint)s ends in %(days)d day", "Token %(hint)s ends in %(days)d days", days
        )
    return _letter(
        told,
        "console-tokens",
        _("Open the tokens"),
        subject % words,
        _("It works until %(instant)s. Whatever uses it is refused from then on.")
        % {"instant": told.instant("expires_at")},
        _("Issue another one in time and give it to what uses this one. Then revoke this one."),
        facts=((_("Token"), f"{told.data.get('name', '')} ({words['hint']})"),),
    )


def token_leaked(told: Told) -> Letter:
    """Say that a token of ours was found."""
    kinds = {
        TokenKind.MODEL.value: _("A model's token"),
        TokenKind.ORGANIZATION.value: _("A token of an organization"),
        TokenKind.PLATFORM.value: _("A platform token"),
    }
    words = {
        "what": kinds.get(told.data.get("kind", ""), _("A token")),
        "last4": told.data.get("last4", ""),
    }
    where = _("%(what)s was in something that was sent to this service.")
    masked = _("The token was masked before it went on.")
    if not told.data.get("masked"):
        masked = _("The token was noticed too late to be masked.")
    return _letter(
        told,
        "console-tokens",
        _("Open the tokens"),
        _("Token …%(last4)s was found where it does not belong") % words,
        f"{where % words} {masked}",
        _("Whoever wrote it there knows the token. Replace it, and revoke the old one."),
    )


def webhook_disabled(told: Told) -> Letter:
    """Say that a webhook was switched off, and why."""
    words = {"host": told.data.get("host", "")}
    why = _("For days its endpoint took nothing, so nothing more is sent there.")
    if told.data.get("reason") == DisabledReason.GONE:
        why = _("Its endpoint answered that it wants nothing any more (410).")
    return _letter(
        told,
        "console-hook",
        _("Open the webhook"),
        _("The webhook to %(host)s was switched off") % words,
        why,
        _(
            "When the endpoint works again, switch the webhook on: what was waiting is sent then."
            " What happens meanwhile is not sent to it."
        ),
        facts=((_("Description"), told.data.get("description", "")),),
        webhook_id=told.data.get("webhook_id", ""),
    )


def _letter(
    told: Told,
    place: str,
    label: str,
    subject: str,
    *paragraphs: str,
    facts: tuple[tuple[str, str], ...] = (),
    **ids: str,
) -> Letter:
    return Letter(
        subject,
        paragraphs,
        Button(label, page(place, organization_id=told.organization.pk, **ids)),
        told.facts(*facts),
        told.small(),
        get_language() or "",
    )
