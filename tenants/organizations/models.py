"""Organizations, their workspaces and members, their data keys and what was done in them."""

from datetime import datetime

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower

from tenants.common.models import Row, TenantRow
from tenants.common.text import LONGEST_EMAIL
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.people.models import Person


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
    """One thing that was done: who, what, to what. Append-only, by privilege and by trigger."""

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
        indexes = [
            models.Index(fields=["organization", "target_id", "-id"], name="audit_target_idx"),
            models.Index(fields=["organization", "actor_id", "-id"], name="audit_actor_idx"),
            models.Index(fields=["organization", "verb", "-id"], name="audit_verb_idx"),
        ]

    def __str__(self) -> str:
        return f"{self.actor_name} {self.verb} {self.target_kind}"


class AuditLink(models.Model):
    """The place of an audit event in its organization's chain; the database writes it, at commit.

    ``hash`` covers the event and the hash of the link before (``audit_chain.hash_of``).
    """

    pk = models.CompositePrimaryKey("organization", "sequence")
    organization = models.ForeignKey(
        Organization, models.PROTECT, related_name="+", db_index=False, db_constraint=False
    )
    sequence = models.BigIntegerField()
    event_id = models.UUIDField(unique=True)
    hash = models.CharField(max_length=64)

    def __str__(self) -> str:
        return f"{self.sequence} {self.hash}"


class AuditHead(models.Model):
    """The last link of an organization's chain; writers wait for each other here."""

    organization = models.OneToOneField(
        Organization, on_delete=models.PROTECT, primary_key=True, related_name="+"
    )
    sequence = models.BigIntegerField()
    hash = models.CharField(max_length=64)
    moved_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.sequence} {self.hash}"


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


class Member(TenantRow):
    """A person in an organization, with a role there."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    role = models.CharField(max_length=8, choices=Role)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "person"], name="member_uniq"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="member_role"),
        ]
        indexes = [models.Index(fields=["person"], name="member_person_idx")]

    def __str__(self) -> str:
        return f"{self.person} ({self.role})"


class WorkspaceMember(TenantRow):
    """A member of an organization in one of its workspaces, with a role there."""

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=8, choices=WorkspaceRole)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "workspace", "member"], name="workspace_member_uniq"
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=WorkspaceRole.values), name="workspace_member_role"
            ),
        ]

    def __str__(self) -> str:
        return self.role


class InvitationStatus(models.TextChoices):
    """What became of an invitation."""

    PENDING = "pending"
    ACCEPTED = "accepted"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Invitation(TenantRow):
    """An address that was asked to join; open until it is accepted, revoked or replaced.

    The link's token is derived from the row and the secret key (``invitations.token_of``), so that
    a worker can write it into mail; only its digest is stored. A worker that mails it has it until
    ``held_until``.
    """

    email = models.EmailField(max_length=LONGEST_EMAIL)
    role = models.CharField(max_length=8, choices=Role)
    workspaces = models.JSONField(default=list)
    invited_by = models.CharField(max_length=254)
    locale = models.CharField(max_length=2, default="it")
    generation = models.PositiveIntegerField(default=1)
    digest = models.BinaryField(max_length=32, unique=True)
    expires_at = models.DateTimeField()
    mailed_at = models.DateTimeField(null=True)
    held_until = models.DateTimeField(null=True)
    closed_as = models.CharField(max_length=8, blank=True)
    closed_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "email"],
                condition=models.Q(closed_at=None),
                name="invitation_open_uniq",
            ),
            models.CheckConstraint(
                condition=models.Q(role__in=Role.values), name="invitation_role"
            ),
        ]

    def __str__(self) -> str:
        return self.email

    def status_at(self, at: datetime) -> InvitationStatus:
        """Tell what became of it by an instant."""
        if self.closed_as:
            return InvitationStatus(self.closed_as)
        return InvitationStatus.EXPIRED if self.expires_at <= at else InvitationStatus.PENDING


class OrganizationDomain(TenantRow):
    """A domain of e-mail whose verified readers may ask to join the organization."""

    domain = models.CharField(max_length=253)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "domain"], name="domain_uniq")
        ]
        indexes = [models.Index(fields=["domain"], name="domain_idx")]

    def __str__(self) -> str:
        return self.domain


class JoinRequestStatus(models.TextChoices):
    """What became of a request to join."""

    PENDING = "pending"
    APPROVED = "approved"
    DECLINED = "declined"


class JoinRequest(TenantRow):
    """A person with an address in one of the organization's domains who asks to become a member."""

    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    email = models.EmailField(max_length=LONGEST_EMAIL)
    status = models.CharField(
        max_length=8, choices=JoinRequestStatus, default=JoinRequestStatus.PENDING
    )
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "person"],
                condition=models.Q(status="pending"),
                name="join_request_open_uniq",
            )
        ]

    def __str__(self) -> str:
        return self.email
