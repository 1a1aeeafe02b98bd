"""Walks the directory of organizations for platform-wide work, which sees one tenant at a time."""

from collections.abc import Iterator
from uuid import UUID

from tenants.common import scope
from tenants.common.turns import Turn
from tenants.organizations.models import Organization, OrganizationStatus

_PAGE = 500


def organization_ids(turn: Turn | None = None, *, erased: bool = False) -> Iterator[UUID]:
    """Give the ids of all organizations, oldest first, a page at a time.

    Args:
        turn: it goes on where the turn before ended, and ends when this one is over; None: it
            walks to the end.
        erased: those that were erased, too.
    """
    last = turn.after if turn else None
    while True:
        with scope.platform():
            rows = Organization.objects.all()
            if not erased:
                rows = rows.exclude(status=OrganizationStatus.ERASED)
            page = rows.order_by("id").values_list("id", flat=True)
            ids = list((page.filter(id__gt=last) if last else page)[:_PAGE])
        if not ids:
            return
        for organization_id in ids:
            yield organization_id
            if turn is not None and turn.is_over():
                turn.left_at = organization_id
                return
        last = ids[-1]
