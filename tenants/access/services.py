"""Verbs on API tokens: issue, rotate, revoke. The plaintext is returned once and kept nowhere."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from tenants.access.models import OrganizationToken, PlatformToken, TokenScope
from tenants.common import grace, scope
from tenants.common.problems import Conflict, Forbidden
from tenants.common.secrets import Secret
from tenants.common.tokens import TokenKind, digest, hint, mint
from tenants.organizations import audit
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization

log = structlog.get_logger(__name__)

ALL_SCOPES = frozenset(TokenScope.values)


def issue_platform_token(
    *,
    actor: Actor,
    name: str,
    scopes: Collection[str] = ALL_SCOPES,
    expires_at: datetime | None = None,
    allowed_networks: Collection[str] = (),
) -> tuple[PlatformToken, Secret[str]]:
    """Issue a token that may act for any organization.

    It belongs to no organization, so no audit chain holds it: the log does.

    Args:
        actor: who asks.
        name: what people call it.
        scopes: what it may do.
        expires_at: when it stops by itself; None for never.
        allowed_networks: from where it may be used, as CIDR; from anywhere if there are none.
    """
    token = mint(TokenKind.PLATFORM)
    row = PlatformToken.objects.create(
        name=name,
        digest=digest(token.reveal()),
        hint=hint(token),
        scopes=sorted(set(scopes)),
        created_by=actor.name,
        expires_at=expires_at,
        allowed_networks=sorted(set(allowed_networks)),
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
    allowed_networks: Collection[str] = (),
) -> tuple[OrganizationToken, Secret[str]]:
    """Issue a token of one organization.

    Args:
        actor: who asks.
        organization: whose token it will be.
        name: what people call it.
        scopes: what it may do.
        grantable: what the one who asks may do; nobody gives away more than they have.
        expires_at: when it stops by itself; None for never.
        allowed_networks: from where it may be used, as CIDR; from anywhere if there are none.

    Raises:
        Forbidden: ``scope_missing``: a scope that the caller does not have.
    """
    _require_grantable(scopes, grantable)
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
            allowed_networks=sorted(set(allowed_networks)),
        )
        audit.record(actor=actor, organization_id=organization.id, verb="token.issued", target=row)
    return row, token


def update_organization_token(
    *, actor: Actor, token: OrganizationToken, changes: Mapping[str, Any]
) -> None:
    """Give a token another name, or other networks that it may be used from.

    Args:
        actor: who asks.
        token: which.
        changes: ``name``, ``allowed_networks``.
    """
    changed = sorted(name for name in changes if getattr(token, name) != changes[name])
    if not changed:
        return
    with scope.tenant(token.organization_id):
        OrganizationToken.objects.filter(pk=token.pk).update(**changes)
        audit.record(
            actor=actor,
            organization_id=token.organization_id,
            verb="token.updated",
            target=token,
            changed=changed,
        )


def rotate_organization_token(
    *, actor: Actor, token: OrganizationToken, grantable: Collection[str], grace_seconds: int = 0
) -> Secret[str]:
    """Put another token behind the same id; the one before works on for the grace.

    A grace that still runs from an earlier rotation ends at once.

    Args:
        actor: who asks.
        token: which.
        grantable: what the one who asks may do: whoever gets a token gets its scopes.
        grace_seconds: for how long the one before works on.

    Raises:
        Forbidden: ``scope_missing``.
        Conflict: ``token_over``: it was revoked or has expired.
        Invalid: ``grace_out_of_range``.
    """
    _require_grantable(token.scopes, grantable)
    fresh = mint(TokenKind.ORGANIZATION)
    with scope.tenant(token.organization_id):
        _replace(OrganizationToken.objects.filter(pk=token.pk), fresh, grace_seconds)
        audit.record(
            actor=actor,
            organization_id=token.organization_id,
            verb="token.rotated",
            target=token,
        )
    return fresh


def rotate_platform_token(
    *, actor: Actor, token: PlatformToken, grace_seconds: int = 0
) -> Secret[str]:
    """Put another token behind the same id; the one before works on for the grace.

    Raises:
        Conflict: ``token_over``.
        Invalid: ``grace_out_of_range``.
    """
    fresh = mint(TokenKind.PLATFORM)
    _replace(PlatformToken.objects.filter(pk=token.pk), fresh, grace_seconds)
    log.info("platform_token_rotated", token_id=str(token.pk), actor=actor.name)
    return fresh


def set_platform_scopes(*, actor: Actor, token: PlatformToken, scopes: Collection[str]) -> None:
    """Have a platform token do these things from now on, and nothing else.

    Raises:
        Conflict: ``token_over``.
    """
    wanted = sorted(set(scopes))
    if not PlatformToken.objects.filter(pk=token.pk, revoked_at=None).update(scopes=wanted):
        raise _over()
    log.info("platform_token_scoped", token_id=str(token.pk), scopes=wanted, actor=actor.name)


def _replace(row: QuerySet[Any], fresh: Secret[str], grace_seconds: int) -> None:
    grace.check(grace_seconds)
    live = row.filter(Q(expires_at=None) | Q(expires_at__gt=Now()), revoked_at=None)
    won = live.update(
        digest=digest(fresh.reveal()),
        hint=hint(fresh),
        former_digest=F("digest"),
        former_ends_at=Now() + timedelta(seconds=grace_seconds),
        former_last_used_at=F("last_used_at"),
        last_used_at=None,
    )
    if not won:
        raise _over()


def _over() -> Conflict:
    return Conflict("token_over", _("This token was revoked or has expired. Issue a new one."))


def _require_grantable(scopes: Collection[str], grantable: Collection[str]) -> None:
    if beyond := sorted(set(scopes) - set(grantable)):
        detail = _("Your token does not have these scopes, so it cannot give them: %(scopes)s.")
        raise Forbidden("scope_missing", detail % {"scopes": ", ".join(beyond)})


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
