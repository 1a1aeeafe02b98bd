"""Invitations over HTTP: send several, list, read, send again, take back."""

from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.access.permissions import require_sudo
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, Out, PageQuery, Reply, endpoint, page_of
from tenants.api.people_fields import Addresses, PlaceIn, WorkspacePlaceOut, place_of
from tenants.common import scope
from tenants.organizations import invitations
from tenants.organizations.invitations import Outcome
from tenants.organizations.models import Invitation, InvitationStatus, Organization
from tenants.organizations.roles import Role


class InvitationsIn(PlaceIn):
    """Whom to invite, and what they become."""

    emails = Addresses()


class InvitationsQuery(PageQuery):
    """Which invitations."""

    status = fields.OneOf(choices=InvitationStatus.choices, required=False)


class InvitationOut(Out):
    """An invitation, without its link."""

    id = serializers.UUIDField()
    email = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    workspaces = serializers.SerializerMethodField()
    status = serializers.SerializerMethodField()
    invited_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    mailed_at = serializers.DateTimeField(allow_null=True)
    closed_at = serializers.DateTimeField(
        allow_null=True, help_text="When it was accepted or taken back."
    )

    @extend_schema_field(WorkspacePlaceOut(many=True))
    def get_workspaces(self, row: Invitation) -> Any:
        """Name the workspaces that it leads to."""
        return [{"id": row_id, "role": role} for row_id, role in row.workspaces]

    @extend_schema_field(serializers.ChoiceField(choices=InvitationStatus.choices))
    def get_status(self, row: Invitation) -> str:
        """Tell what became of it by now."""
        return row.status_at(timezone.now()).value


class InvitationResultOut(Out):
    """What became of one address."""

    email = serializers.CharField(help_text="In its one spelling; as typed if it is no address.")
    result = serializers.ChoiceField(choices=[one.value for one in Outcome], source="outcome")
    invitation = InvitationOut(allow_null=True)


class InvitationResultsOut(Out):
    """One result per address."""

    results = InvitationResultOut(many=True)


class Invitations(ApiView):
    """``/organizations/{organization_id}/invitations``."""

    @endpoint(
        "list_invitations",
        TokenScope.MEMBERS_READ,
        summary="List the invitations of an organization",
        query=InvitationsQuery,
        gives={200: page_of(InvitationOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Also those that were accepted, taken back or have expired."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(page(invitations.with_status(call.data.get("status")), **call.page))

    @endpoint(
        "invite",
        TokenScope.MEMBERS_WRITE,
        summary="Invite people",
        takes=InvitationsIn,
        gives={200: InvitationResultsOut},
        example={"emails": "anna@rossi.example, bruno@rossi.example", "role": "member"},
        strictly="mail",
    )
    def post(self, call: Call, organization_id: UUID) -> Reply:
        """Each address gets a result of its own; a link that works for a week goes out by mail.

        To invite administrators, a person has to have confirmed within minutes that it is really
        them.
        """
        organization = tenancy.find(call.principal, Organization, organization_id)
        place = place_of(call.data)
        if place["role"] == Role.ADMIN:
            require_sudo(call.principal)
        results = invitations.invite(
            actor=call.actor, organization=organization, addresses=call.data["emails"], **place
        )
        return Reply({"results": results})


class OneInvitation(ApiView):
    """``/organizations/{organization_id}/invitations/{invitation_id}``."""

    @endpoint(
        "get_invitation",
        TokenScope.MEMBERS_READ,
        summary="Read an invitation",
        gives={200: InvitationOut},
    )
    def get(self, call: Call, organization_id: UUID, invitation_id: UUID) -> Reply:
        """Its link is never shown."""
        return Reply(_find(call, organization_id, invitation_id))

    @endpoint(
        "revoke_invitation",
        TokenScope.MEMBERS_WRITE,
        summary="Take an invitation back",
        gives={204: None},
    )
    def delete(self, call: Call, organization_id: UUID, invitation_id: UUID) -> Reply:
        """Its link stops at once; what was accepted stays."""
        invitation = _find(call, organization_id, invitation_id)
        invitations.revoke(actor=call.actor, invitation=invitation)
        return Reply(None, 204)


class ResendInvitation(ApiView):
    """``/organizations/{organization_id}/invitations/{invitation_id}/resend``."""

    @endpoint(
        "resend_invitation",
        TokenScope.MEMBERS_WRITE,
        summary="Send an invitation again",
        gives={200: InvitationOut},
        refuses=(409,),
        strictly="mail",
        is_action=True,
    )
    def post(self, call: Call, organization_id: UUID, invitation_id: UUID) -> Reply:
        """With a new link for another week; the one before stops working."""
        invitation = _find(call, organization_id, invitation_id)
        return Reply(invitations.send_again(actor=call.actor, invitation=invitation))


def _find(call: Call, organization_id: UUID, invitation_id: UUID) -> Invitation:
    organization = tenancy.find(call.principal, Organization, organization_id)
    with scope.tenant(organization.pk):
        found = Invitation.objects.filter(pk=invitation_id).first()
    if found is None:
        raise not_found()
    return found
