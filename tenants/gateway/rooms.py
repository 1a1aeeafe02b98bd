"""Bytes that the organizations of a process share, of which none has more than its part."""

from dataclasses import dataclass
from uuid import UUID

from tenants.common.problems import Problem


@dataclass(frozen=True, slots=True)
class Full:
    """What is said where there is no room.

    Attributes:
        of_one: to an organization that has its part.
        of_all: to anybody.
    """

    of_one: str
    of_all: str


class Room:
    """So many bytes.

    Args:
        most: in all.
        most_of_one: of one organization.
        full: what is said where there is no more.

    Attributes:
        most_of_one: of one organization.
    """

    def __init__(self, most: int, most_of_one: int, full: Full) -> None:
        self.most_of_one = most_of_one
        self._most = most
        self._full = full
        self._taken: dict[UUID, int] = {}
        self._all = 0

    def take(self, whose: UUID, size: int) -> None:
        """Set so many bytes aside.

        Raises:
            Problem: there is no room, for this organization (429) or for anybody (503).
        """
        taken = self._taken.get(whose, 0) + size
        if taken > self.most_of_one:
            raise Problem("too_many_at_once", self._full.of_one, status=429, retry_after=1)
        if self._all + size > self._most:
            raise Problem("busy", self._full.of_all, status=503, retry_after=1)
        self._taken[whose] = taken
        self._all += size

    def give(self, whose: UUID, size: int) -> None:
        """Give bytes back that were set aside."""
        self._all -= size
        left = self._taken[whose] - size
        if left:
            self._taken[whose] = left
        else:
            del self._taken[whose]
