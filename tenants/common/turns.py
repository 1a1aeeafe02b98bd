"""Long work in turns: a task does what half a minute has time for, and queues the rest.

So long work keeps no worker from what is short, nor one that is told to stop from ending. Between
two steps, each of them committed, it says that its worker lives, and hears whether that is to stop.
The next turn, in whatever worker, begins behind what was done.
"""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from uuid import UUID

from celery import Task
from django.dispatch import Signal

from tenants.common.queue import enqueue_on_commit

SECONDS = 30
#: Of a task's request: what it left goes on in another turn.
GOES_ON = "goes_on"
_PAUSE = 5

#: Sent between steps, every few seconds: whoever does long work lives.
stepped = Signal()
# A byte of memory that a worker shares with the processes it forks, and no later worker with it.
_stop = mmap.mmap(-1, 1)
_said_at = 0.0


def tell_to_stop(*, stop: bool = True) -> None:
    """Have this process, and those it forked, end their turns at the next step."""
    _stop[0] = stop


def step() -> bool:
    """Say, between two steps, that this process lives; tell whether it is to stop."""
    global _said_at  # noqa: PLW0603 - of the process, as the worker that it speaks for
    now = monotonic()
    if now - _said_at >= _PAUSE:
        _said_at = now
        stepped.send(sender=None)
    return bool(_stop[0])


class Turn:
    """One turn of a walk over organizations.

    Args:
        after: the last one that was done in the turns before; None: this is the first turn.

    Attributes:
        left_at: the last one that was done in this turn, if it ended before the walk did.
    """

    def __init__(self, after: UUID | None = None) -> None:
        self.after = after
        self.left_at: UUID | None = None
        self._until = monotonic() + SECONDS

    def is_over(self) -> bool:
        """Tell, between two steps, whether there is no time for another one in this turn."""
        return step() or monotonic() >= self._until


@contextmanager
def turn(task: "Task[[str], None]", after: str) -> Iterator[Turn]:
    """Give a task a turn; what it left goes back into the queue.

    Args:
        task: that goes on; its argument is the next turn's `after`.
        after: the id that it was given; empty in the first turn.
    """
    taken = Turn(UUID(after) if after else None)
    yield taken
    if taken.left_at is not None:
        # The walk is not done: this turn does not tell that the task fails no more.
        task.request.update(**{GOES_ON: True})
        enqueue_on_commit(task, str(taken.left_at))
