"""Tells, in the transaction of somebody's verb, which models stop or answer calls again by it.

What a key's status does to its models is announced beside the keys (``keys.announcing``). A model
that something else stops anyway is not announced: it neither stops nor comes back.
"""

from collections.abc import Iterator
from dataclasses import replace

from django.db.models import QuerySet
from django.utils import timezone

from tenants.organizations import outbox
from tenants.organizations.models import Organization, OrganizationStatus, Workspace
from tenants.registry import status
from tenants.registry.models import RegisteredModel
from tenants.registry.status import BlockedReason, Circumstances


def workspace_archived(workspace: Workspace) -> None:
    """Announce that the models of a workspace stop; inside the scope, just archived."""
    models = RegisteredModel.objects.filter(workspace=workspace)
    for model in _answering(models, workspace_archived=False):
        _blocked(model, BlockedReason.WORKSPACE_ARCHIVED)


def organization_suspended(organization: Organization) -> None:
    """Announce that all models of an organization stop; inside the scope, just suspended."""
    models = RegisteredModel.objects.filter(organization=organization)
    for model in _answering(models, organization_status=OrganizationStatus.ACTIVE):
        _blocked(model, BlockedReason.ORGANIZATION_SUSPENDED)


def organization_reactivated(organization: Organization) -> None:
    """Announce which models answer calls again; inside the scope, just reactivated."""
    models = RegisteredModel.objects.filter(organization=organization)
    for model in _answering(models, organization_status=OrganizationStatus.ACTIVE):
        ready(model)


def ready(model: RegisteredModel) -> None:
    """Announce that a model answers calls again; inside the scope."""
    _announce(model, "model.ready", {})


def _answering(models: QuerySet[RegisteredModel], **otherwise: object) -> Iterator[RegisteredModel]:
    """Find those that answer calls if the circumstances are otherwise as said."""
    now = timezone.now()
    active = models.filter(retired_at=None).order_by("pk")
    for model in active.select_related("organization", "workspace", "key"):
        found: Circumstances = replace(status.circumstances(model), **otherwise)  # type: ignore[arg-type]  # by name
        if found.blocked(now) is None:
            yield model


def _blocked(model: RegisteredModel, reason: BlockedReason) -> None:
    _announce(model, "model.blocked", {"reason": reason.value})


def _announce(model: RegisteredModel, kind: str, more: dict[str, str]) -> None:
    data = {"model_id": str(model.pk), "name": model.name, "key_id": str(model.key_id), **more}
    outbox.announce(
        organization_id=model.organization_id,
        workspace_id=model.workspace_id,
        kind=kind,
        data=data,
    )
