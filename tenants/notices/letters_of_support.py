"""The letter about the support staff: who came in, why, and by whose leave."""

from django.utils.translation import get_language
from django.utils.translation import gettext as _

from tenants.notices.telling import Told, page
from tenants.people.mail import Button, Letter


def session_opened(told: Told) -> Letter:
    """Say that somebody of the staff looks into the organization, whether they were let in or not.

    It is read from what was announced: a session may be over by the time it is told.
    """
    data = told.data
    words = {"organization": told.organization.name, "who": data.get("granted_by", "")}
    by_leave = _("%(who)s let the support staff in.") % words
    if data.get("broken_open"):
        by_leave = _(
            "Nobody in %(organization)s let them in: they used the emergency access, which is short"
            " and always told."
        )
        by_leave %= words
    depth = _("They can look, and change nothing.")
    if data.get("may_change"):
        depth = _("They can look, and act for you: check a key, send an invitation again.")
    return Letter(
        _("The support staff opened %(organization)s") % words,
        (
            by_leave,
            f"{depth} {_('No secret is ever shown to them.')}",
            _("Every page that they open is in the audit log, with a name."),
        ),
        Button(
            _("Open the organization"),
            page("console-overview", organization_id=told.organization.pk),
        ),
        told.facts(
            (_("Who"), data.get("staff", "")),
            (_("Reason"), data.get("reason", "")),
            (_("Ticket"), data.get("ticket", "")),
            (_("Until"), told.instant("ends_at")),
        ),
        told.small(),
        get_language() or "",
    )


def acted(told: Told) -> Letter:
    """Say what somebody of the staff did; the audit log has the rest."""
    words = {"organization": told.organization.name, "what": _what(told.data.get("verb", ""))}
    return Letter(
        _("The support staff acted in %(organization)s: %(what)s") % words,
        (
            *_more(told.data.get("verb", "")),
            _("Whoever did it had a session that may act; the audit log shows all of it."),
        ),
        Button(
            _("Open the organization"),
            page("console-overview", organization_id=told.organization.pk),
        ),
        told.facts(
            (_("Who"), told.data.get("staff", "")),
            (_("What"), words["what"]),
            (_("Reason"), told.data.get("reason", "")),
            (_("Ticket"), told.data.get("ticket", "")),
        ),
        told.small(),
        get_language() or "",
    )


def _more(verb: str) -> tuple[str, ...]:
    """Say what whoever is concerned can do about it."""
    if verb != "member.second_factor_reset_requested":
        return ()
    return (
        _(
            "Somebody told the support staff that a member has lost every second factor: app,"
            " passkeys and recovery codes. In a day at the earliest, and only if another person of"
            " the staff agrees, they are forgotten and the password alone signs in."
        ),
        _(
            "If it is you and you did not ask: sign in with your second factor, which ends it, or"
            " tell the support staff. An administrator can also remove the member."
        ),
    )


def _what(verb: str) -> str:
    return {
        "correction.requested": _("a correction of the spend was asked for"),
        "correction.posted": _("a correction of the spend was posted"),
        "correction.refused": _("a correction of the spend was refused"),
        "token.revoked": _("a token was revoked"),
        "token.rotated": _("a token was replaced"),
        "model.token_rotated": _("the token of a model was replaced"),
        "model.updated": _("a model was given another key"),
        "model.publish_requested": _("a model was published in AIsuru again"),
        "key.check_requested": _("a key was checked"),
        "invitation.sent_again": _("an invitation was sent again"),
        "webhook.delivery_replayed": _("an event was delivered to a webhook again"),
        "limit.extended": _("a limit was extended until a day"),
        "reconciliation.requested": _("a month was compared"),
        "support.holds_released": _("holds of ended processes were released"),
        "member.second_factor_reset_requested": _(
            "the second factors of a member are to be forgotten"
        ),
        "member.second_factor_reset": _("the second factors of a member were forgotten"),
        "member.second_factor_reset_refused": _(
            "the second factors of a member are not forgotten after all"
        ),
        "organization.suspended": _("the organization was suspended"),
        "organization.reactivated": _("the organization works again"),
    }.get(verb, verb)
