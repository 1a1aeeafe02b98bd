"""Signs of life of processes that nobody can ask over HTTP: the age of a file.

A worker touches it after each task and between the steps of long ones, beat whenever it has looked
at what is due. ``docker/entrypoint.sh alive`` looks at it, without Python and without a neighbour:
a probe that is asked every minute costs nothing then, and says the same while the database is away.
"""

from contextlib import suppress

from django.conf import settings


def note(role: str) -> None:
    """Say that a process of this role does its work; never in the way of that."""
    with suppress(OSError):
        (settings.DATA_DIR / f"{role}-alive").touch()
