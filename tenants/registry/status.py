"""Whether a model answers calls now, and if not, why: derived from facts, stored nowhere.

A key that was never judged (``pending``, ``unreachable``) does not block: a replaced secret is
pending for seconds, and an outage of ours or Mistral's must not become one of the tenant's. What is
wrong with such a key Mistral says itself.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from tenants.keys.expiry import has_expired
from tenants.keys.models import KeyStatus
from tenants.organizations.models import OrganizationStatus
from tenants.registry.models import RegisteredModel


class ModelStatus(StrEnum):
    """What the API says of a model."""

    READY = "ready"
    BLOCKED = "blocked"


class BlockedReason(StrEnum):
    """Why a model answers no calls; the widest cause is told first."""

    ORGANIZATION_SUSPENDED = "organization_suspended"
    WORKSPACE_ARCHIVED = "workspace_archived"
    MODEL_RETIRED = "model_retired"
    KEY_REVOKED = "key_revoked"
    KEY_EXPIRED = "key_expired"
    KEY_INVALID = "key_invalid"
    KEY_SUSPENDED = "key_suspended"
    KEY_UNDECRYPTABLE = "key_undecryptable"


_BY_KEY_STATUS = {
    KeyStatus.REVOKED.value: BlockedReason.KEY_REVOKED,
    KeyStatus.EXPIRED.value: BlockedReason.KEY_EXPIRED,
    KeyStatus.INVALID.value: BlockedReason.KEY_INVALID,
    KeyStatus.SUSPENDED.value: BlockedReason.KEY_SUSPENDED,
    KeyStatus.UNDECRYPTABLE.value: BlockedReason.KEY_UNDECRYPTABLE,
}


#: States of a key that stop its models.
STOPPING = tuple(_BY_KEY_STATUS)


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Everything a model's status depends on but the clock."""

    organization_status: str
    timezone: str
    workspace_archived: bool
    model_retired: bool
    key_status: str
    key_expires_on: date | None

    def blocked(self, now: datetime) -> BlockedReason | None:
        """Find the reason that stops calls at an instant; None when there is none."""
        if self.organization_status != OrganizationStatus.ACTIVE:
            return BlockedReason.ORGANIZATION_SUSPENDED
        if self.workspace_archived:
            return BlockedReason.WORKSPACE_ARCHIVED
        if self.model_retired:
            return BlockedReason.MODEL_RETIRED
        reason = _BY_KEY_STATUS.get(self.key_status)
        if reason is None and has_expired(self.key_expires_on, self.timezone, now):
            return BlockedReason.KEY_EXPIRED
        return reason


def of(model: RegisteredModel, now: datetime) -> BlockedReason | None:
    """Find what stops a model; its organization, workspace and key must be loaded already."""
    return circumstances(model).blocked(now)


def circumstances(model: RegisteredModel) -> Circumstances:
    """Gather what a model's status depends on; all of it must be loaded already."""
    organization, key = model.organization, model.key
    return Circumstances(
        organization_status=organization.status,
        timezone=organization.timezone,
        workspace_archived=model.workspace.archived_at is not None,
        model_retired=model.retired_at is not None,
        key_status=key.status,
        key_expires_on=key.expires_on,
    )


_WORDS = {
    BlockedReason.ORGANIZATION_SUSPENDED: _(
        "The organization is suspended, so its models answer no calls. Ask support to reactivate"
        " it."
    ),
    BlockedReason.WORKSPACE_ARCHIVED: _(
        "The workspace of this model is archived, so the model answers no calls. Create a model in"
        " an active workspace."
    ),
    BlockedReason.MODEL_RETIRED: _(
        "This model was deleted, so it answers no calls. Create a new one."
    ),
    BlockedReason.KEY_REVOKED: _(
        "The API key behind this model was deleted. Choose another key for the model."
    ),
    BlockedReason.KEY_EXPIRED: _(
        "The API key behind this model has expired. Create a new key in Mistral Studio and replace"
        " the secret of this one: the model follows."
    ),
    BlockedReason.KEY_INVALID: _(
        "Mistral does not accept the API key behind this model. Replace its secret, or choose"
        " another key for the model."
    ),
    BlockedReason.KEY_SUSPENDED: _(
        "Mistral knows the API key behind this model, but the plan, the payment or a spending limit"
        " of its organization stops it. The result of the key's last check says what to do."
    ),
    BlockedReason.KEY_UNDECRYPTABLE: _(
        "The stored API key behind this model cannot be opened. Enter the same key once more as a"
        " new version: the model follows."
    ),
}


def explain(reason: BlockedReason) -> str:
    """Say in the reader's language what a reason means and what to do."""
    return gettext(_WORDS[reason])
