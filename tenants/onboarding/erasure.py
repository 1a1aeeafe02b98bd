"""Erasing an organization: what this room knows of it goes."""

from tenants.onboarding.models import Confirmation


def forget() -> None:
    """Forget what was confirmed, inside the organization's scope."""
    Confirmation.objects.all().delete()
