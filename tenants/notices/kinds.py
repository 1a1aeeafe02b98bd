"""Every kind of announcement: what it says, and whom it is mailed to.

Endpoints may choose among them; a kind that is not here is delivered to endpoints that take all,
and mailed to nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

TEST = "webhook.test"


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a mail is for: the holders of a capability.

    Attributes:
        capability: that a role in the organization must have.
        in_workspace: that a role in the workspace concerned must have; empty for nobody there.
    """

    capability: str
    in_workspace: str = ""


#: Who looks after keys: administrators, and those of the workspace.
KEYS = Audience("keys:write", "keys:write")
#: Who pays: administrators and Billing, and the administrators of a workspace for what is its own.
MONEY = Audience("limits:write", "workspaces:write")
BOOKS = Audience("billing:write")
PEOPLE = Audience("members:write")
HOOKS = Audience("webhooks:write")


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of announcement.

    Attributes:
        meaning: when it happens, for people.
        audience: whom it is mailed to; None for nobody.
        is_mutable: each of them may say that they want no such mail.
        tells_target: it is mailed to the member too whom it happened to.
    """

    meaning: Promise
    audience: Audience | None = None
    is_mutable: bool = True
    tells_target: bool = False


KINDS: Mapping[str, Kind] = {
    "key.validated": Kind(_("Mistral accepts an API key."), KEYS),
    "key.invalid": Kind(
        _("An API key stopped working: refused, suspended, expired or lost."),
        KEYS,
        is_mutable=False,
    ),
    "key.replacement_refused": Kind(
        _("Mistral refuses the secret that waits to replace an API key's."),
        KEYS,
        is_mutable=False,
    ),
    "key.expiring": Kind(
        _("An API key's own date is 30, 14, 7 or 1 days away."), KEYS, is_mutable=False
    ),
    "key.leaked": Kind(_("An API key was found where it does not belong."), KEYS, is_mutable=False),
    "key.used_elsewhere": Kind(
        _("Mistral bills more than went through here: keys are used elsewhere."),
        KEYS,
        is_mutable=False,
    ),
    "token.expiring": Kind(
        _("A token of the organization ends in 30, 14, 7 or 1 days."),
        Audience("tokens:write"),
        is_mutable=False,
    ),
    "token.leaked": Kind(
        _("A token was found where it does not belong."),
        Audience("tokens:write"),
        is_mutable=False,
    ),
    "model.created": Kind(_("A model was registered.")),
    # The key's own mail says how many models stopped.
    "model.blocked": Kind(_("A model answers no calls any more.")),
    "model.ready": Kind(_("A model that was blocked answers calls again.")),
    "model.retiring": Kind(
        _("The Mistral model behind a model ends, or has ended."),
        Audience("models:write", "models:write"),
    ),
    "alias.moved": Kind(
        _("The name of a Mistral model leads to another version."),
        Audience("models:write", "models:write"),
    ),
    "model.publication_drifted": Kind(_("A published model was changed or deleted in AIsuru.")),
    "model.publication_failed": Kind(_("A model could not be published in AIsuru.")),
    "spend.threshold_reached": Kind(_("Spend passed a threshold of a limit."), MONEY),
    "spend.limit_reached": Kind(_("Spend reached a limit."), MONEY, is_mutable=False),
    "spend.limit_extended": Kind(
        _("A limit allows more until a day, and goes back by itself."), MONEY, is_mutable=False
    ),
    "spend.limit_restored": Kind(_("A limit went back to what it usually is."), MONEY),
    "member.joined": Kind(_("Somebody became a member."), PEOPLE),
    "member.requested": Kind(_("Somebody asks to become a member."), PEOPLE),
    "statement.closed": Kind(_("A month was closed; its statement is ready."), BOOKS),
    "support.session_opened": Kind(
        _("The support staff looks into the organization."), PEOPLE, is_mutable=False
    ),
    "support.session_closed": Kind(_("The support staff has left the organization.")),
    "support.helped": Kind(
        _("The support staff did something routine: checked a key, sent something again."),
        PEOPLE,
    ),
    "support.acted": Kind(
        _("The support staff changed something in the organization."),
        PEOPLE,
        is_mutable=False,
        tells_target=True,
    ),
    "webhook.disabled": Kind(
        _("A webhook was switched off because its endpoint takes nothing."),
        HOOKS,
        is_mutable=False,
    ),
    TEST: Kind(_("Somebody pressed the test button of a webhook.")),
}

MUTABLE = frozenset(
    name for name, kind in KINDS.items() if kind.audience is not None and kind.is_mutable
)


def is_mailed(kind: str, data: Mapping[str, object]) -> bool:
    """Tell whether an announcement is mailed at all.

    That a key works is news only if models had stopped with it: whoever enters a key looks at it.
    """
    known = KINDS.get(kind)
    if known is None or known.audience is None:
        return False
    return kind != "key.validated" or bool(data.get("models"))
