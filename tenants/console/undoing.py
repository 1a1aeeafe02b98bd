"""The way back from what was just done: one button on the next page, which sends a form of ours.

Only what a verb can set back is offered: facts of a form, a role, a place in a workspace, a leave,
a switch. What is destroyed (keys, tokens, models) or archived has no verb that brings it back.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest

_KEPT = "aim_undo"
#: What a form says that takes something back.
UNDOING = "undoing"


@dataclass(frozen=True, slots=True)
class Undo:
    """A form: where it is sent to, and what it says."""

    address: str
    fields: tuple[tuple[str, str], ...]


def undo(address: str, fields: Iterable[tuple[str, str]]) -> Undo | None:
    """Make a way back; None where nothing has changed, so that there is nothing to say."""
    told = tuple(fields)
    return Undo(address, (*told, (UNDOING, "yes"))) if told else None


def keep(request: HttpRequest, way: Undo) -> None:
    """Keep it in the session for the next page."""
    request.session[_KEPT] = {"address": way.address, "fields": way.fields}


def take(request: HttpRequest) -> Undo | None:
    """Give what the page before has kept, once."""
    kept: Any = request.session.pop(_KEPT, None)
    if kept is None:
        return None
    return Undo(kept["address"], tuple((name, value) for name, value in kept["fields"]))
