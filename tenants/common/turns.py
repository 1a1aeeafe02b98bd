"""Long work in turns: a task does what half a minute has time for, and queues the rest.

So long work keeps no worker from what is short, nor one that is told to stop from ending. Between
two steps, each of them committed, it says that its worker lives, and hears whether that is to stop.
The next turn, in whatever worker, begins behind what was done.

A step that fails ends nothing but itself: it is told, and those behind it have theirs.

    WalkFailed   some steps failed, and all others were done
"""

import mmap
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from uuid import UUID

import structlog
from celery import Task
from django.db import InterfaceError, OperationalError, connection
from django.dispatch import Signal

from tenants.common.queue import enqueue_on_commit

log = structlog.get_logger(__name__)

SECONDS = 30
#: Of a task's request: what it left goes on in another turn.
GOES_ON = "goes_on"
# Behind the last one that was done: before it, in this turn or another, a step has failed.
_FAILED = "!"
_PAUSE = 5
_INTERRUPTIONS = (OperationalError, InterfaceError)

#: Sent between steps, every few seconds: whoever does long work lives.
stepped = Signal()
# A byte of memory that a worker shares with the processes it forks, and no later worker with it.
_stop = mmap.mmap(-1, 1)
_said_at = 0.0


class WalkFailed(Exception):  # noqa: N818 - what happened, named for its reader
    """Steps of a walk have failed; the log names each, and all others were done."""


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
        has_failed: a step of the turns before has failed.

    Attributes:
        left_at: the last one that was done in this turn, if it ended before the walk did.
        has_failed: a step has failed, in this turn or one before.
    """

    def __init__(self, after: UUID | None = None, *, has_failed: bool = False) -> None:
        self.after = after
        self.left_at: UUID | None = None
        self.has_failed = has_failed
        self._until = monotonic() + SECONDS

    def is_over(self) -> bool:
        """Tell, between two steps, whether there is no time for another one in this turn."""
        return step() or monotonic() >= self._until


def each[Result](
    ids: Iterable[UUID], work: Callable[[UUID], Result], turn: Turn | None = None
) -> Iterator[Result]:
    """Do the same for one organization after the other, also behind one for which it fails.

    Args:
        ids: for whom.
        work: what is done; it opens its own transactions.
        turn: it keeps that something failed, and its task tells so at the end of the walk.

    Raises:
        WalkFailed: at the end, without a turn: so that whoever asked for it is told.
        OperationalError: the database is away, for everybody.
    """
    mine = turn or Turn()
    for one in ids:
        done = _try(one, work)
        mine.has_failed |= not done
        yield from done
    if turn is None and mine.has_failed:
        raise WalkFailed


@contextmanager
def turn(task: "Task[[str], None]", after: str) -> Iterator[Turn]:
    """Give a task a turn; what it left goes back into the queue.

    Args:
        task: that goes on; its argument is the next turn's `after`.
        after: what it was given; empty in the first turn.

    Raises:
        WalkFailed: at the end of the last turn, once for all of them.
    """
    last = after.removesuffix(_FAILED)
    taken = Turn(UUID(last) if last else None, has_failed=after.endswith(_FAILED))
    yield taken
    if taken.left_at is not None:
        # The walk is not done: this turn does not tell that the task fails no more.
        task.request.update(**{GOES_ON: True})
        enqueue_on_commit(task, f"{taken.left_at}{_FAILED if taken.has_failed else ''}")
    elif taken.has_failed:
        raise WalkFailed


def _try[Result](one: UUID, work: Callable[[UUID], Result]) -> tuple[Result, ...]:
    """Do a step, and give what it gave; nothing where it failed, and then the log has it.

    What the database interrupted (a deadlock, a connection that is gone) is done once more.

    Raises:
        OperationalError: the database is away.
    """
    for interruptions in (_INTERRUPTIONS, ()):
        try:
            return (work(one),)
        except interruptions:
            connection.close()
            connection.ensure_connection()
        except Exception:
            log.exception("organization_failed", organization_id=str(one))
            break
    return ()
