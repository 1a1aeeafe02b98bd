"""Takes over what a sync proposed, in a person's name."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.accounting import proposing
from tenants.accounting.models import SyncRun, SyncStatus
from tenants.accounting.proposing import ProposalKind
from tenants.common import scope
from tenants.common.problems import Conflict, Invalid, NotFound
from tenants.keys import declaring
from tenants.organizations import audit
from tenants.organizations import services as organizations
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, Workspace
from tenants.spend import own_prices


def confirm_sync(
    *,
    actor: Actor,
    organization: Organization,
    sync_id: UUID,
    only: Collection[str] | None = None,
) -> SyncRun:
    """Take over what the newest sync proposed: prices from now on, and whose keys are checked.

    Each is written by its own room's verb, with an audit row of its own; the same again changes
    nothing. What would stop keys that work is left, and said to be.

    Args:
        actor: who confirms.
        organization: the tenant.
        sync_id: the run that the person has seen.
        only: ids of proposals; None for all of them.

    Raises:
        NotFound: there is no such run.
        Conflict: ``sync_outdated``: it is not over, or not the newest.
        Invalid: ``proposal_unknown``.
    """
    chosen = _chosen(organization, sync_id, only)
    prices = [row for row in chosen if row["kind"] == ProposalKind.PRICE]
    taken = [str(row["id"]) for row in prices]
    left: dict[str, str] = {}
    if prices:
        own_prices.report_prices(
            actor=actor,
            organization=organization,
            prices=[proposing.price_of(row) for row in prices],
            at=timezone.now(),
            source=f"Mistral's Admin API, sync {sync_id}",
            checksum=proposing.checksum(prices),
        )
    for row in chosen:
        if row["kind"] == ProposalKind.MISTRAL_WORKSPACE:
            refusal = _declare(actor, organization, row)
            if refusal:
                left[str(row["id"])] = refusal
            else:
                taken.append(str(row["id"]))
    with scope.tenant(organization.pk):
        run = SyncRun.objects.select_for_update(no_key=True).get(pk=sync_id)
        run.taken = sorted({*run.taken, *taken})
        run.left = left
        run.confirmed_by, run.confirmed_at = actor.name, timezone.now()
        run.save(update_fields=["taken", "left", "confirmed_by", "confirmed_at"])
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="organization.sync_confirmed",
            target=run,
            changed=taken,
        )
    return run


def _chosen(
    organization: Organization, sync_id: UUID, only: Collection[str] | None
) -> list[Mapping[str, Any]]:
    with scope.tenant(organization.pk):
        run = SyncRun.objects.filter(pk=sync_id).first()
        newest = SyncRun.objects.first()
    if run is None:
        raise NotFound("not_found", _("There is nothing here."))
    if newest is None or newest.pk != run.pk or run.status != SyncStatus.DONE:
        detail = _("This sync is not over, or a newer one was started. Confirm the newest one.")
        raise Conflict("sync_outdated", detail)
    known = {str(row["id"]) for row in run.proposals}
    unknown = sorted(set(only or ()) - known)
    if unknown:
        detail = _("This sync did not propose %(proposal)s.")
        raise Invalid.field("/only", "proposal_unknown", detail % {"proposal": unknown[0]})
    return [row for row in run.proposals if only is None or row["id"] in only]


def _declare(actor: Actor, organization: Organization, row: Mapping[str, Any]) -> str:
    """Declare a workspace at Mistral; the code of what refused it, else empty."""
    workspace_id, changes = proposing.workspace_of(row)
    with scope.tenant(organization.pk):
        workspace = Workspace.objects.filter(pk=workspace_id, archived_at=None).first()
    if workspace is None:
        return "workspace_archived"
    try:
        organizations.update_workspace(
            actor=actor, workspace=workspace, changes=changes, declare=declaring.apply
        )
    except Conflict as refusal:
        return refusal.code
    return ""
