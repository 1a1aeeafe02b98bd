"""Addresses and retry policies of this room's background work; no decisions."""

from uuid import UUID

from celery import shared_task
from django.db import InterfaceError, OperationalError

from tenants.billing import vat_check

_TRANSIENT = (OperationalError, InterfaceError)


@shared_task(
    name="billing.check_vat",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=_TRANSIENT,
    max_retries=3,
    retry_backoff=5,
    soft_time_limit=60,
    time_limit=75,
)
def check_vat(organization_id: str) -> None:
    """Look one VAT number up."""
    vat_check.check(UUID(organization_id))


@shared_task(
    name="billing.sweep_vat",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=240,
    time_limit=260,
)
def sweep_vat() -> None:
    """Look up what is due."""
    for organization_id in vat_check.due():
        vat_check.check(organization_id)
