"""Mistral keys, their verdicts, and the models each key sees."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from tenants.common.models import TenantRow
from tenants.organizations.models import Workspace


class KeyStatus(models.TextChoices):
    """What a key is good for; the verdict says why."""

    PENDING = "pending"
    VALID = "valid"
    INVALID = "invalid"
    SUSPENDED = "suspended"
    EXPIRED = "expired"
    UNREACHABLE = "unreachable"
    UNDECRYPTABLE = "undecryptable"
    REVOKED = "revoked"


class VerdictCode(models.TextChoices):
    """The outcome of a check, as a person or a program is told it."""

    OK = "ok"
    KEY_MALFORMED = "key_malformed"
    KEY_UNKNOWN = "key_unknown"
    BILLING_INACTIVE = "billing_inactive"
    SUBSCRIPTION_REQUIRED = "subscription_required"
    SPENDING_LIMIT_REACHED = "spending_limit_reached"
    RATE_LIMITED = "rate_limited"
    MISTRAL_UNAVAILABLE = "mistral_unavailable"
    WRONG_WORKSPACE = "wrong_workspace"
    EXPIRED_LOCALLY = "expired_locally"
    UNDECRYPTABLE = "undecryptable"


class MistralKey(TenantRow):
    """A Mistral API key: sealed, recognised by fingerprint and last four, judged by a worker.

    The id is a slot: replacing the secret gives it a new version, and models follow. A revoked key
    is shredded; its fingerprint stays, so that after a leak one can tell whose key it was.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120, blank=True)
    last4 = models.CharField(max_length=4)
    fingerprint = models.BinaryField(max_length=32)
    sealed = models.BinaryField(null=True)
    secret_version = models.PositiveIntegerField(default=1)
    secret_at = models.DateTimeField(default=timezone.now)
    data_key_version = models.PositiveIntegerField(default=1)
    status = models.CharField(max_length=16, choices=KeyStatus, default=KeyStatus.PENDING)
    expires_on = models.DateField(null=True, blank=True)
    created_by = models.CharField(max_length=254)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    verdict_code = models.CharField(max_length=32, choices=VerdictCode, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    evidence = models.JSONField(default=dict)
    identity = models.JSONField(null=True, blank=True)
    mistral_organization_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    mistral_workspace_id = models.CharField(max_length=64, blank=True, default="", db_default="")
    models_seen = models.PositiveIntegerField(default=0)

    # How many checks in a row contradicted the status; one odd answer changes nothing.
    doubts = models.PositiveSmallIntegerField(default=0)

    # When the next check is due; null: never by itself. ``attempts`` counts checks since the last
    # one that told anything. ``held_until`` keeps others away: with a ``claim`` a worker has the
    # key, without one it waits in the queue.
    next_check_at = models.DateTimeField(null=True, blank=True, default=timezone.now)
    attempts = models.PositiveIntegerField(default=0)
    claim = models.UUIDField(null=True, blank=True)
    held_until = models.DateTimeField(null=True, blank=True)

    # When somebody asked for the check that is due; null: only the clock did.
    asked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "fingerprint", "workspace"],
                condition=models.Q(revoked_at=None),
                name="key_once_per_workspace_uniq",
            ),
            models.CheckConstraint(
                condition=models.Q(status=KeyStatus.REVOKED, sealed=None, revoked_at__isnull=False)
                | (
                    ~models.Q(status=KeyStatus.REVOKED)
                    & models.Q(sealed__isnull=False, revoked_at=None)
                ),
                name="key_shredded_when_revoked",
            ),
            models.CheckConstraint(
                condition=~models.Q(status=KeyStatus.PENDING)
                | models.Q(next_check_at__isnull=False),
                name="key_pending_is_due",
            ),
        ]
        indexes = [
            models.Index(fields=["organization", "workspace", "-id"], name="key_list_idx"),
            models.Index(fields=["fingerprint"], name="key_fingerprint_idx"),
            models.Index(
                fields=["next_check_at"],
                condition=models.Q(next_check_at__isnull=False),
                name="key_due_idx",
            ),
            # With what both walls ask for, so that lists go by the index alone and in its order.
            models.Index(fields=["organization", "-id", "workspace"], name="key_newest_idx"),
            models.Index(
                fields=["organization", "status", "-id", "workspace"], name="key_of_status_idx"
            ),
            # What the console sorts by: in pages, either way round.
            models.Index("organization", "workspace", Lower("name"), "id", name="key_by_name_idx"),
            models.Index(
                fields=["organization", "workspace", "expires_on", "id"], name="key_by_expiry_idx"
            ),
            models.Index(
                fields=["workspace", "id"],
                condition=models.Q(status=KeyStatus.VALID),
                name="key_first_valid_idx",
            ),
            models.Index(
                fields=["expires_on"],
                condition=models.Q(expires_on__isnull=False, revoked_at=None),
                name="key_expiring_idx",
            ),
        ]

    def __str__(self) -> str:
        return f"…{self.last4}"


