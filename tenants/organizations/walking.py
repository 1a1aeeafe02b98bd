"""Walks the directory of organizations for platform-wide work, which sees one tenant at a time."""

from collections.abc import Iterator
from uuid import UUID

from tenants.common import scope
from tenants.organizations.models import Organization, OrganizationStatus

_PAGE = 500


def organization_ids(*, erased: bool = False) -> Iterator[UUID]:
    """Give the ids of all organizations, oldest first, a page at a time.

    Args:
        erased: those that were erased, too.
    """
    last: UUID | None = None
    while True:
        with scope.platform():
            rows = Organization.objects.all()
            if not erased:
                rows = rows.exclude(status=OrganizationStatus.ERASED)
            page = rows.order_by("id").values_list("id", flat=True)
            ids = list((page.filter(id__gt=last) if last else page)[:_PAGE])
        if not ids:
            return
        yield from ids
        last = ids[-1]
