"""The row behind a key's id: how a secret gets into it, and how it changes under a lock.

All of it runs inside the organization's scope; nothing here enqueues or asks Mistral.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models.functions import Now
from django.utils.translation import gettext as _

from tenants.common.problems import Conflict, Unavailable
from tenants.common.secrets import Secret, last_four
from tenants.keys import announcing, custody
from tenants.keys.models import MistralKey
from tenants.keys.timing import timing
from tenants.organizations import audit
from tenants.organizations.audit import Actor

#: What changes together when a key gets another secret.
SECRET = ("sealed", "secret_version", "secret_at", "data_key_version", "fingerprint", "last4")


def opens(key: MistralKey) -> bool:
    """Tell, inside the scope, whether the stored secret can still be opened."""
    try:
        custody.borrow(key)
    except custody.UndecryptableError:
        return False
    return True


def secret_fields(key: MistralKey, plain: Secret[str], *, version: int) -> dict[str, Any]:
    """Everything that changes with the secret, for the row of this key.

    Raises:
        Unavailable: ``vault_unavailable``: the organization's data key does not open.
    """
    try:
        box, data_key_version = custody.seal(
            plain,
            organization_id=key.organization_id,
            workspace_id=key.workspace_id,
            key_id=key.id,
            version=version,
        )
    except custody.UndecryptableError:
        detail = _(
            "The key cannot be encrypted now, so nothing was stored. This is a fault on our side:"
            " ask support."
        )
        raise Unavailable("vault_unavailable", detail) from None
    return {
        "sealed": box,
        "secret_version": version,
        "secret_at": Now(),
        "data_key_version": data_key_version,
        "fingerprint": custody.fingerprint(plain),
        "last4": last_four(plain),
        **due(),
    }


def due() -> dict[str, Any]:
    """Make a key due now, by the database's clock, and leave it to the task just enqueued.

    Whoever checks it at this moment loses the claim: what it finds is about something else.
    """
    return {
        "next_check_at": Now(),
        "asked_at": Now(),
        "attempts": 0,
        "doubts": 0,
        "claim": None,
        "held_until": Now() + timedelta(seconds=timing().queue),
    }


def locked(key: MistralKey) -> MistralKey:
    """Lock the row of a key that is not revoked.

    Raises:
        Conflict: ``key_revoked``.
    """
    found = (
        MistralKey.objects.select_for_update(no_key=True).filter(pk=key.pk, revoked_at=None).first()
    )
    if found is None:
        raise revoked()
    return found


def change(key: MistralKey, values: Mapping[str, Any]) -> None:
    """Update a key that is not revoked, and read it anew; models that this frees are told of."""
    if "status" in values:
        announcing.freed(key, values["status"])
    if not MistralKey.objects.filter(pk=key.pk, revoked_at=None).update(**values):
        raise revoked()
    key.refresh_from_db()


def revoked() -> Conflict:
    """Make the refusal of a key that was deleted."""
    return Conflict("key_revoked", _("This key was deleted. Register it again as a new key."))


def done(actor: Actor, key: MistralKey, verb: str, changed: Sequence[str] = ()) -> None:
    """Write the audit row of a verb on a key."""
    audit.record(
        actor=actor,
        organization_id=key.organization_id,
        verb=verb,
        target=key,
        changed=changed,
    )
