"""Addresses of pages: Django finds each route once, and ids are put into what it found.

A page links to dozens of places, and looking for the same route again is most of what a link costs.
"""

from functools import cache
from uuid import UUID

from django.urls import reverse

_STAND_IN = UUID(int=0)


def address_of(name: str, member: str, row_id: UUID) -> str:
    """Give the address of a page.

    Args:
        name: of the route.
        member: what the route calls the id that it takes, as in ``workspace_id``.
        row_id: that id.

    Raises:
        NoReverseMatch: there is no such route.
    """
    before, after = _around(name, member)
    return f"{before}{row_id}{after}"


@cache
def _around(name: str, member: str) -> tuple[str, str]:
    before, _, after = reverse(name, kwargs={member: _STAND_IN}).partition(str(_STAND_IN))
    return before, after
