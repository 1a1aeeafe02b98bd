"""Letters about Mistral keys."""

from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from tenants.keys import verdicts
from tenants.keys.models import KeyReplacement, KeyStatus, MistralKey
from tenants.keys.tripwire import Place
from tenants.keys.verdicts import Verdict
from tenants.notices.telling import Told, page
from tenants.organizations.models import Workspace
from tenants.people.mail import Button, Letter


def validated(told: Told) -> Letter:
    """Say that a key works again, and its models with it."""
    return _letter(
        told,
        _("API key …%(last4)s works again in %(where)s") % _words(told),
        _("Mistral accepts the key again, and its models answer calls. There is nothing to do."),
    )


def invalid(told: Told) -> Letter:
    """Say that a key stopped working, why, and what stopped with it."""
    status = told.data.get("status")
    verdict = _verdict(told)
    if status == KeyStatus.EXPIRED:
        subject = _("API key …%(last4)s has expired in %(where)s")
        what = _("The expiry date that was entered for this key is over.")
        then = _(
            "Create a new key in Mistral Studio and replace the secret of this one: its models"
            " follow."
        )
    elif status == KeyStatus.SUSPENDED:
        subject = _("API key …%(last4)s is suspended in %(where)s")
        what = _("Mistral knows the key, but does not serve it now.")
        then = _("Open the key to see the result of its last check and what to do.")
    elif status == KeyStatus.UNDECRYPTABLE:
        subject = _("API key …%(last4)s cannot be opened in %(where)s")
        what = _("The stored key cannot be decrypted. Nobody can read it, and nobody has.")
        then = _("Enter the same key once more as a new version: its models follow.")
    else:
        subject = _("API key …%(last4)s is no longer valid in %(where)s")
        what = _("Mistral does not accept this key any more.")
        then = _("Create a new key in Mistral Studio and replace the secret of this one.")
    if verdict is not None:
        what, then = verdict.detail, verdict.next_step
    return _letter(told, subject % _words(told), what, _stopped(told), then)


def replacement_refused(told: Told) -> Letter:
    """Say that the secret that waits to replace a key's is refused, and what that leads to."""
    subject = _("Replacement …%(new)s of API key …%(last4)s is refused in %(where)s")
    verdict = _waiting_verdict(told)
    return _letter(
        told,
        subject % (_words(told) | {"new": told.data.get("replacement_last4", "")}),
        verdict.detail if verdict else _("Mistral does not accept the new secret of this key."),
        _(
            "Calls go on with the present secret until %(instant)s. Then the new one takes over all"
            " the same."
        )
        % {"instant": told.instant("grace_ends_at")},
        _will_stop(told),
        _(
            "If the new secret was mistyped, replace it with the right one before then. To keep the"
            " present secret, enter it once more."
        ),
    )


def expiring(told: Told) -> Letter:
    """Say that a key's own date is near."""
    days = int(told.data["days_left"])
    subject = _("API key …%(last4)s expires today in %(where)s")
    if days:
        subject = ngettext(
            "API key …%(last4)s expires in %(days)d day in %(where)s",
            "API key …%(last4)s expires in %(days)d days in %(where)s",
            days,
        )
    return _letter(
        told,
        subject % (_words(told) | {"days": days}),
        _("Its expiry date is %(day)s. Afterwards it is not used any more.")
        % {"day": told.day("expires_on")},
        _will_stop(told),
        _(
            "Create a new key in Mistral Studio and replace the secret of this one: its models"
            " follow. If it goes on at Mistral, enter the later date here."
        ),
    )


def leaked(told: Told) -> Letter:
    """Say where a key was found."""
    places = {
        Place.PROMPT.value: _("The key was in a prompt that came through the gateway."),
        Place.ANSWER.value: _("The key was in an answer of a model."),
        Place.API.value: _("The key was in a request to this service, outside of its own field."),
    }
    masked = _("The key was masked before it went on.")
    if not told.data.get("masked"):
        masked = _("The key was noticed too late to be masked.")
    return _letter(
        told,
        _("API key …%(last4)s was found where it does not belong") % _words(told),
        f"{places.get(told.data.get('place', ''), places[Place.API.value])} {masked}",
        _("Whoever wrote it there knows the key, and others may."),
        _(
            "Create a new key in Mistral Studio, replace the secret of this one, and delete the"
            " old one at Mistral."
        ),
    )


def used_elsewhere(told: Told) -> Letter:
    """Say that Mistral bills calls that did not come through here."""
    amount = told.money("amount")
    facts = {"amount": amount, "month": told.month()}
    return Letter(
        _("Keys are used elsewhere: %(amount)s in %(month)s") % facts,
        (
            _(
                "Mistral bills %(amount)s for %(month)s that did not go through this service."
                " Spending limits here cannot hold such calls back."
            )
            % facts,
            _(
                "See who else has the keys. If it is nobody who should, replace them and delete"
                " the old ones at Mistral."
            ),
        ),
        _to_the_keys(told),
        told.facts(),
        told.small(),
        get_language() or "",
    )


def _to_the_keys(told: Told) -> Button:
    """Lead to the keys; keys of several workspaces are reached by the list of workspaces."""
    place = told.announcement.workspace_id
    if place is None:
        places = list(Workspace.objects.filter(archived_at=None).values_list("pk", flat=True)[:2])
        place = places[0] if len(places) == 1 else None
    if place is not None:
        return Button(_("Open the keys"), page("console-keys", workspace_id=place))
    return Button(
        _("Open the workspaces"),
        page("console-workspaces", organization_id=told.organization.pk),
    )


def _letter(told: Told, subject: str, *paragraphs: str) -> Letter:
    name = told.data.get("name", "")
    last4 = f"…{told.data.get('last4', '')}"
    return Letter(
        subject,
        tuple(one for one in paragraphs if one),
        Button(_("Open the key"), page("console-key", key_id=told.id("key_id"))),
        told.facts((_("API key"), f"{name} ({last4})" if name else last4)),
        told.small(),
        get_language() or "",
    )


def _words(told: Told) -> dict[str, object]:
    return {"last4": told.data.get("last4", ""), "where": told.where}


def _verdict(told: Told) -> Verdict | None:
    """Find the words of the verdict that was announced, if it is still the key's."""
    key = MistralKey.objects.filter(pk=told.id("key_id"), status=told.data.get("status")).first()
    if key is None or key.verdict_code != told.data.get("code"):
        return None
    return verdicts.of(key)


def _waiting_verdict(told: Told) -> Verdict | None:
    """Find the words of the verdict on the waiting secret, if it still waits and is refused so."""
    waiting = KeyReplacement.objects.filter(key=told.id("key_id")).first()
    if waiting is None or waiting.verdict_code != told.data.get("code"):
        return None
    return verdicts.of(waiting) if waiting.status == told.data.get("status") else None


def _stopped(told: Told) -> str:
    number = int(told.data.get("in_use_by", 0))
    if not number:
        return _("No model uses it.")
    return ngettext(
        "%(number)d model uses it and answers no calls until this is mended.",
        "%(number)d models use it and answer no calls until this is mended.",
        number,
    ) % {"number": number}


def _will_stop(told: Told) -> str:
    number = int(told.data.get("in_use_by", 0))
    if not number:
        return _("No model uses it.")
    return ngettext(
        "%(number)d model uses it and will answer no calls then.",
        "%(number)d models use it and will answer no calls then.",
        number,
    ) % {"number": number}
