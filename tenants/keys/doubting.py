"""A key that Mistral refused a call for, or that does not open, is checked at the next sweep."""

from datetime import timedelta
from uuid import UUID

from django.db.models.functions import Now

from tenants.common import scope
from tenants.keys.models import KeyStatus, MistralKey

#: Seconds in which a key is doubted once, however many calls of however many processes fail.
PAUSE = 60


def doubt(organization_id: UUID, key_id: UUID) -> bool:
    """Make a working key due that was not checked lately; the check decides what a refusal meant.

    Returns:
        Whether it is due because of this.
    """
    with scope.tenant(organization_id):
        return bool(
            MistralKey.objects.filter(
                pk=key_id,
                status=KeyStatus.VALID,
                checked_at__lte=Now() - timedelta(seconds=PAUSE),
                next_check_at__gt=Now(),
            ).update(next_check_at=Now(), attempts=0)
        )
