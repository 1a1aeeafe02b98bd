"""Who is told of what happened, and what was told: webhook endpoints, their deliveries, mails.

What happened itself is an ``Announcement`` of ``organizations``; here it is handed to endpoints and
people, once each, by unique constraints.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from tenants.common.models import TenantRow
from tenants.organizations.models import Announcement, Member


class DisabledReason(models.TextChoices):
    """Why an endpoint is not called."""

    PERSON = "person"  # somebody switched it off
    GONE = "gone"  # it answered 410
    FAILING = "failing"  # it has not taken anything for days


class WebhookEndpoint(TenantRow):
    """An address of an organization that announcements are posted to.

    Without ``kinds`` it gets all. ``failures`` counts the attempts that failed since one did not,
    ``failing_since`` says when that began, and until ``rests_until`` it is left alone.
    """

    url = models.CharField(max_length=2000)
    description = models.CharField(max_length=200, blank=True)
    kinds = ArrayField(models.CharField(max_length=64), default=list)
    is_enabled = models.BooleanField(default=True)
    disabled_reason = models.CharField(max_length=8, choices=DisabledReason, blank=True)
    failures = models.PositiveIntegerField(default=0)
    failing_since = models.DateTimeField(null=True)
    rests_until = models.DateTimeField(null=True)
    created_by = models.CharField(max_length=254)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(is_enabled=True, disabled_reason="")
                | models.Q(is_enabled=False, disabled_reason__in=DisabledReason.values),
                name="webhook_disabled_for_a_reason",
            )
        ]

    def __str__(self) -> str:
        return f"webhook {self.pk}"


class WebhookSecret(TenantRow):
    """A secret that signs what an endpoint gets, sealed; older ones sign too until they end."""

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="secrets")
    version = models.PositiveIntegerField()
    sealed = models.BinaryField()
    data_key_version = models.PositiveIntegerField()
    ends_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "endpoint", "version"], name="webhook_secret_version_uniq"
            ),
            models.UniqueConstraint(
                fields=["organization", "endpoint"],
                condition=models.Q(ends_at=None),
                name="webhook_secret_newest_uniq",
            ),
        ]

    def __str__(self) -> str:
        return f"secret {self.version}"


class DeliveryStatus(models.TextChoices):
    """How far a delivery is."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Delivery(TenantRow):
    """One announcement on its way to one endpoint; there is never a second row of the two.

    ``due_at`` is null once it is over. With a ``claim`` a worker has it until ``held_until``.
    ``log`` has the attempts, ``response`` the beginning of what the last one was answered.
    """

    endpoint = models.ForeignKey(WebhookEndpoint, on_delete=models.CASCADE, related_name="+")
    announcement = models.ForeignKey(Announcement, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=64)
    status = models.CharField(max_length=10, choices=DeliveryStatus, default=DeliveryStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, default=timezone.now)
    claim = models.UUIDField(null=True)
    held_until = models.DateTimeField(null=True)
    log = models.JSONField(default=list)
    status_code = models.PositiveSmallIntegerField(null=True)
    error = models.CharField(max_length=40, blank=True)
    response = models.TextField(blank=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "endpoint", "announcement"], name="delivery_uniq"
            ),
            models.CheckConstraint(
                condition=models.Q(status=DeliveryStatus.PENDING, due_at__isnull=False)
                | models.Q(
                    status__in=[DeliveryStatus.DELIVERED, DeliveryStatus.FAILED], due_at=None
                ),
                name="delivery_due_until_over",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "endpoint", "-id"], name="delivery_list_idx"),
            models.Index(
                fields=["due_at"], condition=models.Q(due_at__isnull=False), name="delivery_due_idx"
            ),
            models.Index(
                fields=["held_until"],
                condition=models.Q(held_until__isnull=False),
                name="delivery_held_idx",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.status}"


class NoticeStatus(models.TextChoices):
    """How far a mail is."""

    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


class Notice(TenantRow):
    """One announcement as a mail to one member; there is never a second row of the two.

    Without a member it is for the organization's ``owner_email``, where nobody is a member yet.
    """

    announcement = models.ForeignKey(Announcement, on_delete=models.CASCADE, related_name="+")
    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="+", null=True)
    status = models.CharField(max_length=8, choices=NoticeStatus, default=NoticeStatus.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True, default=timezone.now)
    claim = models.UUIDField(null=True)
    held_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "announcement", "member"],
                name="notice_uniq",
                nulls_distinct=False,
            ),
            models.CheckConstraint(
                condition=models.Q(status=NoticeStatus.PENDING, due_at__isnull=False)
                | models.Q(status__in=[NoticeStatus.SENT, NoticeStatus.FAILED], due_at=None),
                name="notice_due_until_over",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=models.Q(due_at__isnull=False), name="notice_due_idx"
            )
        ]

    def __str__(self) -> str:
        return f"mail {self.status}"


class MutedKind(TenantRow):
    """A kind of announcement that a member wants no mail about."""

    member = models.ForeignKey(Member, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "member", "kind"], name="muted_kind_uniq"
            )
        ]

    def __str__(self) -> str:
        return self.kind
