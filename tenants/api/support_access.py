"""Letting the support staff in over HTTP: for how long, how deep, and who came."""

from uuid import UUID

from django.urls import reverse
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.assistance import services
from tenants.assistance.models import SupportGrant, SupportSession
from tenants.common import scope
from tenants.organizations.models import Organization

_MOST_HOURS = 168


class SupportAccessIn(In):
    """How the support staff is let in."""

    hours = fields.Whole(min_value=1, max_value=_MOST_HOURS)
    allows_changes = fields.Flag(
        default=False, help_text="Let them act too, not only look. Secrets are never shown."
    )
    reason = fields.Text(max_length=500, required=False, allow_blank=True)


class SupportAccessOut(Out):
    """That the support staff may come in."""

    id = serializers.UUIDField()
    granted_by = serializers.CharField()
    reason = serializers.CharField()
    allows_changes = serializers.BooleanField()
    created_at = serializers.DateTimeField()
    ends_at = serializers.DateTimeField()
    withdrawn_at = serializers.DateTimeField(allow_null=True)


class SupportSessionOut(Out):
    """A stay of somebody of the support staff."""

    id = serializers.UUIDField()
    staff = serializers.CharField(source="person_name")
    reason = serializers.CharField()
    ticket = serializers.CharField()
    may_change = serializers.BooleanField(source="is_elevated")
    granted_by = serializers.CharField(help_text="Empty when it was broken open.")
    broken_open = serializers.BooleanField(source="is_broken_open")
    starts_at = serializers.DateTimeField(source="created_at")
    ends_at = serializers.DateTimeField(help_text="When it ends, or would have, by itself.")
    ended_at = serializers.DateTimeField(allow_null=True, help_text="Null: not ended by hand.")


class SupportAccess(ApiView):
    """``/organizations/{organization_id}/support-access``."""

    @endpoint(
        "list_support_access",
        TokenScope.AUDIT_READ,
        summary="List when the support staff was let in",
        query=PageQuery,
        gives={200: page_of(SupportAccessOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Those that are over are listed too."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(page(SupportGrant.objects.all(), **call.page))

    @endpoint(
        "grant_support_access",
        TokenScope.ORGANIZATIONS_WRITE,
        summary="Let the support staff in for some hours",
        takes=SupportAccessIn,
        gives={201: SupportAccessOut},
        example={"hours": 4, "allows_changes": False, "reason": "ticket 7"},
        is_dangerous=True,
    )
    def post(self, call: Call, organization_id: UUID) -> Reply:
        """Every page that they open is in the audit log. Without it they see nothing."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        grant = services.grant_access(
            actor=call.actor,
            organization=organization,
            hours=call.data["hours"],
            allows_changes=call.data["allows_changes"],
            reason=call.data.get("reason", ""),
        )
        ids = {"organization_id": organization.pk, "grant_id": grant.pk}
        return Reply(grant, 201, reverse("support-access-one", kwargs=ids))


class OneSupportAccess(ApiView):
    """``/organizations/{organization_id}/support-access/{grant_id}``."""

    @endpoint(
        "withdraw_support_access",
        TokenScope.ORGANIZATIONS_WRITE,
        summary="Send the support staff away",
        gives={204: None},
    )
    def delete(self, call: Call, organization_id: UUID, grant_id: UUID) -> Reply:
        """Sessions that it let in end at once."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            found = SupportGrant.objects.filter(pk=grant_id).first()
        if found is None:
            raise not_found()
        services.withdraw_access(actor=call.actor, grant=found)
        return Reply(None, 204)


class SupportSessions(ApiView):
    """``/organizations/{organization_id}/support-sessions``."""

    @endpoint(
        "list_support_sessions",
        TokenScope.AUDIT_READ,
        summary="List who of the support staff came in, and why",
        query=PageQuery,
        gives={200: page_of(SupportSessionOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """What they opened and did is in the audit events, by the actor kind `staff`."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(page(SupportSession.objects.all(), **call.page))
