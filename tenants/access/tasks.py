"""Background work of the porch: forgetting old idempotent answers and sessions that are over."""

from tenants.access import idempotency, sessions
from tenants.common.queue import task


@task("access.sweep_idempotency", soft=60)
def sweep_idempotency() -> None:
    """Forget the answers of more than a day ago; harmless when run twice or at once."""
    idempotency.sweep()


@task("access.sweep_sessions", soft=60)
def sweep_sessions() -> None:
    """Forget sessions that are over, and counters; harmless when run twice or at once."""
    sessions.sweep()
