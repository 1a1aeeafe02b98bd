"""What every row has: a time-ordered id and the instant it was made."""

from uuid import UUID

import uuid_utils.compat
from django.db import models


def new_id() -> UUID:
    """Make a UUIDv7 (RFC 9562): unique, and sorted by the millisecond it was made."""
    return uuid_utils.compat.uuid7()


class Row(models.Model):
    """A row with a time-ordered id, so that the primary key is also the order of creation."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    created_at = models.DateTimeField(auto_now_add=True, editable=False)

    class Meta:
        abstract = True


class TenantRow(Row):
    """A row of one organization; row-level security checks ``organization_id``."""

    organization = models.ForeignKey(
        "organizations.Organization", on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        abstract = True
