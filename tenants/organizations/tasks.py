"""Addresses and retry policies of the work on organizations; no decisions."""

from uuid import UUID

from django.conf import settings

from tenants.common.queue import enqueue_on_commit, task
from tenants.common.turns import Turn, turn
from tenants.organizations import audit_anchors, data_key_rotation, invitation_mail
from tenants.organizations.audit import Actor

WORKER = Actor(kind="worker", id="organizations.rotate_data_key", name="rotate_data_key")


@task("organizations.rotate_data_key", soft=280, retries=3, pause=30)
def rotate_data_key(organization_id: str, away_from: str) -> None:
    """Rotate one organization's data key, in turns; what does not open waits for another day."""
    mine = Turn()
    done = data_key_rotation.rotate(
        UUID(organization_id), actor=WORKER, away_from=UUID(away_from), turn=mine
    )
    if mine.is_over() and done.sealed_anew:
        enqueue_on_commit(rotate_data_key, organization_id, away_from)


@task("organizations.rotate_data_keys", soft=280)
def rotate_data_keys(after: str = "") -> None:
    """Enqueue the rotation of every data key that is old, or was left half-way."""
    with turn(rotate_data_keys, after) as mine:
        for organization_id, key_id in data_key_rotation.due(
            days=settings.DATA_KEY_DAYS, turn=mine
        ):
            enqueue_on_commit(rotate_data_key, str(organization_id), str(key_id))


@task("organizations.mail_invitation", soft=60, retries=3)
def mail_invitation(organization_id: str, invitation_id: str) -> None:
    """Mail one invitation."""
    invitation_mail.deliver(UUID(organization_id), UUID(invitation_id))


@task("organizations.sweep_invitations", soft=60)
def sweep_invitations() -> None:
    """Mail what was left."""
    for organization_id, invitation_id in invitation_mail.due():
        invitation_mail.deliver(organization_id, invitation_id)


@task("organizations.anchor_audit", soft=280)
def anchor_audit() -> None:
    """Write down outside of the database how far the audit chains have come."""
    audit_anchors.write()
