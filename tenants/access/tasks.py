"""Background work of the porch: forgetting what is over, telling of tokens that end soon."""

from tenants.access import expiring, idempotency, sessions
from tenants.common.queue import task


@task("access.sweep_idempotency", soft=60)
def sweep_idempotency() -> None:
    """Forget the answers of more than a day ago; harmless when run twice or at once."""
    idempotency.sweep()


@task("access.sweep_sessions", soft=60)
def sweep_sessions() -> None:
    """Forget sessions that are over, and counters; harmless when run twice or at once."""
    sessions.sweep()


@task("access.notice_expiring", soft=280, retries=3, pause=30)
def notice_expiring() -> None:
    """Tell that tokens end soon; what was told is not told again."""
    expiring.notice_expiring()
