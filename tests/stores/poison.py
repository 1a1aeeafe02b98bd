"""Tasks that end the process that does them: what a bug in somebody's C code looks like."""

import os
import signal

from celery import shared_task


@shared_task(name="tests.end_child", acks_late=True, reject_on_worker_lost=True)
def end_child(_name: str) -> None:
    """End the process of the pool."""
    os.kill(os.getpid(), signal.SIGKILL)


@shared_task(name="tests.end_worker", acks_late=True, reject_on_worker_lost=True)
def end_worker(_name: str) -> None:
    """End the worker as a whole, as when a container is out of memory."""
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
