"""What a tenant owes and may owe: dated prices, limits, balances, holds and usage events.

Balances, holds and events are written by the meter's SECURITY DEFINER functions alone
(``migrations/sql``); the application reads them through row-level security and can change nothing.
"""

from datetime import datetime
from decimal import Decimal

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from tenants.common.models import TenantRow
from tenants.common.money import DECIMAL_PLACES, MAX_DIGITS
from tenants.organizations.models import Organization
from tenants.spend.agreements import (
    BasePricing,
    LearnedOutput,
    LimitExtension,
    OrganizationPrice,
    Retention,
    WorkspacePolicy,
)
from tenants.spend.batch_jobs import BatchJob
from tenants.spend.calls import LimitMode, SubjectKind, instant_of
from tenants.spend.lines import Rollup, RollupMark, SpendLine, Watermark

__all__ = [
    "Balance",
    "BasePricing",
    "BatchJob",
    "Correction",
    "Hold",
    "LearnedOutput",
    "Limit",
    "LimitExtension",
    "OrganizationPrice",
    "PostedEvent",
    "Price",
    "Retention",
    "Rollup",
    "RollupMark",
    "SpendLine",
    "ThresholdAlert",
    "UsageEvent",
    "Watermark",
    "WorkspacePolicy",
]

_SUBJECTS = [kind.value for kind in SubjectKind]
_MODES = [mode.value for mode in LimitMode]


def _money() -> "models.DecimalField[Decimal, Decimal]":
    return models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES)


def _unknown_money() -> "models.DecimalField[Decimal | None, Decimal | None]":
    return models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES, null=True)


def _sum() -> "models.DecimalField[Decimal, Decimal]":
    return models.DecimalField(
        max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES, db_default=Decimal(0)
    )


def _tenant() -> "models.ForeignKey[Organization, Organization]":
    """Whose row it is, without a constraint: its check would lock the organization per call."""
    return models.ForeignKey(
        Organization,
        on_delete=models.DO_NOTHING,
        related_name="+",
        db_constraint=False,
        db_index=False,
    )


class Price(models.Model):
    """What a vendor asks for one meter of one model from an instant on; never edited.

    ``amount`` buys ``per`` units. A row is valid until the next one of the same model, meter and
    currency. ``free`` is a price of zero on purpose. ``is_converted`` marks a price that was
    published in another currency only. Its id is small because every event names its prices.
    """

    id = models.AutoField(primary_key=True)
    created_at = models.DateTimeField(auto_now_add=True)
    mistral_model = models.CharField(max_length=200)
    meter = models.CharField(max_length=16)
    currency = models.CharField(max_length=3)
    amount = models.DecimalField(max_digits=20, decimal_places=10)
    per = models.PositiveIntegerField()
    free = models.BooleanField(default=False)
    is_converted = models.BooleanField(default=False)
    effective_from = models.DateTimeField()
    source = models.CharField(max_length=200)
    checksum = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["mistral_model", "meter", "currency", "effective_from"], name="price_uniq"
            ),
            models.CheckConstraint(
                condition=Q(amount__gte=0, per__gte=1) & (Q(free=False) | Q(amount=0)),
                name="price_sane",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mistral_model} {self.meter} {self.amount} {self.currency} / {self.per}"


