"""Addresses and limits of telling; no decisions. The next beat repeats what failed."""

from celery import shared_task

from tenants.common.queue import enqueue_on_commit
from tenants.notices import delivering, forgetting, mailing, publishing


@shared_task(
    name="notices.deliver",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=80,
    time_limit=100,
)
def deliver() -> None:
    """Post webhooks that are due."""
    delivering.deliver_due()


@shared_task(
    name="notices.mail",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=80,
    time_limit=100,
)
def mail() -> None:
    """Send mails that are due."""
    mailing.mail_due()


@shared_task(
    name="notices.sweep",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=50,
    time_limit=60,
)
def sweep() -> None:
    """Publish what was announced, and enqueue whatever is due."""
    publishing.publish_due()
    for is_due, work in zip(publishing.waiting(), (deliver, mail), strict=True):
        if is_due:
            enqueue_on_commit(work)


@shared_task(
    name="notices.forget_old",
    acks_late=True,
    reject_on_worker_lost=True,
    soft_time_limit=1_500,
    time_limit=1_600,
)
def forget_old() -> None:
    """Forget what was told long ago."""
    forgetting.forget_old()
