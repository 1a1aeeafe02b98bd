"""Background work of the porch: forgetting old idempotent answers and sessions that are over."""

from celery import shared_task

from tenants.access import idempotency, sessions


@shared_task(name="access.sweep_idempotency", ignore_result=True)
def sweep_idempotency() -> None:
    """Forget the answers of more than a day ago; harmless when run twice or at once."""
    idempotency.sweep()


@shared_task(name="access.sweep_sessions", ignore_result=True)
def sweep_sessions() -> None:
    """Forget sessions that are over, and counters; harmless when run twice or at once."""
    sessions.sweep()
