"""Organizations, their workspaces, their data keys and what was done in them."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower

from tenants.common.models import Row, TenantRow


class OrganizationStatus(models.TextChoices):
    """Whether an organization may use the service."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    ERASED = "erased"


class Organization(Row):
    """A customer: the tenant that row-level security keeps apart from all others."""

    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    aisuru_tenant = models.CharField(max_length=253, blank=True)
    status = models.CharField(
        max_length=16, choices=OrganizationStatus, default=OrganizationStatus.ACTIVE
    )
    owner_email = models.EmailField(max_length=254)
    locale = models.CharField(max_length=2, default="it")
    timezone = models.CharField(max_length=64, default="Europe/Rome")
    currency = models.CharField(max_length=3, default="EUR")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.name


class FormerTimeZone(TenantRow):
    """The zone that an organization's days and budget months were in until an instant.

    What was counted in a day or a month stays there when the zone changes.
    """

    timezone = models.CharField(max_length=64)
    until = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "until"], name="former_time_zone_uniq")
        ]

    def __str__(self) -> str:
        return f"{self.timezone} until {self.until:%Y-%m-%d %H:%M}"


class Workspace(TenantRow):
    """A part of an organization with keys, models and spend of its own."""

    name = models.CharField(max_length=120)
    icon = models.CharField(max_length=16, blank=True)
    description = models.CharField(max_length=500, blank=True)
    is_default = models.BooleanField(default=False)
    archived_at = models.DateTimeField(null=True, blank=True)

    # The workspace at Mistral that its keys must belong to; both empty: any. The id decides where
    # it is known, else the name.
    mistral_workspace_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    mistral_workspace_name = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                "organization",
                Lower("name"),
                condition=models.Q(archived_at=None),
                name="workspace_name_uniq",
            ),
            models.UniqueConstraint(
                fields=["organization"],
                condition=models.Q(is_default=True),
                name="workspace_default_uniq",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class DataKey(TenantRow):
    """The key that seals an organization's secrets, itself wrapped by the keyring.

    Destroying the wrapped bytes makes every secret of the organization unreadable for ever.
    """

    version = models.PositiveIntegerField()
    wrapped = models.BinaryField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "version"], name="data_key_version_uniq"
            )
        ]

    def __str__(self) -> str:
        return f"data key {self.version}"


class IntakeKey(Row):
    """A public key that clients seal secrets to; its private part, wrapped by the keyring, dies.

    It belongs to no organization.
    """

    public = models.BinaryField(max_length=65)
    wrapped = models.BinaryField()
    replaced_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"intake key {self.pk}"


class ErasureCertificate(TenantRow):
    """What was destroyed when an organization was erased; written once, by privilege."""

    erased_at = models.DateTimeField()
    data_keys_destroyed = models.PositiveIntegerField()
    keys_shredded = models.PositiveIntegerField()
    tokens_revoked = models.PositiveIntegerField()
    retained = ArrayField(models.CharField(max_length=64))
    digest = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization"], name="erasure_certificate_uniq")
        ]

    def __str__(self) -> str:
        return self.digest


class AuditEvent(TenantRow):
    """One thing that was done: who, what, to what. Append-only, by privilege."""

    actor_kind = models.CharField(max_length=16)
    actor_id = models.CharField(max_length=64)
    actor_name = models.CharField(max_length=254)
    verb = models.CharField(max_length=64)
    target_kind = models.CharField(max_length=32)
    target_id = models.UUIDField()
    changed = ArrayField(models.CharField(max_length=64), default=list)
    request_id = models.CharField(max_length=64, blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["organization", "target_id"], name="audit_target_idx")]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.target_kind}"


class Announcement(TenantRow):
    """Something that happened and has to be told; ``notices`` marks it published when it is."""

    kind = models.CharField(max_length=64)
    workspace_id = models.UUIDField(null=True)
    data = models.JSONField(default=dict)
    once = models.CharField(max_length=200, null=True)  # noqa: DJ001 - NULL is not unique, "" is
    published_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "once"], name="announcement_once_uniq")
        ]
        indexes = [
            models.Index(
                fields=["organization", "id"],
                condition=models.Q(published_at=None),
                name="announcement_unpublished_idx",
            )
        ]

    def __str__(self) -> str:
        return self.kind
