"""Verbs on API tokens: issue and revoke. The plaintext is returned once and kept nowhere."""

from collections.abc import Collection
from datetime import datetime

import structlog
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.access.models import OrganizationToken, PlatformToken, TokenScope
from tenants.common import scope
from tenants.common.problems import Forbidden
from tenants.common.secrets import Secret
from tenants.common.tokens import TokenKind, digest, hint, mint
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization

log = structlog.get_logger(__name__)

ALL_SCOPES = frozenset(TokenScope.values)


def issue_platform_token(
    *, actor: Actor, name: str, scopes: Collection[str] = ALL_SCOPES
) -> tuple[PlatformToken, Secret[str]]:
    """Issue a token that may act for any organization.

    It belongs to no organization, so no audit chain holds it: the log does.
    """
    token = mint(TokenKind.PLATFORM)
    row = PlatformToken.objects.create(
        name=name,
        digest=digest(token.reveal()),
        hint=hint(token),
        scopes=sorted(set(scopes)),
        created_by=actor.name,
    )
    log.info("platform_token_issued", token_id=str(row.id), scopes=row.scopes, actor=actor.name)
    return row, token


def issue_organization_token(
    *,
    actor: Actor,
    organization: Organization,
    name: str,
    scopes: Collection[str],
    grantable: Collection[str],
    expires_at: datetime | None = None,
) -> tuple[OrganizationToken, Secret[str]]:
    """Issue a token of one organization.

    Args:
        actor: who asks.
        organization: whose token it will be.
        name: what people call it.
        scopes: what it may do.
        grantable: what the one who asks may do; nobody gives away more than they have.
        expires_at: when it stops by itself; None for never.

    Raises:
        Forbidden: ``scope_missing``: a scope that the caller does not have.
    """
    if beyond := sorted(set(scopes) - set(grantable)):
        detail = _("Your token does not have these scopes, so it cannot give them: %(scopes)s.")
        raise Forbidden("scope_missing", detail % {"scopes": ", ".join(beyond)})
    token = mint(TokenKind.ORGANIZATION)
    with scope.tenant(organization.id):
        row = OrganizationToken.objects.create(
            organization_id=organization.id,
            name=name,
            digest=digest(token.reveal()),
            hint=hint(token),
            scopes=sorted(set(scopes)),
            created_by=actor.name,
            expires_at=expires_at,
        )
        audit.record(actor=actor, organization_id=organization.id, verb="token.issued", target=row)
    return row, token


def revoke_organization_token(*, actor: Actor, token: OrganizationToken) -> None:
    """Revoke a token at once; revoking it again changes nothing."""
    with scope.tenant(token.organization_id):
        live = OrganizationToken.objects.filter(pk=token.pk, revoked_at=None)
        if live.update(revoked_at=timezone.now()):
            audit.record(
                actor=actor,
                organization_id=token.organization_id,
                verb="token.revoked",
                target=token,
            )


def revoke_platform_token(*, actor: Actor, token: PlatformToken) -> None:
    """Revoke a platform token at once; revoking it again changes nothing."""
    live = PlatformToken.objects.filter(pk=token.pk, revoked_at=None)
    if live.update(revoked_at=timezone.now()):
        log.info("platform_token_revoked", token_id=str(token.pk), actor=actor.name)


def note_export(*, actor: Actor, organization: Organization) -> None:
    """Write down that somebody takes everything of an organization away."""
    with scope.tenant(organization.pk):
        audit.record(
            actor=actor,
            organization_id=organization.pk,
            verb="organization.exported",
            target=organization,
        )
