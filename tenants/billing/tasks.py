"""Addresses and retry policies of this room's background work; no decisions."""

from uuid import UUID

from tenants.billing import vat_check
from tenants.common.queue import task


@task("billing.check_vat", soft=60, retries=3)
def check_vat(organization_id: str) -> None:
    """Look one VAT number up."""
    vat_check.check(UUID(organization_id))


@task("billing.sweep_vat", soft=240)
def sweep_vat() -> None:
    """Look up what is due."""
    for organization_id in vat_check.due():
        vat_check.check(organization_id)
