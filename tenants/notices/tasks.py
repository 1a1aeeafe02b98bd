"""Addresses and limits of telling; no decisions. The next beat repeats what failed."""

from tenants.common.queue import enqueue_on_commit, task
from tenants.common.turns import turn
from tenants.notices import delivering, forgetting, mailing, publishing


@task("notices.deliver", soft=80)
def deliver() -> None:
    """Post webhooks that are due."""
    delivering.deliver_due()


@task("notices.mail", soft=80)
def mail() -> None:
    """Send mails that are due."""
    mailing.mail_due()


@task("notices.sweep", soft=50)
def sweep() -> None:
    """Publish what was announced, and enqueue whatever is due."""
    try:
        publishing.publish_due()
    finally:  # what was announced may have failed in one organization
        for is_due, work in zip(publishing.waiting(), (deliver, mail), strict=True):
            if is_due:
                enqueue_on_commit(work)


@task("notices.forget_old", soft=280)
def forget_old(after: str = "") -> None:
    """Forget what was told long ago."""
    with turn(forget_old, after) as mine:
        forgetting.forget_old(mine)
