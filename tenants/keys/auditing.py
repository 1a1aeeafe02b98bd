"""The nightly audit of custody: every stored secret is opened once, and what does not open is told.

Nothing is sent anywhere. A key that does not open is made due; its check then finds the same and
makes it ``undecryptable``, by the rules of every other check. It walks one organization at a time.
"""

from uuid import UUID

import structlog
from django.db.models.functions import Now

from tenants.common import scope
from tenants.keys import slots
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations import walking

log = structlog.get_logger(__name__)


def find_unopened() -> list[tuple[UUID, UUID]]:
    """Open every secret; make due, and return, the keys that do not open and are not known to."""
    found: list[tuple[UUID, UUID]] = []
    opened = 0
    for organization_id in walking.organization_ids():
        with scope.tenant(organization_id):
            keys = MistralKey.objects.filter(revoked_at=None).exclude(
                status=KeyStatus.UNDECRYPTABLE
            )
            lost = [key.pk for key in keys.iterator(chunk_size=500) if not slots.opens(key)]
            MistralKey.objects.filter(pk__in=lost).update(next_check_at=Now())
            opened += keys.count() - len(lost)
        found += [(organization_id, key_id) for key_id in lost]
    tell = log.error if found else log.info
    tell("custody_audited", opened=opened, lost=len(found))
    return found
