"""Addresses and retry policies of the work on organizations; no decisions."""

from uuid import UUID

from celery import shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError

from tenants.common.problems import Unavailable
from tenants.common.queue import enqueue_on_commit
from tenants.organizations import audit_anchors, data_key_rotation, invitation_mail
from tenants.organizations.audit import Actor

WORKER = Actor(kind="worker", id="organizations.rotate_data_key", name="rotate_data_key")


@shared_task(
    name="organizations.rotate_data_key",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=(OperationalError, InterfaceError, Unavailable),
    max_retries=3,
    retry_backoff=30,
    soft_time_limit=1_500,
    time_limit=1_600,
)
def rotate_data_key(organization_id: str, away_from: str) -> None:
    """Rotate one organization's data key."""
    data_key_rotation.rotate(UUID(organization_id), actor=WORKER, away_from=UUID(away_from))


@shared_task(
    name="organizations.rotate_data_keys",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=1_500,
    time_limit=1_600,
)
def rotate_data_keys() -> None:
    """Enqueue the rotation of every data key that is old, or was left half-way."""
    for organization_id, key_id in data_key_rotation.due(days=settings.DATA_KEY_DAYS):
        enqueue_on_commit(rotate_data_key, str(organization_id), str(key_id))


@shared_task(
    name="organizations.mail_invitation",
    acks_late=True,
    reject_on_worker_lost=True,
    autoretry_for=(OperationalError, InterfaceError),
    max_retries=3,
    retry_backoff=5,
    soft_time_limit=60,
    time_limit=75,
)
def mail_invitation(organization_id: str, invitation_id: str) -> None:
    """Mail one invitation."""
    invitation_mail.deliver(UUID(organization_id), UUID(invitation_id))


@shared_task(
    name="organizations.sweep_invitations",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=60,
    time_limit=75,
)
def sweep_invitations() -> None:
    """Mail what was left."""
    for organization_id, invitation_id in invitation_mail.due():
        invitation_mail.deliver(organization_id, invitation_id)


@shared_task(
    name="organizations.anchor_audit",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=300,
    time_limit=330,
)
def anchor_audit() -> None:
    """Write down outside of the database how far the audit chains have come."""
    audit_anchors.write()
