"""Tokens of the management API, and the answers already given under an idempotency key."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from tenants.common.models import Row, TenantRow


class TokenRow(models.Model):
    """What every API token keeps: never the token, only its digest."""

    name = models.CharField(max_length=120)
    digest = models.BinaryField(max_length=32, unique=True)
    hint = models.CharField(max_length=24)
    scopes = ArrayField(models.CharField(max_length=32), default=list)
    created_by = models.CharField(max_length=254)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.hint


class PlatformToken(Row, TokenRow):
    """A token of AIsuru's backend: it may act for any organization, within its scopes."""

    class Meta:
        ordering = ["-id"]


class OrganizationToken(TenantRow, TokenRow):
    """A token of one organization's scripts."""

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["organization", "-id"], name="org_token_list_idx")]
