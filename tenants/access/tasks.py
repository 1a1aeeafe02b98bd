"""Background work of the porch: forgetting old idempotent answers."""

from celery import shared_task

from tenants.access import idempotency


@shared_task(name="access.sweep_idempotency", ignore_result=True)
def sweep_idempotency() -> None:
    """Forget the answers of more than a day ago; harmless when run twice or at once."""
    idempotency.sweep()
