"""Follows keys of a list that are being checked: asks for these alone, ever less often, and ends.

The page asks after three seconds, then after longer pauses. Whatever has a verdict by then comes as
a row that takes its row's place, and is asked for no more. After the last pause a sentence says so.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.http import QueryDict

from tenants.keys.models import KeyStatus, MistralKey

#: Seconds before each time that the page asks; two and a half minutes in all.
PAUSES = (3, 3, 5, 8, 13, 21, 34, 55)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What a page goes on asking for.

    Attributes:
        keys: those that have no verdict yet.
        round: how many times it has asked.
    """

    keys: tuple[UUID, ...]
    round: int = 0

    @property
    def ids(self) -> str:
        """Write them as the page sends them back."""
        return ",".join(map(str, self.keys))

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self.keys)

    @property
    def seconds(self) -> int | None:
        """Tell after what pause it asks; None: it has asked long enough."""
        return PAUSES[self.round] if self.round < len(PAUSES) else None


def waiting(keys: Iterable[MistralKey], asked: int = 0) -> Waiting:
    """Tell which keys of a page have no verdict yet."""
    pending = tuple(key.pk for key in keys if key.status == KeyStatus.PENDING)
    return Waiting(pending, asked)


def asked_for(query: QueryDict, most: int) -> tuple[list[UUID], int]:
    """Read which keys a page asks for, and how many times it has with this one."""
    ids = []
    for text in query.get("waiting", "").split(",")[:most]:
        try:
            ids.append(UUID(text))
        except ValueError:
            continue
    told = query.get("round", "")
    is_number = told.isascii() and told.isdigit() and len(told) < 4  # noqa: PLR2004 - enough
    return ids, int(told) + 1 if is_number else len(PAUSES)
