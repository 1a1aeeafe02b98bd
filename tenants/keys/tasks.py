"""Addresses and retry policies of the work on keys; no decisions."""

from uuid import UUID

from tenants.common.queue import enqueue_on_commit, task
from tenants.common.turns import turn
from tenants.keys import auditing, noticing, sweeping, validation
from tenants.organizations import intake_keys


@task("keys.validate", soft=110, retries=3)
def validate(organization_id: str, key_id: str) -> None:
    """Check one key."""
    validation.validate(UUID(organization_id), UUID(key_id))


@task("keys.sweep", soft=30)
def sweep() -> None:
    """Enqueue the checks of keys that are due; the next beat repeats a sweep that failed."""
    for organization_id, key_id in sweeping.take_due():
        enqueue_on_commit(validate, str(organization_id), str(key_id))


@task("keys.notice_expiring", soft=280, retries=3, pause=30)
def notice_expiring(after: str = "") -> None:
    """Tell that keys expire soon; what was told is not told again."""
    with turn(notice_expiring, after) as mine:
        noticing.notice_expiring(mine)


@task("keys.audit_custody", soft=280)
def audit_custody(after: str = "") -> None:
    """Open every stored secret once, and have those checked that do not open."""
    with turn(audit_custody, after) as mine:
        for organization_id, key_id in auditing.find_unopened(mine):
            enqueue_on_commit(validate, str(organization_id), str(key_id))


@task("keys.destroy_intake_keys", soft=30)
def destroy_intake_keys() -> None:
    """Destroy the intake keys whose time is over."""
    intake_keys.destroy_expired()
