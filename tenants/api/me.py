"""The person who is signed in, over HTTP: who, where a member, and how to become one somewhere."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils.translation import gettext as _
from rest_framework import serializers

from tenants.access import sessions
from tenants.access.authentication import Visitor
from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.access.permissions import require_person, require_terms
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.api.people_fields import WorkspacePlaceOut
from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.organizations import invitations, joining, members, roles
from tenants.organizations.members import Membership
from tenants.organizations.models import Member, Organization
from tenants.organizations.roles import Role
from tenants.people import services

_LOCALES = ("it", "en")


class PersonChange(In):
    """What a person may change of themselves; addresses are changed where one signs in."""

    name = fields.Text(max_length=120)
    locale = fields.OneOf(choices=_LOCALES)


class TermsIn(In):
    """The terms that are accepted."""

    version = fields.Text(max_length=32)


class ChoiceIn(In):
    """An organization."""

    organization_id = fields.Id()


class FoundingIn(In):
    """A new organization."""

    name = fields.Text(max_length=120)


class AcceptIn(In):
    """The link of an invitation, or an invitation of one's own list."""

    token = fields.SecretText(required=False, help_text="The end of the link.")
    invitation_id = fields.Id(required=False)


class MembershipOut(Out):
    """Where the person is a member, and what that allows."""

    organization_id = serializers.UUIDField()
    name = serializers.CharField()
    member_id = serializers.UUIDField()
    role = serializers.ChoiceField(choices=Role.choices)
    workspaces = WorkspacePlaceOut(many=True)
    capabilities = serializers.ListField(
        child=serializers.CharField(),
        help_text="Everywhere in it; a workspace's role adds to them there.",
    )


class TermsOut(Out):
    """The terms in force."""

    version = serializers.CharField()
    accepted = serializers.BooleanField()


class JoinableOut(Out):
    """An organization that one may ask to join."""

    organization_id = serializers.UUIDField()
    name = serializers.CharField()
    requested = serializers.BooleanField()


class OwnInvitationOut(Out):
    """An invitation to one of the person's verified addresses."""

    invitation_id = serializers.UUIDField()
    organization_name = serializers.CharField()
    role = serializers.ChoiceField(choices=Role.choices)
    invited_by = serializers.CharField()
    expires_at = serializers.DateTimeField()


class PersonOut(Out):
    """The person who is signed in."""

    id = serializers.UUIDField()
    email = serializers.CharField()
    name = serializers.CharField()
    locale = serializers.CharField()
    verified_addresses = serializers.ListField(child=serializers.CharField())
    terms = TermsOut()
    is_sudo = serializers.BooleanField(
        help_text="Whether dangerous acts are open without proving again who one is."
    )
    organization_id = serializers.UUIDField(
        allow_null=True, help_text="Where a request acts that names no organization."
    )
    organizations = MembershipOut(many=True)
    invitations = OwnInvitationOut(many=True)
    joinable = JoinableOut(many=True)


class JoinedOut(Out):
    """A membership that was just made."""

    organization_id = serializers.UUIDField()
    member_id = serializers.UUIDField()
    role = serializers.ChoiceField(choices=Role.choices)


class AskedOut(Out):
    """A request to join."""

    id = serializers.UUIDField()
    organization_id = serializers.UUIDField()
    status = serializers.CharField()


class Me(ApiView):
    """``/me``."""

    @endpoint("get_me", summary="Read who is signed in", gives={200: PersonOut}, is_personal=True)
    def get(self, call: Call) -> Reply:
        """With organizations, invitations, and organizations that one may ask to join."""
        return Reply(_shown(require_person(call.principal)))

    @endpoint(
        "update_me",
        summary="Change one's name or language",
        takes=PersonChange,
        gives={200: PersonOut},
        example={"locale": "it"},
        is_personal=True,
    )
    def patch(self, call: Call) -> Reply:
        """Only the members sent are changed."""
        visitor = require_person(call.principal)
        services.update_person(person=visitor.person, changes=call.data)
        return Reply(_shown(visitor))


class MyTerms(ApiView):
    """``/me/terms``."""

    @endpoint(
        "accept_terms",
        summary="Accept the terms in force",
        takes=TermsIn,
        gives={204: None},
        example={"version": services.TERMS_VERSION},
        is_personal=True,
    )
    def post(self, call: Call) -> Reply:
        """Accepting twice changes nothing."""
        visitor = require_person(call.principal)
        services.accept_terms(person=visitor.person, version=call.data["version"])
        return Reply(None, 204)


