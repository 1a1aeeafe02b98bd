"""A secret that waits to replace another: the old one serves until Mistral accepts the new one.

A call uses one secret. With a grace, the new secret waits beside the old one, is checked first, and
takes over the moment it is judged valid: models follow with their next call. While it is not valid
the old one serves on; at the end of the grace, or when the old one can serve no longer, the new one
takes over whatever is known of it. That Mistral refuses it is announced as soon as it is believed,
or at once if the grace ends before that. All of it runs inside the organization's scope.
"""

from datetime import date, datetime, timedelta
from uuid import UUID

from django.db.models.functions import Now

from tenants.common.secrets import Secret
from tenants.keys import announcing, placing, slots
from tenants.keys.judgement import Finding, Judgement
from tenants.keys.models import KeyReplacement, KeyStatus, MistralKey, VerdictCode
from tenants.organizations.audit import Actor

_SERVES = frozenset({KeyStatus.VALID, KeyStatus.PENDING, KeyStatus.UNREACHABLE})


def serves(key: MistralKey) -> bool:
    """Tell whether calls can go on with the secret that a key has, so that a grace has a point."""
    return key.status in _SERVES and slots.opens(key)


def of(key: MistralKey) -> KeyReplacement | None:
    """Find what waits to replace a key's secret."""
    return KeyReplacement.objects.filter(key=key).first()


def waiting_elsewhere(fingerprint: bytes, workspace_id: UUID, key_id: UUID | None) -> UUID | None:
    """Find another key of the workspace for which this very secret waits."""
    others = KeyReplacement.objects.filter(fingerprint=fingerprint, key__workspace=workspace_id)
    found: UUID | None = others.exclude(key=key_id).values_list("key_id", flat=True).first()
    return found


def next_version(key: MistralKey) -> int:
    """Number the next secret: a number is never used twice for what was sealed."""
    waiting = of(key)
    return max(key.secret_version, waiting.secret_version if waiting else 0) + 1


def put(key: MistralKey, plain: Secret[str], *, seconds: int, expires_on: date | None) -> None:
    """Let a secret wait to replace that of a locked key; what waited before is shredded.

    Raises:
        Unavailable: ``vault_unavailable``.
    """
    fields = slots.secret_fields(key, plain, version=next_version(key))
    KeyReplacement.objects.filter(key=key).delete()
    KeyReplacement.objects.create(
        organization_id=key.organization_id,
        key=key,
        expires_on=expires_on,
        ends_at=Now() + timedelta(seconds=seconds),
        **{name: fields[name] for name in slots.SECRET},
    )
    slots.change(key, slots.due())


def withdraw(key: MistralKey) -> bool:
    """Shred what waits, and tell whether anything did."""
    shredded, _by_model = KeyReplacement.objects.filter(key=key).delete()
    return bool(shredded)


def record(
    key: MistralKey, waiting: KeyReplacement, finding: Finding, judged: Judgement, now: datetime
) -> None:
    """Write what a check found about the waiting secret; the key itself stays as it is.

    That Mistral refuses it is announced once.
    """
    KeyReplacement.objects.filter(pk=waiting.pk).update(
        status=judged.status,
        verdict_code=finding.code,
        checked_at=now,
        evidence=finding.evidence,
        attempts=judged.attempts,
    )
    is_last_look = judged.next_check_at is None or judged.next_check_at >= waiting.ends_at
    is_unknown = finding.code is VerdictCode.KEY_UNKNOWN and is_last_look
    if judged.status in announcing.BLOCKING or is_unknown:
        announcing.replacement_refused(key, waiting, judged.status, finding)


def take_over(actor: Actor, key: MistralKey, waiting: KeyReplacement, claim: UUID) -> bool:
    """Put the waiting secret in the place of the old one, which is shredded.

    A secret that another key of the workspace got meanwhile is shredded instead.

    Returns:
        False if nothing was done: the claim is lost, or the secret is another key's.
    """
    mine = MistralKey.objects.filter(pk=key.pk, claim=claim, revoked_at=None)
    twin = MistralKey.objects.filter(
        workspace=key.workspace_id, fingerprint=waiting.fingerprint, revoked_at=None
    )
    if twin.exclude(pk=key.pk).exists():
        if withdraw(key):
            slots.done(actor, key, "key.replacement_withdrawn", ["secret"])
        return False
    # Locked and read anew: a rotation of the data key may have sealed it anew, or be about to.
    box = KeyReplacement.objects.select_for_update(no_key=True).filter(pk=waiting.pk).first()
    if box is None:
        return False
    won = mine.update(
        **{name: getattr(box, name) for name in slots.SECRET},
        expires_on=waiting.expires_on,
        status=waiting.status,
        verdict_code=waiting.verdict_code,
        checked_at=waiting.checked_at,
        evidence=waiting.evidence,
        attempts=waiting.attempts + 1,
        doubts=0,
        **placing.NOBODY,
    )
    if won:
        announcing.freed(key, waiting.status)
        withdraw(key)
        slots.done(actor, key, "key.secret_replaced", ["secret"])
    return bool(won)
