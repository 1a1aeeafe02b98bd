"""Organizations over HTTP: create, list, read, change."""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.urls import reverse
from rest_framework import serializers

from tenants.access import tenancy
from tenants.access.authentication import Visitor
from tenants.access.models import TokenScope
from tenants.access.pagination import Page, page
from tenants.access.permissions import require_platform
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.api.erasure import EraseOrganization
from tenants.common import scope
from tenants.common.money import CURRENCIES
from tenants.organizations import services
from tenants.organizations.models import Organization, OrganizationStatus

_LOCALES = ("it", "en")


class OrganizationIn(In):
    """A new organization."""

    name = fields.Text(max_length=120)
    slug = fields.Slug(max_length=60, required=False)
    aisuru_tenant = fields.Host(max_length=253, required=False, allow_blank=True)
    owner_email = fields.Email(max_length=254)
    locale = fields.OneOf(choices=_LOCALES, default="it")
    timezone = fields.Zone(max_length=64, default="Europe/Rome")
    currency = fields.OneOf(choices=CURRENCIES, default="EUR")


class OrganizationChange(In):
    """What may change; the currency may not, because past costs are in it."""

    name = fields.Text(max_length=120)
    aisuru_tenant = fields.Host(max_length=253, allow_blank=True)
    owner_email = fields.Email(max_length=254)
    locale = fields.OneOf(choices=_LOCALES)
    timezone = fields.Zone(max_length=64)


class OrganizationOut(Out):
    """An organization."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField()
    aisuru_tenant = serializers.CharField()
    status = serializers.ChoiceField(choices=OrganizationStatus.choices)
    locale = serializers.CharField()
    timezone = serializers.CharField()
    currency = serializers.CharField()
    default_workspace_id = serializers.UUIDField()
    created_at = serializers.DateTimeField()


class Organizations(ApiView):
    """``/organizations``."""

    @endpoint(
        "list_organizations",
        TokenScope.ORGANIZATIONS_READ,
        summary="List organizations",
        query=PageQuery,
        gives={200: page_of(OrganizationOut)},
    )
    def get(self, call: Call) -> Reply:
        """A platform token sees all of them, an organization's token its own, a person theirs."""
        own = call.principal.organization_id
        if call.principal.visitor is not None:
            return Reply(Page(_of_person(call.principal.visitor), None))
        if own is not None:
            with scope.tenant(own):
                found = page(Organization.objects.all(), **call.page)
            ids = _default_workspace(own)
        else:
            with scope.platform():
                standing = Organization.objects.exclude(status=OrganizationStatus.ERASED)
                found = page(standing, **call.page)
                ids = tenancy.default_workspaces(row.pk for row in found.rows)
        return Reply(Page(list(_shown(found.rows, ids)), found.next))

    @endpoint(
        "create_organization",
        TokenScope.ORGANIZATIONS_WRITE,
        summary="Create an organization",
        takes=OrganizationIn,
        gives={201: OrganizationOut},
        refuses=(409,),
        example={"name": "Rossi Srl", "owner_email": "anna@rossi.example"},
    )
    def post(self, call: Call) -> Reply:
        """It comes with a default workspace of its own name. Platform tokens only."""
        require_platform(call.principal)
        facts = dict(call.data)
        facts["timezone_name"] = facts.pop("timezone")
        organization, workspace = services.create_organization(
            actor=call.actor, invite_owner=True, **facts
        )
        (shown,) = _shown([organization], {organization.pk: workspace.pk})
        address = reverse("organization", kwargs={"organization_id": organization.pk})
        return Reply(shown, 201, address)


class OneOrganization(EraseOrganization):
    """``/organizations/{organization_id}``."""

    @endpoint(
        "get_organization",
        TokenScope.ORGANIZATIONS_READ,
        summary="Read an organization",
        gives={200: OrganizationOut},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Read one."""
        return Reply(_read(call, organization_id))

    @endpoint(
        "update_organization",
        TokenScope.ORGANIZATIONS_WRITE,
        summary="Change an organization",
        takes=OrganizationChange,
        gives={200: OrganizationOut},
        example={"timezone": "Europe/Rome"},
    )
    def patch(self, call: Call, organization_id: UUID) -> Reply:
        """Only the members sent are changed."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        services.update_organization(actor=call.actor, organization=organization, changes=call.data)
        return Reply(_read(call, organization_id))


def _read(call: Call, organization_id: UUID) -> Any:
    organization = tenancy.find(call.principal, Organization, organization_id)
    (shown,) = _shown([organization], _default_workspace(organization.pk))
    return shown


def _of_person(visitor: Visitor) -> list[Any]:
    """Read the organizations of a person, newest first; somebody is in few."""
    rows: list[Any] = []
    for membership in reversed(visitor.memberships):
        with scope.tenant(membership.organization_id):
            row = Organization.objects.get()
        rows.extend(_shown([row], _default_workspace(row.pk)))
    return rows


def _default_workspace(organization_id: UUID) -> dict[UUID, UUID]:
    """Find an organization's default workspace, also for whoever may not look into it."""
    with scope.platform():
        return tenancy.default_workspaces([organization_id])


def _shown(rows: Iterable[Any], default_workspaces: dict[UUID, UUID]) -> Iterable[Any]:
    for row in rows:
        row.default_workspace_id = default_workspaces.get(row.pk)
        yield row
