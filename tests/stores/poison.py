"""Tasks that end the process that does them: what a bug in somebody's C code looks like."""

import os
import signal

from tenants.common.queue import task


@task("tests.end_child", soft=60)
def end_child(_name: str) -> None:
    """End the process of the pool."""
    os.kill(os.getpid(), signal.SIGKILL)


@task("tests.end_worker", soft=60)
def end_worker(_name: str) -> None:
    """End the worker as a whole, as when a container is out of memory."""
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
