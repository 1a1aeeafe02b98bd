"""Finds keys of a tenant by what people remember of them: a part of the name, or the last four.

Accents and the case of letters do not matter. It runs inside the organization's scope, on an index
that holds for a tenant with hundreds of thousands of keys.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from django.db import connection


@dataclass(frozen=True, slots=True)
class Search:
    """Which keys are looked for.

    Attributes:
        words: part of the name or of the last four characters.
        workspace_id: of one workspace; None: of all.
        statuses: any of these; None: all but revoked ones.
        until: whose own date is that day or earlier.
    """

    words: str
    workspace_id: UUID | None = None
    statuses: Sequence[str] | None = None
    until: date | None = None

    def find(self, before: UUID | None, most: int) -> list[UUID]:
        """Give the ids of the first keys after a place in the list, newest first."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT keys_search(%s, %s, %s, %s, %s, %s)",
                [
                    self.workspace_id,
                    self.words,
                    None if self.statuses is None else list(self.statuses),
                    self.until,
                    before,
                    most,
                ],
            )
            return [key_id for (key_id,) in cursor.fetchall()]