class KeyVerdict(TenantRow):
    """That a check found something else than the one before: what, and what Mistral answered.

    Checks that find the same again leave no row: ``MistralKey.checked_at`` says when the last was.
    """

    key = models.ForeignKey(MistralKey, on_delete=models.CASCADE, related_name="verdicts")
    status = models.CharField(max_length=16, choices=KeyStatus)
    verdict_code = models.CharField(max_length=32, choices=VerdictCode)
    evidence = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["organization", "key", "-id"], name="key_verdict_idx")]

    def __str__(self) -> str:
        return f"{self.status} {self.verdict_code}"


class KeyReplacement(TenantRow):
    """A secret that waits behind a key's id until Mistral accepts it, or its grace ends."""

    key = models.OneToOneField(MistralKey, on_delete=models.CASCADE, related_name="replacement")
    last4 = models.CharField(max_length=4)
    fingerprint = models.BinaryField(max_length=32)
    sealed = models.BinaryField()
    secret_version = models.PositiveIntegerField()
    secret_at = models.DateTimeField()
    data_key_version = models.PositiveIntegerField()
    expires_on = models.DateField(null=True, blank=True)
    ends_at = models.DateTimeField()
    status = models.CharField(max_length=16, choices=KeyStatus, default=KeyStatus.PENDING)
    verdict_code = models.CharField(max_length=32, choices=VerdictCode, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    evidence = models.JSONField(default=dict)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        indexes = [
            models.Index(fields=["organization", "fingerprint"], name="replacement_secret_idx"),
            models.Index(fields=["fingerprint"], name="replacement_fingerprint_idx"),
        ]

    def __str__(self) -> str:
        return f"…{self.last4}"


class Availability(models.TextChoices):
    """Whether a key may call a model that it has seen."""

    AVAILABLE = "available"
    ARCHIVED = "archived"
    GONE = "gone"


class SeenModel(TenantRow):
    """A model that a key listed when it was last checked; aliases are rows of their own."""

    key = models.ForeignKey(MistralKey, on_delete=models.CASCADE, related_name="seen_models")
    mistral_id = models.CharField(max_length=200)
    name = models.CharField(max_length=200)
    aliases = ArrayField(models.CharField(max_length=200), default=list)
    kind = models.CharField(max_length=16, default="base")
    root = models.CharField(max_length=200, blank=True)
    context_length = models.PositiveIntegerField(null=True)
    capabilities = models.JSONField(default=dict)
    deprecation_at = models.DateTimeField(null=True)
    replacement = models.CharField(max_length=200, blank=True)
    availability = models.CharField(
        max_length=16, choices=Availability, default=Availability.AVAILABLE, db_default="available"
    )
    gone_at = models.DateTimeField(null=True)
    #: Mistral's own, see ``cards``; None: not seen since cards are kept.
    card = models.JSONField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "key", "mistral_id"], name="seen_model_uniq"
            )
        ]

    def __str__(self) -> str:
        return self.mistral_id


class ProbeStatus(models.TextChoices):
    """How far a paid trial is."""

    PENDING = "pending"
    ANSWERED = "answered"
    REFUSED = "refused"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class KeyProbe(TenantRow):
    """A paid trial that somebody asked for: one token of one model, sent once at most.

    Its id is its call's in the ledger. ``sent_at`` is written before it goes out, so that whoever
    finds it there never sends it again. ``claimed_until`` keeps other workers away.
    """

    key = models.ForeignKey(MistralKey, on_delete=models.PROTECT, related_name="probes")
    mistral_model = models.CharField(max_length=200)
    requested_by = models.CharField(max_length=254)
    status = models.CharField(max_length=16, choices=ProbeStatus, default=ProbeStatus.PENDING)
    quote = models.DecimalField(max_digits=20, decimal_places=9, null=True)
    currency = models.CharField(max_length=3)
    claim = models.UUIDField(null=True)
    claimed_until = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    verdict_code = models.CharField(max_length=32, choices=VerdictCode, blank=True)
    evidence = models.JSONField(default=dict)
    refusal = models.JSONField(null=True)
    prompt_tokens = models.PositiveIntegerField(null=True)
    completion_tokens = models.PositiveIntegerField(null=True)
    cost = models.DecimalField(max_digits=20, decimal_places=9, null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "key"],
                condition=models.Q(status=ProbeStatus.PENDING),
                name="key_probe_one_pending",
            )
        ]
        indexes = [
            models.Index(fields=["organization", "key", "-id"], name="key_probe_idx"),
            models.Index(
                fields=["claimed_until"],
                condition=models.Q(status=ProbeStatus.PENDING),
                name="key_probe_pending_idx",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mistral_model}: {self.status}"


class SpentEnvelope(TenantRow):
    """A sealed envelope that was taken; kept for as long as its intake key is accepted."""

    digest = models.BinaryField(max_length=32)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization", "digest"], name="spent_envelope_uniq")
        ]

    def __str__(self) -> str:
        return str(self.pk)


class Lane(models.Model):
    """How fast Mistral is asked, for one Mistral organization or for all; see ``pacing``.

    It belongs to no tenant, and the application reaches it through functions only. ``ready_at`` is
    the instant until which turns are given away, ``slowness`` what the distance between two turns
    is multiplied by.
    """

    name = models.CharField(max_length=64, primary_key=True)
    ready_at = models.DateTimeField()
    slowness = models.FloatField(db_default=1.0)

    def __str__(self) -> str:
        return self.name
