"""What an organization's books are compared with and closed by, beside the ledger itself.

The Admin API key, what Mistral was seen to say of an organization, and the runs that looked.
"""

from django.db import models
from django.utils import timezone

from tenants.common.models import TenantRow
from tenants.common.money import DECIMAL_PLACES


class AdminKeyStatus(models.TextChoices):
    """What is known of an Admin API key."""

    PENDING = "pending"
    VALID = "valid"
    REFUSED = "refused"
    UNDECRYPTABLE = "undecryptable"


class AdminKey(TenantRow):
    """The Mistral Admin API key of an organization, sealed; there is one at most.

    ``header`` is how Mistral took it last; empty until it did.
    """

    last4 = models.CharField(max_length=4)
    sealed = models.BinaryField()
    secret_version = models.PositiveIntegerField(default=1)
    data_key_version = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=AdminKeyStatus, default=AdminKeyStatus.PENDING)
    header = models.CharField(max_length=16, blank=True)
    checked_at = models.DateTimeField(null=True)
    secret_at = models.DateTimeField(default=timezone.now)
    created_by = models.CharField(max_length=254)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization"], name="admin_key_uniq")]

    def __str__(self) -> str:
        return f"…{self.last4}"


class SyncStatus(models.TextChoices):
    """How far a run is."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"  # Mistral asked for patience, or was away
    DONE = "done"
    FAILED = "failed"


class SyncRun(TenantRow):
    """One look at everything that the Admin API tells; it goes on where it was interrupted.

    ``due_at`` is null once it is over. ``held_until`` keeps others away: with a ``claim`` a worker
    has it, without one it waits in the queue. ``step`` and ``page`` are what is asked next.
    ``counts`` says, by step, how many rows were seen, and how many had an unknown shape.
    ``proposals`` are for a person to confirm; ``taken`` has the ids of those that somebody did,
    ``left`` what stood in the way of others.
    """

    is_dry = models.BooleanField()
    status = models.CharField(max_length=16, choices=SyncStatus, default=SyncStatus.QUEUED)
    requested_by = models.CharField(max_length=254)
    step = models.CharField(max_length=80, blank=True)
    page = models.PositiveIntegerField(default=1)
    counts = models.JSONField(default=dict)
    omitted = models.JSONField(default=dict)
    differences = models.JSONField(default=list)
    applied = models.JSONField(default=dict)
    proposals = models.JSONField(default=list, db_default=[])
    taken = models.JSONField(default=list, db_default=[])
    left = models.JSONField(default=dict, db_default={})
    confirmed_by = models.CharField(max_length=254, blank=True, default="", db_default="")
    confirmed_at = models.DateTimeField(null=True)
    failure = models.CharField(max_length=40, blank=True)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True, default=timezone.now)
    claim = models.UUIDField(null=True)
    held_until = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization"],
                condition=models.Q(due_at__isnull=False),
                name="sync_run_one_at_a_time",
            ),
            models.CheckConstraint(
                condition=models.Q(due_at=None, status__in=[SyncStatus.DONE, SyncStatus.FAILED])
                | models.Q(
                    due_at__isnull=False,
                    status__in=[SyncStatus.QUEUED, SyncStatus.RUNNING, SyncStatus.WAITING],
                ),
                name="sync_run_due_until_over",
            ),
        ]
        indexes = [
            models.Index(
                fields=["due_at"], condition=models.Q(due_at__isnull=False), name="sync_run_due_idx"
            )
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.step}"


class ObservedKind(models.TextChoices):
    """Of what kind an observed fact is."""

    ROLE = "role"
    WORKSPACE = "workspace"
    MEMBER = "member"
    KEY = "key"
    SPEND_LIMIT = "spend_limit"
    RATE_LIMIT = "rate_limit"
    USAGE = "usage"


class Observed(TenantRow):
    """Something that the Admin API told of an organization, as it told it last.

    What it tells no more stays, with ``missing_since``: nothing is deleted because a preview API
    left it out. ``ours`` is the row of ours that a person or a run that was not dry tied to it.
    """

    kind = models.CharField(max_length=16, choices=ObservedKind)
    external_id = models.CharField(max_length=200)
    data = models.JSONField()
    ours = models.UUIDField(null=True)
    last_run = models.ForeignKey(SyncRun, on_delete=models.PROTECT, related_name="+")
    seen_at = models.DateTimeField(default=timezone.now)
    missing_since = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "kind", "external_id"], name="observed_uniq"
            ),
            models.UniqueConstraint(
                fields=["organization", "kind", "ours"],
                condition=models.Q(ours__isnull=False),
                name="observed_ours_uniq",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.external_id}"


class Statement(TenantRow):
    """What a closed month has cost, frozen in three forms that say the same; append-only.

    ``total`` is of the month's own lines, ``adjustments_total`` of what changed in earlier months
    since they were stated.
    """

    period = models.DateField()
    timezone = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    total = models.DecimalField(max_digits=28, decimal_places=DECIMAL_PLACES)
    adjustments_total = models.DecimalField(max_digits=28, decimal_places=DECIMAL_PLACES)
    closed_at = models.DateTimeField()
    json = models.BinaryField()
    json_sha256 = models.CharField(max_length=64)
    csv = models.BinaryField()
    csv_sha256 = models.CharField(max_length=64)
    pdf = models.BinaryField()
    pdf_sha256 = models.CharField(max_length=64)

    class Meta:
        ordering = ["-period"]
        constraints = [
            models.UniqueConstraint(fields=["organization", "period"], name="statement_month_uniq")
        ]

    def __str__(self) -> str:
        return f"{self.period:%Y-%m} {self.total} {self.currency}"


class ReconciliationStatus(models.TextChoices):
    """How far a reconciliation is."""

    PENDING = "pending"  # a worker asks Mistral
    OPEN = "open"  # compared; nothing was posted
    CONFIRMED = "confirmed"  # its corrections are in the ledger
    FAILED = "failed"


class FigureSource(models.TextChoices):
    """Whose figures ours are compared with."""

    MISTRAL_ADMIN_API = "mistral_admin_api"
    MANUAL = "manual"
    AISURU = "aisuru"


class Reconciliation(TenantRow):
    """One comparison of a month with somebody else's figures.

    ``lines`` and the totals are what was found; ``books_digest`` says of which ledger, so that a
    comparison that was overtaken is not confirmed. ``due_at`` is null unless a worker has to ask.
    """

    period = models.DateField()
    timezone = models.CharField(max_length=64)
    currency = models.CharField(max_length=3)
    source = models.CharField(max_length=20, choices=FigureSource)
    status = models.CharField(max_length=16, choices=ReconciliationStatus)
    requested_by = models.CharField(max_length=254)
    figures = models.JSONField(default=list)
    lines = models.JSONField(default=list)
    totals = models.JSONField(default=dict)
    books_digest = models.CharField(max_length=64, blank=True)
    failure = models.CharField(max_length=40, blank=True)
    compared_at = models.DateTimeField(null=True)
    confirmed_at = models.DateTimeField(null=True)
    confirmed_by = models.CharField(max_length=254, blank=True)
    posted = models.JSONField(default=list)
    attempts = models.PositiveIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    claim = models.UUIDField(null=True)
    held_until = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(due_at=None) | models.Q(status=ReconciliationStatus.PENDING),
                name="reconciliation_due_while_pending",
            )
        ]
        indexes = [
            models.Index(fields=["organization", "-id"], name="reconciliation_list_idx"),
            models.Index(
                fields=["due_at"],
                condition=models.Q(due_at__isnull=False),
                name="reconciliation_due_idx",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.period:%Y-%m} {self.source} {self.status}"
