"""Tokens of an organization over HTTP: issue, rotate, revoke. A token is shown once, when made."""

from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework import serializers

from tenants.access import services, tenancy
from tenants.access.errors import not_found
from tenants.access.models import OrganizationToken, TokenScope
from tenants.access.pagination import page
from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, PageQuery, Reply, endpoint, page_of
from tenants.common import grace, scope
from tenants.common.problems import Invalid
from tenants.organizations.models import Organization

_MOST_NETWORKS = 50


def _networks() -> fields.Several:
    return fields.Several(
        child=fields.Network(max_length=43),
        max_length=_MOST_NETWORKS,
        required=False,
        help_text="From where it may be used, as CIDR. Empty or absent: from anywhere.",
    )


class TokenIn(In):
    """A new token."""

    name = fields.Text(max_length=120)
    scopes = fields.Several(
        child=fields.OneOf(choices=TokenScope.choices),
        min_length=1,
        max_length=len(TokenScope),
        required=False,
        help_text="Without it, every scope that your own token has.",
    )
    expires_at = fields.Instant(required=False, allow_null=True)
    allowed_networks = _networks()


class TokenChange(In):
    """What can be changed of a token; its scopes cannot."""

    name = fields.Text(max_length=120)
    allowed_networks = _networks()


class TokenRotationIn(In):
    """How to replace a token."""

    grace_seconds = fields.Whole(
        min_value=0,
        max_value=grace.MAX_SECONDS,
        default=0,
        help_text="For how long the token before works on, up to 30 days.",
    )


class TokenOut(Out):
    """A token, without the token."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    hint = serializers.CharField(help_text="Prefix and last four characters.")
    scopes = serializers.ListField(child=serializers.CharField())
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
    allowed_networks = serializers.ListField(child=serializers.CharField())
    last_used_at = serializers.DateTimeField(
        allow_null=True,
        help_text="Up to five minutes late; null: never since it was issued or last rotated.",
    )
    former_ends_at = serializers.DateTimeField(
        allow_null=True, help_text="Until when the token before the last rotation works."
    )
    former_last_used_at = serializers.DateTimeField(
        allow_null=True,
        help_text="When the token before the last rotation was last used: up to five minutes late.",
    )
    revoked_at = serializers.DateTimeField(allow_null=True)


class IssuedTokenOut(TokenOut):
    """A token that was just issued."""

    token = serializers.CharField(help_text="Shown only here.")


class Tokens(ApiView):
    """``/organizations/{organization_id}/tokens``."""

    @endpoint(
        "list_tokens",
        TokenScope.TOKENS_READ,
        summary="List the tokens of an organization",
        query=PageQuery,
        gives={200: page_of(TokenOut)},
    )
    def get(self, call: Call, organization_id: UUID) -> Reply:
        """Revoked and expired ones are listed too."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        with scope.tenant(organization.pk):
            return Reply(page(OrganizationToken.objects.all(), **call.page))

    @endpoint(
        "issue_token",
        TokenScope.TOKENS_WRITE,
        summary="Issue a token",
        takes=TokenIn,
        gives={201: IssuedTokenOut},
        example={"name": "Nightly export", "scopes": ["spend:read"]},
        is_dangerous=True,
    )
    def post(self, call: Call, organization_id: UUID) -> Reply:
        """Nobody can give a scope that they do not have."""
        organization = tenancy.find(call.principal, Organization, organization_id)
        expires_at = call.data.get("expires_at")
        if expires_at is not None and expires_at <= timezone.now():
            detail = _("This instant is over.")
            raise Invalid.field("/expires_at", "expired_already", detail)
        own = call.principal.scopes
        row, token = services.issue_organization_token(
            actor=call.actor,
            organization=organization,
            name=call.data["name"],
            scopes=call.data.get("scopes", own),
            grantable=own,
            expires_at=expires_at,
            allowed_networks=call.data.get("allowed_networks", ()),
        )
        shown: Any = row
        shown.token = token.reveal()
        address = reverse("token", kwargs={"organization_id": organization_id, "token_id": row.pk})
        return Reply(shown, 201, address)


class OneToken(ApiView):
    """``/organizations/{organization_id}/tokens/{token_id}``."""

    @endpoint(
        "get_token",
        TokenScope.TOKENS_READ,
        summary="Read a token's facts",
        gives={200: TokenOut},
    )
    def get(self, call: Call, organization_id: UUID, token_id: UUID) -> Reply:
        """Read one; the token itself is never shown again."""
        return Reply(_find(call, organization_id, token_id))

    @endpoint(
        "update_token",
        TokenScope.TOKENS_WRITE,
        summary="Rename a token, or change from where it may be used",
        takes=TokenChange,
        gives={200: TokenOut},
        example={"allowed_networks": ["203.0.113.0/24"]},
        is_dangerous=True,
    )
    def patch(self, call: Call, organization_id: UUID, token_id: UUID) -> Reply:
        """Only the members sent are changed."""
        token = _find(call, organization_id, token_id)
        services.update_organization_token(actor=call.actor, token=token, changes=call.data)
        return Reply(_find(call, organization_id, token_id))

    @endpoint(
        "revoke_token",
        TokenScope.TOKENS_WRITE,
        summary="Revoke a token",
        gives={204: None},
    )
    def delete(self, call: Call, organization_id: UUID, token_id: UUID) -> Reply:
        """It stops at once; revoking it again changes nothing."""
        token = _find(call, organization_id, token_id)
        services.revoke_organization_token(actor=call.actor, token=token)
        return Reply(None, 204)


class RotateToken(ApiView):
    """``/organizations/{organization_id}/tokens/{token_id}/rotate``."""

    @endpoint(
        "rotate_token",
        TokenScope.TOKENS_WRITE,
        summary="Replace a token behind its id",
        takes=TokenRotationIn,
        gives={200: IssuedTokenOut},
        refuses=(409,),
        example={"grace_seconds": 3600},
        is_dangerous=True,
        is_action=True,
    )
    def post(self, call: Call, organization_id: UUID, token_id: UUID) -> Reply:
        """The token before stops after the grace, at once without one.

        Nobody can rotate a token that may do more than they may.
        """
        token = _find(call, organization_id, token_id)
        fresh = services.rotate_organization_token(
            actor=call.actor,
            token=token,
            grantable=call.principal.scopes,
            grace_seconds=call.data["grace_seconds"],
        )
        shown: Any = _find(call, organization_id, token_id)
        shown.token = fresh.reveal()
        return Reply(shown)


def _find(call: Call, organization_id: UUID, token_id: UUID) -> OrganizationToken:
    organization = tenancy.find(call.principal, Organization, organization_id)
    with scope.tenant(organization.pk):
        token = OrganizationToken.objects.filter(pk=token_id).first()
    if token is None:
        raise not_found()
    return token
