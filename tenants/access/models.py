"""Tokens of the management API, and the answers already given under an idempotency key."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenants.common.models import Row, TenantRow


class TokenScope(models.TextChoices):
    """A right that a token can carry; one value grants nothing of another."""

    ORGANIZATIONS_READ = "organizations:read"
    ORGANIZATIONS_WRITE = "organizations:write"
    WORKSPACES_READ = "workspaces:read"
    WORKSPACES_WRITE = "workspaces:write"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    BILLING_READ = "billing:read"
    BILLING_WRITE = "billing:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    KEYS_USE = "keys:use"
    MODELS_READ = "models:read"
    MODELS_WRITE = "models:write"
    SPEND_READ = "spend:read"
    USAGE_WRITE = "usage:write"
    SPEND_WRITE = "spend:write"
    LIMITS_READ = "limits:read"
    LIMITS_WRITE = "limits:write"
    TOKENS_READ = "tokens:read"
    TOKENS_WRITE = "tokens:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    AUDIT_READ = "audit:read"
    ORGANIZATIONS_EXPORT = "organizations:export"


class TokenRow(models.Model):
    """What every API token keeps: never the token, only its digest.

    After a rotation ``former_digest`` is that of the token before, which works until
    ``former_ends_at``. ``allowed_networks``: where it may be used from, as CIDR; empty: anywhere.
    ``last_used_at`` and, of the token before, ``former_last_used_at`` are minutes late
    (``tokens.note_use``). ``opened_with_former``: a request came with the token before.
    """

    name = models.CharField(max_length=120)
    digest = models.BinaryField(max_length=32, unique=True)
    former_digest = models.BinaryField(max_length=32, unique=True, null=True)
    former_ends_at = models.DateTimeField(null=True)
    former_last_used_at = models.DateTimeField(null=True)
    hint = models.CharField(max_length=24)
    scopes = ArrayField(models.CharField(max_length=32), default=list)
    allowed_networks = ArrayField(models.CharField(max_length=43), default=list)
    last_used_at = models.DateTimeField(null=True)
    created_by = models.CharField(max_length=254)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    opened_with_former = False

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.hint

    def is_expired(self, at: datetime) -> bool:
        """Tell whether the token's time is over at an instant."""
        return self.expires_at is not None and self.expires_at <= at


class PlatformToken(Row, TokenRow):
    """A token of AIsuru's backend: it may act for any organization, within its scopes."""

    class Meta:
        ordering = ["-id"]


class OrganizationToken(TenantRow, TokenRow):
    """A token of one organization's scripts."""

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["organization", "-id"], name="org_token_list_idx")]


class RequestRow(models.Model):
    """A request made under an idempotency key, and the answer it was given.

    While it runs it is claimed until ``claimed_until``; afterwards ``status`` is set. The answer of
    a tenant's request lies sealed in ``body``, because it may show a token.
    """

    token_id = models.UUIDField()
    key = models.CharField(max_length=255)
    fingerprint = models.BinaryField(max_length=32)
    request_id = models.CharField(max_length=64)
    claim = models.UUIDField()
    claimed_until = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)
    content_type = models.CharField(max_length=64, blank=True)
    location = models.CharField(max_length=255, blank=True)
    body = models.BinaryField(null=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.key


class PlatformRequest(Row, RequestRow):
    """A request that belongs to no organization yet; seen in platform scope only."""

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token_id", "key"], name="platform_request_uniq")
        ]


class TenantRequest(TenantRow, RequestRow):
    """A request in one organization; its answer is sealed with the organization's data key."""

    data_key_version = models.PositiveIntegerField(default=1)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "token_id", "key"], name="tenant_request_uniq"
            )
        ]
