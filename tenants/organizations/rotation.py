"""Keyring rotation: every data key under the newest master key, one organization at a time.

It keeps no state of its own: what is already wrapped by the newest key is skipped, so a run that
was killed is continued by running it again, and traffic goes on throughout.
"""

from collections import Counter
from collections.abc import Generator

from django.conf import settings
from django.db import connection

from tenants.common import scope
from tenants.organizations import data_keys, intake_keys, walking
from tenants.organizations.models import Organization
from tenants.people import second_factors


def organization_count() -> int:
    """Count the organizations to walk."""
    with scope.platform():
        return Organization.objects.count()


def rotate() -> Generator[Counter[str]]:
    """Re-wrap organization after organization; yield, for each, which master keys wrap it now.

    Raises:
        KeyringUnavailableError: a master key cannot be asked now; run it again later.
    """
    for organization_id in walking.organization_ids():
        yield data_keys.rewrap_all(organization_id)


def rotate_what_is_nobodys() -> Counter[str]:
    """Re-wrap what belongs to no organization, intake keys and people's second factors.

    Returns:
        How many each master key wraps now.
    """
    return intake_keys.rewrap_all() + second_factors.rewrap_all()


def master_keys_in_use() -> Counter[str]:
    """Count what each master key wraps now, in all of the database and in one query.

    This, and not what a walk saw, proves that a master key is used no more.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT key_id, boxes FROM organizations_master_keys()")
        return Counter(dict(cursor.fetchall()))


def missing_master_keys() -> list[str]:
    """Name the master keys that something is wrapped by and that this keyring has not."""
    known = {key_id for key_id, _key in settings.ENCRYPTION_KEYRING}
    return sorted(master_keys_in_use().keys() - known)
