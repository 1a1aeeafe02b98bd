"""Whom Mistral bills: the legal facts, and the plan. No card data, ever."""

from decimal import Decimal

from django.db import models

from tenants.common.models import TenantRow
from tenants.common.money import DECIMAL_PLACES, MAX_DIGITS


class VatStatus(models.TextChoices):
    """What is known of a VAT number."""

    UNCHECKED = "unchecked"
    VALID_FORMAT = "valid_format"
    REGISTERED = "registered"
    NOT_REGISTERED = "not_registered"


class BillingProfile(TenantRow):
    """The legal facts of an organization, as an invoice needs them.

    ``due_at`` is when VIES is asked next; null when nothing is left to ask.
    """

    legal_name = models.CharField(max_length=200)
    vat_number = models.CharField(max_length=20, blank=True)
    vat_status = models.CharField(max_length=16, choices=VatStatus, default=VatStatus.UNCHECKED)
    vat_checked_at = models.DateTimeField(null=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField(null=True)
    line1 = models.CharField(max_length=200)
    line2 = models.CharField(max_length=200, blank=True)
    postal_code = models.CharField(max_length=16)
    city = models.CharField(max_length=120)
    province = models.CharField(max_length=64, blank=True)
    country = models.CharField(max_length=2)
    sdi_code = models.CharField(max_length=7, blank=True)
    pec = models.EmailField(max_length=254, blank=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["organization"], name="billing_profile_uniq")
        ]
        indexes = [
            models.Index(
                fields=["due_at"],
                condition=models.Q(due_at__isnull=False),
                name="billing_profile_due_idx",
            )
        ]

    def __str__(self) -> str:
        return self.legal_name


class PlanName(models.TextChoices):
    """Mistral's plans, as its console names them."""

    EXPERIMENT = "experiment"
    SCALE = "scale"


class FactSource(models.TextChoices):
    """How a fact came to be known."""

    DECLARED = "declared"
    OBSERVED = "observed"


def _amount() -> "models.DecimalField[Decimal | None, Decimal | None]":
    return models.DecimalField(max_digits=MAX_DIGITS, decimal_places=DECIMAL_PLACES, null=True)


class Plan(TenantRow):
    """What is known of an organization's plan and payment at Mistral."""

    plan = models.CharField(max_length=16, choices=PlanName, blank=True)
    payment_method_on_file = models.BooleanField(default=False)
    phone_verified = models.BooleanField(default=False)
    recharges = models.BooleanField(null=True)
    top_up = _amount()
    threshold = _amount()
    source = models.CharField(max_length=8, choices=FactSource, default=FactSource.DECLARED)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["organization"], name="plan_uniq")]

    def __str__(self) -> str:
        return self.plan
