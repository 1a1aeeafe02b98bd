"""The one verb that goes through every room: erase an organization, all of it or nothing."""

from django.db.models.functions import Now
from django.utils.translation import gettext as _

from tenants.access.errors import not_found
from tenants.access.models import OrganizationToken, TenantRequest
from tenants.accounting import erasure as books
from tenants.assistance import erasure as assistance
from tenants.billing import erasure as billing
from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.keys import shredding
from tenants.notices import erasure as notices
from tenants.onboarding import erasure as onboarding
from tenants.organizations import audit, erasure
from tenants.organizations.audit import Actor
from tenants.organizations.models import ErasureCertificate, Organization
from tenants.registry import erasure as models


def erase_organization(
    *, actor: Actor, organization: Organization, confirm: str | None = None
) -> ErasureCertificate:
    """Destroy an organization's data keys, secrets, tokens and names; it cannot be undone.

    Its models answer no more calls once the gateway's picture of them is renewed: within a second.
    Calls under way end by themselves and are settled.

    Args:
        actor: who erases.
        organization: what.
        confirm: its slug, from callers that ask a person first.

    Raises:
        Invalid: ``confirmation_mismatch``.
        NotFound: it was erased meanwhile.
    """
    if confirm is not None and confirm != organization.slug:
        detail = _("This is not the short name (slug) of the organization. Nothing was erased.")
        raise Invalid.field("/confirm", "confirmation_mismatch", detail)
    with scope.tenant(organization.pk):
        destroyed = erasure.destroy_data_keys(organization)
        notices.forget()
        if not erasure.forget(organization):
            raise not_found()
        shredded = shredding.shred_all() + books.forget_all() + models.forget_aisuru()
        revoked = models.retire_all() + _revoke_all()
        billing.forget()
        onboarding.forget()
        assistance.forget()
        TenantRequest.objects.all().delete()
        certificate = erasure.certify(
            organization,
            data_keys_destroyed=destroyed,
            keys_shredded=shredded,
            tokens_revoked=revoked,
        )
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="organization.erased",
            target=organization,
        )
    return certificate


def _revoke_all() -> int:
    return OrganizationToken.objects.filter(revoked_at=None).update(revoked_at=Now())
