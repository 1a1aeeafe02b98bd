"""Whose is what was made at Mistral: files, batch jobs, conversations and agents, by Mistral's ids.

A Mistral key sees its whole Mistral workspace, which may serve several workspaces here. What was
made through a model token belongs to that token's workspace, and to nobody else. It refuses to tell
somebody else's thing from one that is not there.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from tenants.common import scope
from tenants.registry.models import ProviderResource, ResourceKind

#: A fact of a conversation: how long the recordings in it can be together.
AUDIO_SECONDS = "audio_seconds"


@dataclass(frozen=True, slots=True)
class Owner:
    """Through which model token something is made or asked for."""

    organization_id: UUID
    workspace_id: UUID
    model_id: UUID
    token_id: UUID


@dataclass(frozen=True, slots=True)
class Kept:
    """A thing that the asking workspace has, and what is known of it."""

    kind: ResourceKind
    mistral_id: str
    facts: Mapping[str, Any]


def keep(owner: Owner, kind: ResourceKind, things: Mapping[str, Mapping[str, Any]]) -> bool:
    """Write down what was made, by Mistral's id, with facts that are no contents; once for ever.

    Returns:
        Whether all of it is the owner's workspace's now: another workspace of the organization may
        have been first.
    """
    with scope.tenant(owner.organization_id):
        ProviderResource.objects.bulk_create(
            [
                ProviderResource(
                    organization_id=owner.organization_id,
                    workspace_id=owner.workspace_id,
                    model_id=owner.model_id,
                    token_id=owner.token_id,
                    kind=kind,
                    mistral_id=mistral_id,
                    facts=dict(facts),
                )
                for mistral_id, facts in things.items()
            ],
            ignore_conflicts=True,
        )
        return _live(owner, kind).filter(mistral_id__in=things).count() == len(things)


def find(owner: Owner, kind: ResourceKind, ids: Collection[str]) -> dict[str, Kept]:
    """Find, of these ids, those that the owner's workspace has."""
    with scope.tenant(owner.organization_id):
        rows = _live(owner, kind).filter(mistral_id__in=ids)
        return {row.mistral_id: Kept(kind, row.mistral_id, row.facts) for row in rows}


def is_elsewhere(owner: Owner, kind: ResourceKind, mistral_id: str) -> bool:
    """Tell whether another workspace of the organization has a thing, or had it."""
    with scope.tenant(owner.organization_id):
        return (
            ProviderResource.objects.filter(
                organization_id=owner.organization_id, kind=kind, mistral_id=mistral_id
            )
            .exclude(workspace_id=owner.workspace_id, deleted_at=None)
            .exists()
        )


def learn(owner: Owner, kind: ResourceKind, mistral_id: str, facts: Mapping[str, Any]) -> None:
    """Replace what is known of a thing."""
    with scope.tenant(owner.organization_id):
        _live(owner, kind).filter(mistral_id=mistral_id).update(facts=dict(facts))


def hear(owner: Owner, mistral_id: str, seconds: int) -> None:
    """Add seconds of recordings to what a conversation has."""
    with scope.tenant(owner.organization_id):
        talks = _live(owner, ResourceKind.CONVERSATION).filter(mistral_id=mistral_id)
        for talk in talks.select_for_update():
            heard = talk.facts.get(AUDIO_SECONDS, 0) + seconds
            talk.facts = {**talk.facts, AUDIO_SECONDS: heard}
            talk.save(update_fields=["facts"])


def forget(owner: Owner, kind: ResourceKind, mistral_id: str) -> None:
    """Mark a thing as deleted at Mistral."""
    with scope.tenant(owner.organization_id):
        _live(owner, kind).filter(mistral_id=mistral_id).update(deleted_at=Now())


def _live(owner: Owner, kind: ResourceKind) -> QuerySet[ProviderResource]:
    return ProviderResource.objects.filter(
        organization_id=owner.organization_id,
        workspace_id=owner.workspace_id,
        kind=kind,
        deleted_at=None,
    )
