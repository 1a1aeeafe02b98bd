"""Tells, in the transaction of a verb on a key, what others have to know of it.

Models are known here only by what points at the key: that is enough to say which answer no calls.
"""

from datetime import UTC
from typing import Any

from tenants.keys.judgement import Finding
from tenants.keys.models import KeyReplacement, KeyStatus, MistralKey
from tenants.organizations import outbox
from tenants.organizations.models import OrganizationStatus, Workspace

#: Statuses in which a key's models answer no calls; the reason they give is ``key_<status>``.
BLOCKING = frozenset(
    {
        KeyStatus.INVALID,
        KeyStatus.SUSPENDED,
        KeyStatus.EXPIRED,
        KeyStatus.UNDECRYPTABLE,
        KeyStatus.REVOKED,
    }
)
_MOST_NAMED = 100


def changed(key: MistralKey, status: str, finding: Finding) -> None:
    """Announce that a check gave a key another status, and which models that stops or frees.

    Args:
        key: as it was before.
        status: what it is now.
        finding: why.
    """
    facts = _facts(key) | {"status": status, "code": finding.code, "cause": finding.cause}
    models = _models(key)
    if status == KeyStatus.VALID:
        _announce(key, "key.validated", facts | {"models": models[:_MOST_NAMED]})
    elif status in BLOCKING:
        _announce(key, "key.invalid", facts | {"in_use_by": len(models)})
    if status in BLOCKING and key.status not in BLOCKING:
        _blocked(key, status, models)
    freed(key, status)


def freed(key: MistralKey, status: str) -> None:
    """Announce which models answer calls again because their key gets another status.

    Args:
        key: as it was before.
        status: what it is from now on.
    """
    if key.status in BLOCKING and status not in BLOCKING and not _stops_anyway(key):
        for model in _models(key):
            data = {"model_id": model["id"], "name": model["name"], "key_id": str(key.pk)}
            _announce(key, "model.ready", data)


def revoked(key: MistralKey) -> None:
    """Announce which models a deleted key stops; the deletion itself was somebody's wish."""
    if key.status not in BLOCKING:
        _blocked(key, KeyStatus.REVOKED, _models(key))


def expiring(key: MistralKey, days_left: int, notice: int) -> bool:
    """Announce that a key's own date is near: once per notice and date.

    Returns:
        False if it had been announced before.
    """
    day = key.expires_on.isoformat() if key.expires_on else ""
    return outbox.announce(
        organization_id=key.organization_id,
        workspace_id=key.workspace_id,
        kind="key.expiring",
        data=_facts(key)
        | {"expires_on": day, "days_left": days_left, "in_use_by": len(_models(key))},
        once=f"key.expiring:{key.pk}:{day}:{notice}",
    )


def replacement_refused(
    key: MistralKey, waiting: KeyReplacement, status: str, finding: Finding
) -> bool:
    """Announce that Mistral refuses the secret that waits to replace a key's: once per secret.

    Args:
        key: as it serves until the grace ends.
        waiting: the secret that takes over then, whatever is known of it.
        status: what the key would be with it.
        finding: why.

    Returns:
        False if it had been announced before.
    """
    facts = {
        "replacement_last4": waiting.last4,
        "status": status,
        "code": finding.code,
        "cause": finding.cause,
        "grace_ends_at": waiting.ends_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "in_use_by": len(_models(key)),
    }
    return outbox.announce(
        organization_id=key.organization_id,
        workspace_id=key.workspace_id,
        kind="key.replacement_refused",
        data=_facts(key) | facts,
        once=f"key.replacement_refused:{waiting.pk}",
    )


def _blocked(key: MistralKey, status: str, models: list[dict[str, str]]) -> None:
    if _stops_anyway(key):
        return
    for model in models:
        data = {
            "model_id": model["id"],
            "name": model["name"],
            "key_id": str(key.pk),
            "reason": f"key_{status}",
        }
        _announce(key, "model.blocked", data)


def _stops_anyway(key: MistralKey) -> bool:
    """Tell whether something wider stops its models: they do not begin or end to answer now."""
    active = Workspace.objects.filter(
        pk=key.workspace_id, archived_at=None, organization__status=OrganizationStatus.ACTIVE
    )
    return not active.exists()


def _models(key: MistralKey) -> list[dict[str, str]]:
    rows = key.registered_models.filter(retired_at=None).order_by("pk")
    return [{"id": str(row.pk), "name": row.name} for row in rows]


def _facts(key: MistralKey) -> dict[str, Any]:
    return {"key_id": str(key.pk), "name": key.name, "last4": key.last4}


def _announce(key: MistralKey, kind: str, data: dict[str, Any]) -> None:
    outbox.announce(
        organization_id=key.organization_id, workspace_id=key.workspace_id, kind=kind, data=data
    )
