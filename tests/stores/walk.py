"""A long task: what its steps did is in a file, and one of them lasts until it is told to stop."""

import time
from uuid import UUID

from django.conf import settings

from tenants.common import turns
from tenants.common.queue import task

STEPS = 5
#: Both places of a worker do this step until the test has seen that they do.
WATCHED = 1
#: The step during which the worker is told to stop.
TOLD = 2
_LOOKS = 6_000
#: In the workers of these tests only the stop ends a turn, never its time.
turns.SECONDS = 3_000


@task("tests.walk", soft=280)
def walk(after: str = "") -> None:
    """Do the steps that are left."""
    with turns.turn(walk, after) as mine:
        done = mine.after.int if mine.after else 0
        for number in range(done + 1, STEPS + 1):
            _do(number)
            if mine.is_over():
                mine.left_at = UUID(int=number)
                return


def _do(number: int) -> None:
    with (settings.DATA_DIR / "steps").open("a") as file:
        file.write(f"{number}\n")
    if number == WATCHED:
        _wait_for((settings.DATA_DIR / "seen").exists)
    if number == TOLD:
        _wait_for(turns.step)


def _wait_for(happens) -> None:
    for _ in range(_LOOKS):
        if happens():
            return
        time.sleep(0.01)
