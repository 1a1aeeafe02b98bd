"""Keyring rotation: every data key under the newest master key, one organization at a time.

It keeps no state of its own: what is already wrapped by the newest key is skipped, so a run that
was killed is continued by running it again, and traffic goes on throughout.
"""

from collections import Counter
from collections.abc import Generator

from tenants.common import scope
from tenants.organizations import data_keys, intake_keys, walking
from tenants.organizations.models import Organization


def organization_count() -> int:
    """Count the organizations to walk."""
    with scope.platform():
        return Organization.objects.count()


def rotate() -> Generator[Counter[str]]:
    """Re-wrap organization after organization; yield, for each, which master keys wrap it now.

    The intake keys, which belong to no organization, come last.
    """
    for organization_id in walking.organization_ids():
        yield data_keys.rewrap_all(organization_id)
    yield intake_keys.rewrap_all()
