"""Whose turn it is to ask Mistral: so many checks a second, over all workers of all hosts.

A *lane* is a row in PostgreSQL with the instant until which its turns are given away (a leaky
bucket, GCRA). Every check takes a turn in the lane of its Mistral organization; those that nobody
waits for take one in the lane of all, too. A lane that hears of trouble slows down by half each
time, and speeds up by a tenth with each success: after an outage checks come back in a slope, not
in a wall. The clock is the database's, so that no worker's own can be wrong.
"""

from dataclasses import dataclass

from django.db import connection

from tenants.keys.judgement import ANSWER_LOST, NOT_REACHED, Finding
from tenants.keys.models import MistralKey
from tenants.keys.timing import Timing
from tenants.mistral.errors import ErrorClass

#: The lane of all checks that nobody waits for.
EVERYBODY = "*"
_OUTAGE = frozenset(
    {
        NOT_REACHED,
        ANSWER_LOST,
        ErrorClass.SERVER_ERROR.value,
        ErrorClass.UNREADABLE_ANSWER.value,
        ErrorClass.CAPACITY.value,
        ErrorClass.NO_ROUTE.value,
    }
)
_BUSY = frozenset({ErrorClass.RATE_LIMITED.value})


@dataclass(frozen=True, slots=True)
class Turn:
    """When a check may go out.

    Attributes:
        wait: seconds from now.
        is_mine: the turn was taken; otherwise nothing was, and one asks again after the wait.
    """

    wait: float
    is_mine: bool


def take(key: MistralKey, times: Timing) -> Turn:
    """Take a turn for a key in the open transaction, or learn how far away one is.

    A check that a person asked for does not queue behind those that the clock asked for.
    """
    lanes = [(_lane(key), times.pace, times.burst)]
    if key.asked_at is None:
        lanes.append((EVERYBODY, times.pace_all, times.burst_all))
    names, rates, bursts = zip(*lanes, strict=True)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT keys_take_turn(%s, %s, %s, %s)",
            [list(names), [*map(float, rates)], [*map(float, bursts)], times.patience],
        )
        wait: float = cursor.fetchone()[0]
    return Turn(wait, is_mine=wait <= times.patience)


def tell(key: MistralKey, finding: Finding, times: Timing) -> None:
    """Tell the lanes how a check went, in the open transaction."""
    trouble = {
        _lane(key): finding.cause in _BUSY,
        EVERYBODY: finding.cause in _OUTAGE,
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT keys_tell_lanes(%s, %s, %s)",
            [list(trouble), list(trouble.values()), times.slowest],
        )


def _lane(key: MistralKey) -> str:
    """Name the lane of a key: its Mistral organization's, ours as long as that is not known."""
    return key.mistral_organization_id or str(key.organization_id)
