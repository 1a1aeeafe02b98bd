"""Keyring rotation: every data key under the newest master key, one organization at a time.

It keeps no state of its own: what is already wrapped by the newest key is skipped, so a run that
was killed is continued by running it again, and traffic goes on throughout.
"""

from collections import Counter
from collections.abc import Generator, Iterator
from uuid import UUID

from tenants.common import scope
from tenants.organizations import data_keys, intake_keys
from tenants.organizations.models import Organization

_PAGE = 500


def organization_count() -> int:
    """Count the organizations to walk."""
    with scope.platform():
        return Organization.objects.count()


def rotate() -> Generator[Counter[str]]:
    """Re-wrap organization after organization; yield, for each, which master keys wrap it now.

    The intake keys, which belong to no organization, come last.
    """
    for organization_id in _organization_ids():
        with scope.tenant(organization_id):
            found = data_keys.rewrap_all(organization_id)
        yield found
    yield intake_keys.rewrap_all()


def _organization_ids() -> Iterator[UUID]:
    """Walk the directory in the order of creation, a page at a time."""
    last: UUID | None = None
    while True:
        with scope.platform():
            page = Organization.objects.order_by("id").values_list("id", flat=True)
            ids = list((page.filter(id__gt=last) if last else page)[:_PAGE])
        if not ids:
            return
        yield from ids
        last = ids[-1]
