"""Tokens of an organization over HTTP: issue, list, revoke. A token is shown once, when issued."""

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
from tenants.common import scope
from tenants.common.problems import Invalid
from tenants.organizations.models import Organization


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


class TokenOut(Out):
    """A token, without the token."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    hint = serializers.CharField(help_text="Prefix and last four characters.")
    scopes = serializers.ListField(child=serializers.CharField())
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField(allow_null=True)
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


def _find(call: Call, organization_id: UUID, token_id: UUID) -> OrganizationToken:
    organization = tenancy.find(call.principal, Organization, organization_id)
    with scope.tenant(organization.pk):
        token = OrganizationToken.objects.filter(pk=token_id).first()
    if token is None:
        raise not_found()
    return token
