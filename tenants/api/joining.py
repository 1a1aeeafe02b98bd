"""Joining without an invitation over HTTP: domains whose readers may ask, and who asked."""

from uuid import UUID

from django.urls import reverse
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.pagination import page
from tenants.access.permissions import require_sudo
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.api.members import MemberOut
from tenants.api.people_fields import PlaceIn, place_of
from tenants.common import scope
from tenants.organizations import joining
from tenants.organizations.models import (
    JoinRequest,
    JoinRequestStatus,
    Organization,
    OrganizationDomain,
)
from tenants.organizations.roles import Role


class DomainIn(In):
    """A domain of e-mail."""

    domain = fields.Text(max_length=253)


class DomainOut(Out):
    """A domain whose verified readers may ask to join."""

    id = serializers.UUIDField()
    domain = serializers.CharField()
    created_at = serializers.DateTimeField()


class JoinRequestOut(Out):
    """A person who asks to join."""

    id = serializers.UUIDField()
    name = serializers.CharField(source="person.name")
    email = serializers.CharField()
    status = serializers.ChoiceField(choices=JoinRequestStatus.choices)
    created_at = serializers.DateTimeField()
    decided_at = serializers.DateTimeField(allow_null=True)


class Domains(ApiView):
    """``/organizations/{organization_id}/domains``."""

    @endpoint(
        "list_domains",
        TokenScope.MEMBERS_READ,
        summary="List the domains whose readers may ask to join",
        query=PageQuery,
        gives={200: page_of(DomainOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """An organization that somebody founded has the domain of its founder's address."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(page(OrganizationDomain.objects.all(), **call.page))

    @endpoint(
        "add_domain",
        TokenScope.MEMBERS_WRITE,
        summary="Let the readers of a domain ask to join",
        takes=DomainIn,
        gives={201: DomainOut},
        example={"domain": "rossi.example"},
        is_dangerous=True,
    )
    def post(self, call: Call, organization_id: UUID) -> Reply:
        """A person needs a verified address in it; domains of mail providers are refused."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        visitor = call.principal.visitor
        domain = joining.add_domain(
            actor=call.actor,
            organization=organization,
            person=visitor.person if visitor else None,
            domain=call.data["domain"],
        )
        ids = {"organization_id": organization.pk, "domain_id": domain.pk}
        return Reply(domain, 201, reverse("domain", kwargs=ids))


class OneDomain(ApiView):
    """``/organizations/{organization_id}/domains/{domain_id}``."""

    @endpoint(
        "remove_domain",
        TokenScope.MEMBERS_WRITE,
        summary="Stop the readers of a domain from asking",
        gives={204: None},
    )
    def delete(self, call: Call, organization_id: UUID, domain_id: UUID) -> Reply:
        """Requests that were made already stay."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            found = OrganizationDomain.objects.filter(pk=domain_id).first()
        if found is None:
            raise not_found()
        joining.remove_domain(actor=call.actor, domain=found)
        return Reply(None, 204)


class JoinRequests(ApiView):
    """``/organizations/{organization_id}/join-requests``."""

    @endpoint(
        "list_join_requests",
        TokenScope.MEMBERS_READ,
        summary="List who asked to join",
        query=PageQuery,
        gives={200: page_of(JoinRequestOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Also those that were decided."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(page(JoinRequest.objects.select_related("person"), **call.page))


class ApproveJoinRequest(ApiView):
    """``/organizations/{organization_id}/join-requests/{join_request_id}/approve``."""

    @endpoint(
        "approve_join_request",
        TokenScope.MEMBERS_WRITE,
        summary="Let somebody in who asked",
        takes=PlaceIn,
        gives={200: MemberOut},
        refuses=(409,),
        example={"role": "member"},
    )
    def post(self, call: Call, organization_id: UUID, join_request_id: UUID) -> Reply:
        """With the role and the workspaces that the body says."""
        place = place_of(call.data)
        if place["role"] == Role.ADMIN:
            require_sudo(call.principal)
        request = _find(call, organization_id, join_request_id)
        return Reply(joining.approve(actor=call.actor, request=request, **place))


class DeclineJoinRequest(ApiView):
    """``/organizations/{organization_id}/join-requests/{join_request_id}/decline``."""

    @endpoint(
        "decline_join_request",
        TokenScope.MEMBERS_WRITE,
        summary="Keep somebody out who asked",
        gives={204: None},
        refuses=(409,),
    )
    def post(self, call: Call, organization_id: UUID, join_request_id: UUID) -> Reply:
        """They may ask again."""
        request = _find(call, organization_id, join_request_id)
        joining.decline(actor=call.actor, request=request)
        return Reply(None, 204)


def _find(call: Call, organization_id: UUID, join_request_id: UUID) -> JoinRequest:
    organization = tenancy.find(call.principal, Organization, organization_id)
    with scope.tenant(organization.pk):
        found = JoinRequest.objects.select_related("person").filter(pk=join_request_id).first()
    if found is None:
        raise not_found()
    return found