class Limit(TenantRow):
    """What an organization or a part of it may cost in a month, and how often it may call.

    Null is no limit. ``mode`` holds for all of them.
    """

    subject_kind = models.CharField(max_length=12)
    subject_id = models.UUIDField()
    monthly_spend = _unknown_money()
    requests_per_second = models.DecimalField(max_digits=9, decimal_places=3, null=True)
    tokens_per_minute = models.BigIntegerField(null=True)
    tokens_per_month = models.BigIntegerField(null=True)
    mode = models.CharField(max_length=8, default=LimitMode.ENFORCE.value)
    alert_thresholds = ArrayField(models.PositiveSmallIntegerField(), default=list)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "subject_kind", "subject_id"], name="limit_subject_uniq"
            ),
            models.CheckConstraint(
                condition=Q(monthly_spend=None) | Q(monthly_spend__gte=0), name="limit_not_negative"
            ),
            models.CheckConstraint(
                condition=Q(subject_kind__in=_SUBJECTS, mode__in=_MODES),
                name="limit_known_words",
            ),
            models.CheckConstraint(
                condition=~Q(subject_kind=SubjectKind.ORGANIZATION.value)
                | Q(subject_id=F("organization")),
                name="limit_own_organization",
            ),
            models.CheckConstraint(
                condition=(Q(requests_per_second=None) | Q(requests_per_second__gt=0))
                & (Q(tokens_per_minute=None) | Q(tokens_per_minute__gt=0))
                & (Q(tokens_per_month=None) | Q(tokens_per_month__gt=0)),
                name="limit_rates_positive",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject_kind} {self.monthly_spend}"


class RateCount(TenantRow):
    """How many calls a subject's rates refused in a month, or would have refused in shadow mode."""

    subject_kind = models.CharField(max_length=12)
    subject_id = models.UUIDField()
    period = models.DateField()
    refused = models.PositiveIntegerField(default=0)
    watched = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "subject_kind", "subject_id", "period"],
                name="rate_count_uniq",
            )
        ]

    def __str__(self) -> str:
        return f"{self.subject_kind} {self.period}: {self.refused} + {self.watched}"


class Balance(models.Model):
    """What one subject has spent and holds in one month, whether or not it has a limit.

    ``limit_amount`` is the subject's enforced limit, kept here so that judging a call touches one
    row. ``carried`` is how far the row stood above the limit when that was set, ``excess`` what
    Mistral billed beyond holds: nothing else can take ``settled + held`` beyond the limit, and a
    constraint says so. ``refused_at`` tells, to the minute, when it last refused a call. The
    ``shadow_`` columns count what a limit in shadow mode would refuse.
    """

    pk = models.CompositePrimaryKey("organization", "subject_kind", "subject_id", "period")
    organization = _tenant()
    subject_kind = models.CharField(max_length=12)
    subject_id = models.UUIDField()
    period = models.DateField()
    currency = models.CharField(max_length=3)
    settled = _sum()
    held = _sum()
    excess = _sum()
    carried = _sum()
    limit_amount = _unknown_money()
    shadow_limit = _unknown_money()
    refused_at = models.DateTimeField(null=True)
    shadow_calls = models.PositiveIntegerField(db_default=0)
    shadow_spend = _sum()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(settled__gte=0, held__gte=0, excess__gte=0, carried__gte=0),
                name="balance_signs",
            ),
            models.CheckConstraint(
                condition=Q(limit_amount=None)
                | Q(limit_amount__gte=F("settled") + F("held") - F("excess") - F("carried")),
                name="balance_within_limit",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.subject_kind} {self.period}: {self.settled} + {self.held} {self.currency}"


class _CallFacts(models.Model):
    """What a hold and an event both say of a call."""

    organization = _tenant()
    workspace_id = models.UUIDField()
    period = models.DateField()
    prompt_tokens = models.IntegerField()
    completion_tokens = models.IntegerField()
    cached_tokens = models.IntegerField()
    pages = models.IntegerField()
    annotated_pages = models.IntegerField()
    audio_seconds = models.IntegerField()
    characters = models.IntegerField()
    currency = models.CharField(max_length=3)
    category = models.CharField(max_length=16)
    endpoint = models.CharField(max_length=64)
    requested_model = models.CharField(max_length=200)
    factor = models.DecimalField(max_digits=8, decimal_places=4)
    price_ids = ArrayField(models.IntegerField())
    message_id = models.CharField(max_length=200)
    request_id = models.CharField(max_length=64)

    class Meta:
        abstract = True


class Hold(_CallFacts):
    """A call that is going on: its durable intent, and the most it can cost; gone once settled.

    The id is the call's UUIDv7. ``amount`` is null when the price is unknown.
    """

    id = models.UUIDField(primary_key=True)
    writer_id = models.UUIDField()
    key_id = models.UUIDField()
    model_id = models.UUIDField(null=True)
    amount = _unknown_money()

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(amount=None) | Q(amount__gte=0), name="hold_not_negative"
            )
        ]

    def __str__(self) -> str:
        return f"{self.id}: {self.amount} {self.currency}"

    @property
    def started_at(self) -> datetime:
        """The instant the call started, from its id."""
        return instant_of(self.id)


