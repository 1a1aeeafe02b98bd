"""Hands what was announced to whoever wants to know: a row for each endpoint and each reader.

An announcement is published in the transaction that makes those rows, so a worker that dies
publishes nothing, and two at once never publish the same one. Nothing is sent here.
"""

from uuid import UUID

from django.db import connection
from django.db.models.functions import Now

from tenants.common import scope, turns
from tenants.notices import audiences
from tenants.notices.kinds import is_mailed
from tenants.notices.models import Delivery, Notice, WebhookEndpoint
from tenants.notices.timing import timing
from tenants.organizations.models import Announcement

_MOST_ORGANIZATIONS = 200


def publish_due() -> int:
    """Publish everything that was announced; tell how many announcements that were."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM notices_unpublished(%s)", [_MOST_ORGANIZATIONS])
        waiting: list[UUID] = [row[0] for row in cursor.fetchall()]
    return sum(turns.each(waiting, publish))


def publish(organization_id: UUID) -> int:
    """Publish a stretch of an organization's announcements, oldest first; tell how many."""
    with scope.tenant(organization_id):
        unpublished = Announcement.objects.filter(published_at=None).order_by("id")
        rows = list(
            unpublished.select_for_update(no_key=True, skip_locked=True)[: timing().announcements]
        )
        if rows:
            endpoints = list(WebhookEndpoint.objects.filter(is_enabled=True))
            Delivery.objects.bulk_create(
                [
                    Delivery(
                        organization_id=organization_id,
                        endpoint=endpoint,
                        announcement=row,
                        kind=row.kind,
                    )
                    for row in rows
                    for endpoint in endpoints
                    if not endpoint.kinds or row.kind in endpoint.kinds
                ],
                ignore_conflicts=True,
            )
            Notice.objects.bulk_create(
                [
                    Notice(organization_id=organization_id, announcement=row, member_id=member_id)
                    for row in rows
                    if is_mailed(row.kind, row.data)
                    for member_id in audiences.of(row.kind, row.workspace_id, row.data)
                ],
                ignore_conflicts=True,
            )
            Announcement.objects.filter(pk__in=[row.pk for row in rows]).update(published_at=Now())
    return len(rows)


def waiting() -> tuple[bool, bool]:
    """Tell whether any delivery, and whether any mail, is due and nobody has it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT deliveries, letters FROM notices_waiting()")
        deliveries, letters = cursor.fetchone()
    return deliveries, letters
