"""Erasing an organization: what this room knows of it goes."""

from tenants.billing.models import BillingProfile, Plan


def forget() -> None:
    """Forget profile and plan, inside the organization's scope."""
    BillingProfile.objects.all().delete()
    Plan.objects.all().delete()
