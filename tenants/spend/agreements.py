"""What one organization or workspace has of its own: prices that Mistral told it, and a policy.

The published list says what Mistral asks from everybody; an organization's own prices go before it.
"""

from datetime import datetime
from decimal import Decimal

from django.db import models

from tenants.common.models import TenantRow
from tenants.common.money import DECIMAL_PLACES, MAX_DIGITS
from tenants.organizations.models import Organization, Workspace
from tenants.spend.calls import UnpricedPolicy

_POLICIES = [policy.value for policy in UnpricedPolicy]


class OrganizationPrice(models.Model):
    """What Mistral asks one organization for a meter from an instant on; never edited.

    Its id is drawn from the same sequence as those of the published prices, so that an event names
    a row of either by its id alone.
    """

    id = models.IntegerField(
        primary_key=True,
        db_default=models.Func(models.Value("spend_price_id_seq"), function="nextval"),
    )
    created_at = models.DateTimeField(auto_now_add=True)
    organization = models.ForeignKey(Organization, on_delete=models.PROTECT, related_name="+")
    mistral_model = models.CharField(max_length=200)
    meter = models.CharField(max_length=16)
    currency = models.CharField(max_length=3)
    amount: "models.DecimalField[Decimal, Decimal]" = models.DecimalField(
        max_digits=20, decimal_places=10
    )
    per = models.PositiveIntegerField()
    effective_from: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()
    source = models.CharField(max_length=200)
    checksum = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "mistral_model", "meter", "currency", "effective_from"],
                name="organization_price_uniq",
            ),
            models.CheckConstraint(
                condition=models.Q(amount__gte=0, per__gte=1), name="organization_price_sane"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mistral_model} {self.meter} {self.amount} {self.currency} / {self.per}"

    @property
    def free(self) -> bool:
        """Tell whether it is zero: Mistral says so, so it is on purpose."""
        return self.amount == 0


class BasePricing(TenantRow):
    """That a fine-tuned model costs what its base does, from an instant on; never edited.

    ``base`` is a snapshot of Mistral's; empty from when the model has no price by its base again.
    """

    mistral_model = models.CharField(max_length=200)
    base = models.CharField(max_length=200, blank=True)
    effective_from: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "mistral_model", "effective_from"], name="base_pricing_uniq"
            ),
            models.CheckConstraint(
                condition=models.Q(mistral_model__startswith="ft:"),
                name="base_pricing_of_fine_tuned",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.mistral_model} by base {self.base or '(none)'}"


class WorkspacePolicy(TenantRow):
    """What a workspace does about calls whose price is not known, or whose answer has no cap."""

    workspace = models.ForeignKey(
        Workspace, on_delete=models.PROTECT, related_name="+", db_index=False
    )
    unpriced = models.CharField(max_length=8, default=UnpricedPolicy.REFUSE.value)
    default_output_tokens = models.PositiveIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "workspace"], name="workspace_policy_uniq"
            ),
            models.CheckConstraint(
                condition=models.Q(unpriced__in=_POLICIES), name="workspace_policy_known"
            ),
        ]

    def __str__(self) -> str:
        return self.unpriced


class Retention(TenantRow):
    """For how many whole months an organization keeps its single calls; null is for ever.

    Of months before ``forgotten_before`` the roll-ups are all there is.
    """

    months = models.PositiveSmallIntegerField(null=True)
    forgotten_before = models.DateField(null=True, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization"], name="retention_uniq"),
            # `spend_forget` keeps two months whatever this says: a second wall.
            models.CheckConstraint(
                condition=models.Q(months=None) | models.Q(months__gte=13),
                name="retention_a_year_at_least",
            ),
        ]

    def __str__(self) -> str:
        return "for ever" if self.months is None else f"{self.months} months"


class LearnedOutput(TenantRow):
    """How long the answers of a model usually are: the 99th percentile of recent calls."""

    mistral_model = models.CharField(max_length=200)
    tokens = models.PositiveIntegerField()
    calls = models.PositiveIntegerField()
    learned_at: "models.DateTimeField[datetime, datetime]" = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "mistral_model"], name="learned_output_uniq"
            )
        ]

    def __str__(self) -> str:
        return f"{self.mistral_model}: {self.tokens}"


class LimitExtension(TenantRow):
    """That a limit allows more until an instant, and goes back by itself then.

    ``former`` is what it goes back to, unless somebody set another limit meanwhile. ``ended_at`` is
    null as long as it holds.
    """

    limit = models.ForeignKey("spend.Limit", on_delete=models.PROTECT, related_name="+")
    former = models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES)
    amount = models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES)
    ends_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True)
    extended_by = models.CharField(max_length=254)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "limit"],
                condition=models.Q(ended_at=None),
                name="limit_extension_one_uniq",
            ),
            models.CheckConstraint(
                condition=models.Q(amount__gt=models.F("former")), name="limit_extension_extends"
            ),
        ]
        indexes = [
            models.Index(
                fields=["ends_at"],
                condition=models.Q(ended_at=None),
                name="limit_extension_due_idx",
            )
        ]

    def __str__(self) -> str:
        return f"{self.amount} until {self.ends_at:%Y-%m-%d %H:%M}"
