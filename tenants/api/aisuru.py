"""AIsuru over HTTP: the login by which models get there; it goes in and never comes out."""

from typing import Any
from uuid import UUID

from django.conf import settings
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.models import TokenScope
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.common import scope
from tenants.organizations.models import Organization
from tenants.registry import connections
from tenants.registry.models import AisuruConnection, ConnectionStatus


class AisuruConnectionIn(In):
    """A login at AIsuru."""

    login_token = fields.SecretText(help_text="Of a login that may change completion configs.")
    tenant = fields.Host(
        max_length=253,
        required=False,
        allow_blank=True,
        help_text="AIsuru's name of the tenant; the organization's `aisuru_tenant` without it.",
    )


class RemovalQuery(In):
    """How to remove it."""

    force = serializers.BooleanField(
        default=False, help_text="Even while models are published with it: they stay there."
    )


class AisuruConnectionOut(Out):
    """What is known of the login at AIsuru; null where there is none."""

    is_set = serializers.BooleanField()
    is_configured = serializers.BooleanField(
        help_text="Whether this service knows where AIsuru's backend is."
    )
    tenant = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(
        choices=ConnectionStatus.choices,
        allow_null=True,
        help_text="`pending` until something was done with it.",
    )
    checked_at = serializers.DateTimeField(allow_null=True)
    created_by = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField(allow_null=True)


class OrganizationAisuruConnection(ApiView):
    """``/organizations/{organization_id}/aisuru-connection``."""

    @endpoint(
        "get_aisuru_connection",
        TokenScope.KEYS_READ,
        summary="Read what is known of the login at AIsuru",
        gives={200: AisuruConnectionOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """The token itself is never told; without one, `is_set` is false."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(_connection(AisuruConnection.objects.first()))

    @endpoint(
        "set_aisuru_connection",
        TokenScope.KEYS_WRITE,
        summary="Enter the login at AIsuru",
        takes=AisuruConnectionIn,
        gives={200: AisuruConnectionOut},
        refuses=(503,),
        example={"login_token": "768b9654-0000-4000-8000-ae1529d1bfbe", "tenant": "www.aisuru.com"},
        strictly="intake",
    )
    def put(self, call: Call, organization_id: UUID) -> Reply:
        """It is sealed and replaces the one before; what failed for want of it is tried again."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        connection = connections.set_connection(
            actor=call.actor,
            organization=organization,
            plain=call.data["login_token"],
            tenant=call.data.get("tenant", ""),
        )
        return Reply(_connection(connection))

    @endpoint(
        "remove_aisuru_connection",
        TokenScope.KEYS_WRITE,
        summary="Remove the login at AIsuru",
        query=RemovalQuery,
        gives={204: None},
        refuses=(409,),
    )
    def delete(self, call: Call, organization_id: UUID) -> Reply:
        """It is shredded here; signing out at AIsuru is its owner's business."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        connections.remove_connection(
            actor=call.actor, organization=organization, force=call.query["force"]
        )
        return Reply(status=204)


def _connection(connection: AisuruConnection | None) -> dict[str, Any]:
    shown: dict[str, Any] = {"is_configured": settings.AISURU_API_URL is not None}
    if connection is None:
        none = ("tenant", "status", "checked_at", "created_by", "created_at")
        return {"is_set": False, **shown, **dict.fromkeys(none)}
    return {
        "is_set": True,
        **shown,
        "tenant": connection.tenant or None,
        "status": connection.status,
        "checked_at": connection.checked_at,
        "created_by": connection.created_by,
        "created_at": connection.secret_at,
    }
