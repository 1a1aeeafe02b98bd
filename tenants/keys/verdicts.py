"""What a verdict says to a person: what happened, what it means, what to do next.

The words are whole sentences of the catalogue, in the reader's language; nothing of Mistral's own
text is in them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from tenants.keys import causes
from tenants.keys.causes import Words
from tenants.keys.models import KeyProbe, KeyReplacement, KeyStatus, MistralKey, VerdictCode
from tenants.mistral.errors import Confidence, ErrorClass


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of a key's last check, as it is shown.

    Attributes:
        cause: what exactly was found, finer than the code.
        confidence: how well it is established that this is the cause.
        evidence: ``http_status``, ``mistral_code``, ``correlation_id``; None where there is none.
        identity: names of ``organization``, ``workspace`` and ``key_name`` at Mistral.
        models: how many models the key saw when it was last accepted.
    """

    code: str
    title: str
    detail: str
    next_step: str
    cause: str
    confidence: str
    checked_at: datetime
    evidence: Mapping[str, Any]
    identity: Mapping[str, str | None] | None
    models: int


#: Mistral's code of a 402 about the usage that a plan includes, rather than a limit someone set.
_INCLUDED_USAGE = "2303"

_REFUSALS = frozenset(
    {
        VerdictCode.KEY_UNKNOWN,
        VerdictCode.BILLING_INACTIVE,
        VerdictCode.SUBSCRIPTION_REQUIRED,
        VerdictCode.SPENDING_LIMIT_REACHED,
    }
)
_FRESH = Words(
    _("Mistral does not know this key yet"),
    _(
        "Mistral answered that it does not know the key. A key that was just created may take some"
        " minutes until Mistral accepts it, so this is not final."
    ),
    _(
        "Wait: the key is checked again by itself in a few minutes. If it is older than that,"
        " compare it with the one in Mistral Studio."
    ),
)
_DOUBTED = Words(
    _("Mistral refused a key that worked until now"),
    _(
        "Mistral refused the key in one check. One refusal may be a slip of Mistral's, so the key"
        " stays valid until a second check says the same."
    ),
    _("Nothing to do yet: the key is checked again in a few seconds."),
)
_REVOKED = Words(
    _("The key was deleted"),
    _(
        "The key was deleted here and its secret destroyed. What Mistral answered in the last check"
        " before that is kept."
    ),
    _("Nothing to do. To use the key again, register it as a new one."),
)
_UNREACHABLE = Words(
    _("Mistral cannot be reached"),
    _(
        "The key was checked several times and Mistral gave no usable answer. This says nothing"
        " about the key."
    ),
    _(
        "Nothing to do: the check is repeated every hour. Whether Mistral has a problem is told at"
        " https://status.mistral.ai."
    ),
)
_WORDS = {
    VerdictCode.OK: Words(
        _("The key works"),
        _("Mistral accepted the key and listed the models that it may use."),
        _("Nothing to do: models can be created with this key."),
    ),
    VerdictCode.KEY_MALFORMED: Words(
        _("This is not a Mistral key"),
        _("What was entered cannot be a Mistral key, so Mistral was not asked."),
        _("Paste the whole key as Mistral showed it when it was created."),
    ),
    VerdictCode.KEY_UNKNOWN: Words(
        _("Mistral does not accept this key"),
        _(
            "Mistral answered that it does not know the key: it was mistyped, deleted, or it has"
            " expired. Calls with this key are refused."
        ),
        _(
            "Compare the key with the list at https://console.mistral.ai/api-keys. If it is not"
            " there, create a new one and replace this secret with it."
        ),
    ),
    VerdictCode.BILLING_INACTIVE: Words(
        _("The subscription at Mistral is not active"),
        _(
            "Mistral knows the key, but the subscription of its organization is not active, or its"
            " usage limit is reached, so calls are refused."
        ),
        _(
            "Check plan and payment at https://admin.mistral.ai/subscription. The key itself can"
            " stay: it is checked again by itself."
        ),
    ),
    VerdictCode.SUBSCRIPTION_REQUIRED: Words(
        _("Mistral asks for a plan or a payment method"),
        _(
            "Mistral knows the key, but its organization has no plan or no payment method that"
            " covers these calls."
        ),
        _(
            "Choose a plan or add a payment method at https://admin.mistral.ai/subscription. The"
            " key itself can stay: it is checked again by itself."
        ),
    ),
    VerdictCode.SPENDING_LIMIT_REACHED: Words(
        _("The spending limit at Mistral is reached"),
        _(
            "Mistral knows the key, but the monthly spending limit of its organization or workspace"
            " is reached. Calls are refused until it is raised or the month ends."
        ),
        _(
            "Raise the limit at https://admin.mistral.ai/organization/billing or wait for next"
            " month. The key is checked again by itself."
        ),
    ),
    VerdictCode.RATE_LIMITED: Words(
        _("Mistral asks to slow down"),
        _(
            "Mistral is limiting the requests of this key's workspace, so the check told nothing"
            " new. The key keeps the state it had."
        ),
        _("Nothing to do: the check is repeated by itself."),
    ),
    VerdictCode.MISTRAL_UNAVAILABLE: Words(
        _("Mistral gave no usable answer"),
        _(
            "Mistral did not answer, or answered with an error of its own, so the check told"
            " nothing new. The key keeps the state it had."
        ),
        _("Nothing to do: the check is repeated by itself."),
    ),
    VerdictCode.WRONG_WORKSPACE: Words(
        _("Mistral does not allow this in the key's workspace"),
        _(
            "Mistral refused the check without saying that the key is wrong. Mostly the key, or the"
            " person it belongs to, may not use the API in its workspace. The key keeps the state"
            " it had."
        ),
        _(
            "Check the roles of the key's owner at"
            " https://admin.mistral.ai/organization/workspaces, or create a key in another"
            " workspace. The check is repeated by itself."
        ),
    ),
    VerdictCode.EXPIRED_LOCALLY: Words(
        _("The key has expired"),
        _("The expiry date entered with this key is over, so Mistral was not asked."),
        _(
            "Create a new key at https://console.mistral.ai/api-keys and replace this secret with"
            " it. If the date was wrong, correct it."
        ),
    ),
    VerdictCode.UNDECRYPTABLE: Words(
        _("The stored key cannot be opened"),
        _(
            "The key is stored encrypted, and it cannot be decrypted any more. This is a fault on"
            " our side; the key at Mistral is not affected."
        ),
        _("Enter the same key once more as a new version, or ask support."),
    ),
}