class UsageEvent(_CallFacts):
    """What a call used and cost; append-only, by privilege. No prompt, no answer.

    Partitioned by ``occurred_at`` (the call's start, read from its UUIDv7), so (organization,
    occurred_at, id) is unique exactly when the id is: one call id, one event. ``cost`` is null when
    the price is unknown. ``estimate`` is empty for exact figures. A correction is an event of its
    own with the difference; ``corrects`` names the event it mends. Other rooms' rows are named by
    plain ids: a foreign key would lock four parents per call, and history outlives them anyway.
    ``transaction_id`` tells which transaction wrote it, and so whether the roll-ups have it.
    """

    pk = models.CompositePrimaryKey("organization", "occurred_at", "id")
    id = models.UUIDField()
    occurred_at = models.DateTimeField()
    created_at = models.DateTimeField(db_default=Now())
    key_id = models.UUIDField(null=True)
    model_id = models.UUIDField(null=True)
    requests = models.IntegerField()
    duration_ms = models.IntegerField(null=True)
    http_status = models.SmallIntegerField(null=True)
    source = models.CharField(max_length=20)
    outcome = models.CharField(max_length=16)
    answered_model = models.CharField(max_length=200)
    cost = _unknown_money()
    excess = _money()
    estimate = models.CharField(max_length=20)
    correlation_id = models.CharField(max_length=64)
    corrects = models.UUIDField(null=True)
    connector_calls = models.IntegerField(null=True)
    training_tokens = models.BigIntegerField(null=True)
    storage_months = models.IntegerField(null=True)
    transaction_id = models.BigIntegerField(
        db_default=models.Func(function="txid_current", output_field=models.BigIntegerField())
    )

    class Meta:
        ordering = ["-occurred_at", "-id"]
        indexes = [
            BrinIndex(
                fields=["transaction_id"],
                pages_per_range=32,
                autosummarize=True,
                name="usage_event_transaction_idx",
            ),
            models.Index(
                fields=["organization", "message_id"],
                condition=~Q(message_id=""),
                name="usage_event_message_idx",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.id}: {self.cost} {self.currency}"

    @property
    def is_unpriced(self) -> bool:
        """Tell whether the price was unknown, which is not free."""
        return self.cost is None

    @property
    def mistral_model(self) -> str:
        """The snapshot that answered, else what was asked for."""
        return self.answered_model or self.requested_model


class PostedEvent(models.Model):
    """The digest of an event that was reported or posted by hand: each once, for ever.

    It outlives the event, and it is unique over all months, which no partitioned table can be.
    """

    pk = models.CompositePrimaryKey("organization", "digest")
    organization = _tenant()
    digest = models.UUIDField()

    def __str__(self) -> str:
        return str(self.digest)


class Correction(TenantRow):
    """Why an event of source ``correction`` was posted, and by whom; ``reference`` is once only."""

    event_id = models.UUIDField()
    occurred_at = models.DateTimeField()
    reason = models.CharField(max_length=500)
    reference = models.CharField(max_length=200)
    posted_by = models.CharField(max_length=254)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "reference"], name="correction_reference_uniq"
            )
        ]
        indexes = [models.Index(fields=["organization", "event_id"], name="correction_event_idx")]

    def __str__(self) -> str:
        return self.reason


class ThresholdAlert(TenantRow):
    """That a threshold of a limit was reached in a month was told; 0 is the limit itself."""

    limit = models.ForeignKey(
        Limit, on_delete=models.PROTECT, related_name="alerts", db_index=False
    )
    period = models.DateField()
    threshold = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "limit", "period", "threshold"],
                name="threshold_alert_once_uniq",
            )
        ]

    def __str__(self) -> str:
        return f"{self.threshold} % in {self.period}"
