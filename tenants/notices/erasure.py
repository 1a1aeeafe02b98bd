"""Erasing an organization: what this room knows of it goes."""

from tenants.notices.models import Delivery, MutedKind, Notice, WebhookEndpoint, WebhookSecret


def forget() -> None:
    """Shred the webhooks' secrets and forget endpoints, deliveries and mails, inside the scope."""
    Delivery.objects.all().delete()
    Notice.objects.all().delete()
    MutedKind.objects.all().delete()
    WebhookSecret.objects.all().delete()
    WebhookEndpoint.objects.all().delete()