_TRIED = Words(
    _("Calls with this key are answered"),
    _("Mistral answered a paid trial of one token, so calls of this model are paid for."),
    _("Nothing to do."),
)
_WAITS = _(
    "Calls go on with the present secret until Mistral has accepted the new one, at most until the"
    " grace ends. Then the new one takes over."
)
_WAITS_REFUSED = _(
    "Mistral has not accepted the new secret, so calls go on with the present one until the grace"
    " ends. Then the new one takes over, and calls stop if it still does not work: replace it, or"
    " send the present secret again to keep it."
)


def of_waiting(waiting: KeyReplacement) -> str:
    """Say in the reader's language what a waiting secret means for calls."""
    return gettext(_WAITS if waiting.status == KeyStatus.PENDING else _WAITS_REFUSED)


def of_probe(probe: KeyProbe) -> Verdict | None:
    """Tell what a paid trial found in the reader's language; None when it was not sent."""
    if not probe.verdict_code or probe.finished_at is None:
        return None
    code = VerdictCode(probe.verdict_code)
    cause = probe.evidence.get("cause") or code.value
    words = _TRIED if code is VerdictCode.OK else causes.WORDS.get(cause, _WORDS[code])
    return Verdict(
        code=code,
        title=gettext(words.title),
        detail=gettext(words.detail),
        next_step=gettext(words.next_step),
        cause=cause,
        confidence=probe.evidence.get("confidence", Confidence.HIGH),
        checked_at=probe.finished_at,
        evidence=probe.evidence,
        identity=None,
        models=0,
    )


def of(key: MistralKey | KeyReplacement) -> Verdict | None:
    """Tell the verdict on a secret in the reader's language; None before its first check."""
    if not key.verdict_code or key.checked_at is None:
        return None
    words = _words(VerdictCode(key.verdict_code), key)
    return Verdict(
        code=key.verdict_code,
        title=gettext(words.title),
        detail=gettext(words.detail),
        next_step=gettext(words.next_step),
        cause=key.evidence.get("cause") or key.verdict_code,
        confidence=_confidence(key, words),
        checked_at=key.checked_at,
        evidence=key.evidence,
        identity=key.identity if isinstance(key, MistralKey) else None,
        models=key.models_seen if isinstance(key, MistralKey) else 0,
    )


def _words(code: VerdictCode, key: MistralKey | KeyReplacement) -> Words:
    if key.status == KeyStatus.REVOKED:
        return _REVOKED
    if code in _REFUSALS and key.status == KeyStatus.VALID:
        return _DOUBTED
    if code is VerdictCode.KEY_UNKNOWN and key.status == KeyStatus.PENDING:
        return _FRESH
    if code is VerdictCode.MISTRAL_UNAVAILABLE and key.status == KeyStatus.UNREACHABLE:
        return _UNREACHABLE
    cause = key.evidence.get("cause")
    if key.evidence.get("mistral_code") == _INCLUDED_USAGE:
        cause = ErrorClass.INCLUDED_USAGE_EXHAUSTED
    return causes.WORDS.get(cause or "", _WORDS[code])


def _confidence(key: MistralKey | KeyReplacement, words: Words) -> str:
    """Tell how sure the cause is: nobody is sure of a refusal that will be asked about again."""
    if words in {_FRESH, _DOUBTED}:
        return Confidence.LOW
    told: str = key.evidence.get("confidence", Confidence.HIGH)
    return told