class MyOrganization(ApiView):
    """``/me/organization``."""

    @endpoint(
        "choose_organization",
        summary="Choose where requests act that name no organization",
        takes=ChoiceIn,
        gives={204: None},
        example={"organization_id": "01999999-0000-7000-8000-000000000001"},
        is_personal=True,
    )
    def put(self, call: Call) -> Reply:
        """For this session."""
        membership = _membership(require_person(call.principal), call.data["organization_id"])
        sessions.choose(call.request._request, membership.organization_id)  # noqa: SLF001 - it has the session
        return Reply(None, 204)


class MyOrganizations(ApiView):
    """``/me/organizations``."""

    @endpoint(
        "found_organization",
        summary="Make an organization and become its administrator",
        takes=FoundingIn,
        gives={201: JoinedOut},
        example={"name": "Rossi Srl"},
        is_personal=True,
    )
    def post(self, call: Call) -> Reply:
        """It comes with a default workspace of its own name. A verified address is needed."""
        visitor = require_terms(call.principal)
        organization = joining.found(
            actor=call.actor, person=visitor.person, name=call.data["name"]
        )
        with scope.tenant(organization.pk):
            member = Member.objects.get(person=visitor.person)
        address = reverse("organization", kwargs={"organization_id": organization.pk})
        return Reply(_joined(member), 201, address)


class LeaveOrganization(ApiView):
    """``/me/organizations/{organization_id}``."""

    @endpoint(
        "leave_organization",
        summary="Leave an organization",
        gives={204: None},
        refuses=(409,),
        is_personal=True,
    )
    def delete(self, call: Call, organization_id: UUID) -> Reply:
        """The last administrator cannot."""
        membership = _membership(require_person(call.principal), organization_id)
        with scope.tenant(organization_id):
            member = Member.objects.filter(pk=membership.member_id).first()
        if member is None:
            raise not_found()
        members.remove_member(actor=call.actor, member=member)
        return Reply(None, 204)


class MyJoinRequests(ApiView):
    """``/me/join-requests``."""

    @endpoint(
        "ask_to_join",
        summary="Ask to join an organization of one's mail domain",
        takes=ChoiceIn,
        gives={202: AskedOut},
        example={"organization_id": "01999999-0000-7000-8000-000000000001"},
        is_personal=True,
    )
    def post(self, call: Call) -> Reply:
        """An administrator decides; asking twice gives the request that is open."""
        visitor = require_terms(call.principal)
        request = joining.ask(
            actor=call.actor,
            person=visitor.person,
            organization_id=call.data["organization_id"],
        )
        return Reply(request, 202)


class MyInvitations(ApiView):
    """``/me/invitations``."""

    @endpoint(
        "accept_invitation",
        summary="Accept an invitation",
        takes=AcceptIn,
        gives={201: JoinedOut},
        refuses=(409,),
        is_personal=True,
    )
    def post(self, call: Call) -> Reply:
        """By the link that came by mail, or by the id of an invitation that `/me` lists.

        Either way it must be for one of the person's verified addresses. A link works once.
        """
        visitor = require_terms(call.principal)
        if len(call.data) != 1:
            detail = _("Send either token or invitation_id.")
            raise Invalid.field("/token", "ambiguous", detail)
        link = call.data.get("token")
        member = invitations.accept(
            actor=call.actor,
            person=visitor.person,
            token=link.reveal() if link else None,
            invitation_id=call.data.get("invitation_id"),
        )
        ids = {"organization_id": member.organization_id}
        return Reply(_joined(member), 201, reverse("organization", kwargs=ids))


def _membership(visitor: Visitor, organization_id: UUID) -> Membership:
    for one in visitor.memberships:
        if one.organization_id == organization_id:
            return one
    raise not_found()


def _joined(member: Member) -> dict[str, Any]:
    return {
        "organization_id": member.organization_id,
        "member_id": member.pk,
        "role": member.role,
    }


def _shown(visitor: Visitor) -> dict[str, Any]:
    person = visitor.person
    current = visitor.current
    return {
        "id": person.pk,
        "email": person.email,
        "name": person.name,
        "locale": person.locale,
        "verified_addresses": services.verified_addresses(person),
        "terms": {"version": services.TERMS_VERSION, "accepted": visitor.has_terms},
        "is_sudo": visitor.is_sudo,
        "organization_id": current.organization_id if current else None,
        "organizations": [_shown_membership(one) for one in visitor.memberships],
        "invitations": invitations.open_for(person),
        "joinable": joining.joinable_for(person),
    }


def _shown_membership(membership: Membership) -> dict[str, Any]:
    with scope.tenant(membership.organization_id):
        name = Organization.objects.get().name
    everything = frozenset(TokenScope.values)
    return {
        "organization_id": membership.organization_id,
        "name": name,
        "member_id": membership.member_id,
        "role": membership.role,
        "workspaces": [
            {"id": row_id, "role": role.value} for row_id, role in membership.workspaces.items()
        ],
        "capabilities": sorted(roles.capabilities_of(membership.role, everything)),
    }
