"""Erasing an organization: its data keys are destroyed, so that nothing sealed with them opens.

This room destroys what is its own and writes the certificate; access/erasure.py calls it together
with the rooms above, in one transaction. docs/erasure.md says what erasing does not reach.
"""

import hashlib
import json
from datetime import datetime
from typing import Any

from django.db.models import Model, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from tenants.organizations.models import (
    Announcement,
    DataKey,
    ErasureCertificate,
    Invitation,
    JoinRequest,
    Member,
    Organization,
    OrganizationDomain,
    OrganizationStatus,
    Workspace,
    WorkspaceMember,
)

#: Who was there, asked or was asked, and what was told of them: in this order nothing points at
#: what is gone.
_PERSONAL: tuple[type[Model], ...] = (
    WorkspaceMember,
    Member,
    Invitation,
    JoinRequest,
    OrganizationDomain,
    Announcement,  # some have names in them
)
#: What stays, by name: docs/erasure.md explains each.
RETAINED = ("audit_events", "identifiers", "limits", "support_sessions", "usage_ledger")
ERASED_NAME = "erased"


def destroy_data_keys(organization: Organization) -> int:
    """Destroy the data keys, and tell how many.

    It waits for whoever seals something with them at this moment; whoever comes later finds none.
    The lock on the organization keeps a rotation from making another meanwhile. Who puts something
    sealed into a workspace has locked that one before a data key, and so does this.
    """
    Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)
    workspaces = Workspace.objects.filter(organization=organization).order_by("pk")
    list(workspaces.select_for_update(no_key=True).values_list("pk"))
    destroyed, _by_model = DataKey.objects.filter(organization=organization).delete()
    return destroyed


def forget(organization: Organization) -> bool:
    """Mark an organization erased and forget what it is called; False if it was erased before."""
    standing = Organization.objects.filter(pk=organization.pk).exclude(
        status=OrganizationStatus.ERASED
    )
    won = standing.update(
        status=OrganizationStatus.ERASED,
        name=ERASED_NAME,
        slug=f"erased-{organization.pk.hex}",
        owner_email="",
        aisuru_tenant="",
    )
    if won:
        for personal in _PERSONAL:
            QuerySet(personal).delete()
        Workspace.objects.filter(organization=organization, archived_at=None).update(
            archived_at=Now()
        )
        Workspace.objects.filter(organization=organization).update(
            name=ERASED_NAME,
            description="",
            icon="",
            mistral_workspace_id="",
            mistral_workspace_name="",
        )
    return bool(won)


def certify(
    organization: Organization, *, data_keys_destroyed: int, keys_shredded: int, tokens_revoked: int
) -> ErasureCertificate:
    """Write down what was destroyed and what stays, in the transaction that destroys it."""
    certificate = ErasureCertificate(
        organization_id=organization.pk,
        erased_at=timezone.now(),
        data_keys_destroyed=data_keys_destroyed,
        keys_shredded=keys_shredded,
        tokens_revoked=tokens_revoked,
        retained=list(RETAINED),
    )
    certificate.digest = digest_of(certificate)
    certificate.save(force_insert=True)
    return certificate


def digest_of(certificate: ErasureCertificate) -> str:
    """SHA-256, in hexadecimal, of the certificate's other members as canonical JSON.

    Members sorted by name, no white space, instants as the API writes them: anybody who holds the
    certificate can compute it.
    """
    members: dict[str, Any] = {
        "id": str(certificate.pk),
        "organization_id": str(certificate.organization_id),
        "erased_at": _instant(certificate.erased_at),
        "data_keys_destroyed": certificate.data_keys_destroyed,
        "keys_shredded": certificate.keys_shredded,
        "tokens_revoked": certificate.tokens_revoked,
        "retained": certificate.retained,
    }
    canonical = json.dumps(members, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def _instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
