"""Erasing an organization over HTTP, and the certificate that remains of it."""

from uuid import UUID

from django.urls import reverse
from rest_framework import serializers

from tenants.access import erasure, tenancy
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.permissions import require_platform
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.common import scope
from tenants.organizations.models import ErasureCertificate, Organization


class EraseQuery(In):
    """How to erase an organization."""

    confirm = fields.Text(
        max_length=60,
        required=False,
        help_text="The organization's slug, as a person typed it: another one erases nothing.",
    )


class ErasureCertificateOut(Out):
    """What was destroyed, and what stays."""

    id = serializers.UUIDField()
    organization_id = serializers.UUIDField()
    erased_at = serializers.DateTimeField()
    data_keys_destroyed = serializers.IntegerField()
    keys_shredded = serializers.IntegerField()
    tokens_revoked = serializers.IntegerField()
    retained = serializers.ListField(
        child=serializers.CharField(), help_text="docs/erasure.md explains each."
    )
    digest = serializers.CharField(
        help_text="SHA-256 of the other members as canonical JSON, in hexadecimal."
    )


class EraseOrganization(ApiView):
    """The DELETE of ``/organizations/{organization_id}``."""

    @endpoint(
        "erase_organization",
        TokenScope.ORGANIZATIONS_WRITE,
        summary="Erase an organization",
        query=EraseQuery,
        gives={202: ErasureCertificateOut},
    )
    def delete(self, call: Call, organization_id: UUID) -> Reply:
        """Destroy its data keys, and with them every secret; it cannot be undone.

        Models stop within a second. Platform tokens only. Afterwards the organization is found no
        more; its certificate is.
        """
        require_platform(call.principal)
        organization = tenancy.find(call.principal, Organization, organization_id)
        certificate = erasure.erase_organization(
            actor=call.actor, organization=organization, confirm=call.data.get("confirm")
        )
        ids = {"organization_id": organization_id}
        return Reply(certificate, 202, reverse("erasure_certificate", kwargs=ids))


class Certificate(ApiView):
    """``/organizations/{organization_id}/erasure-certificate``."""

    @endpoint(
        "get_erasure_certificate",
        TokenScope.ORGANIZATIONS_READ,
        summary="Read the certificate of an erased organization",
        gives={200: ErasureCertificateOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Platform tokens only; 404 for an organization that was not erased."""
        require_platform(call.principal)
        with scope.tenant(organization_id):
            certificate = ErasureCertificate.objects.first()
        if certificate is None:
            raise not_found()
        return Reply(certificate)
