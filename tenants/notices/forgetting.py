"""Forgets what was told long ago; of what may be announced only once, that it was stays known."""

from datetime import timedelta
from uuid import UUID

from django.db.models import Model, Q, QuerySet
from django.db.models.functions import Now

from tenants.common import scope, turns
from tenants.common.turns import Turn
from tenants.notices.models import Delivery, Notice, WebhookSecret
from tenants.notices.timing import timing
from tenants.organizations import walking
from tenants.organizations.models import Announcement

_MOST = 5_000


def forget_old(turn: Turn | None = None) -> int:
    """Forget deliveries, mails and announcements that are old; tell how many rows went.

    Args:
        turn: forget those of organizations only for which it has time; None: of all.
    """
    return sum(turns.each(walking.organization_ids(turn), forget_old_of, turn))


def forget_old_of(organization_id: UUID) -> int:
    """Forget them in one organization."""
    before = Now() - timedelta(seconds=timing().kept)
    with scope.tenant(organization_id):
        WebhookSecret.objects.filter(ends_at__lte=Now()).delete()
        gone = _delete(Delivery.objects.filter(created_at__lt=before, due_at=None))
        gone += _delete(Notice.objects.filter(created_at__lt=before, due_at=None))
        old = Announcement.objects.filter(created_at__lt=before, published_at__isnull=False)
        told = Q(pk__in=Delivery.objects.order_by().values("announcement_id")) | Q(
            pk__in=Notice.objects.order_by().values("announcement_id")
        )
        # A second one would be dropped as long as the row is there; it needs no facts for that.
        old.filter(once__isnull=False).exclude(told).exclude(data={}).update(data={})
        return gone + _delete(old.filter(once=None).exclude(told))


def _delete[M: Model](rows: QuerySet[M]) -> int:
    """Delete so many at once; the next night goes on."""
    found = list(rows.order_by("pk").values_list("pk", flat=True)[:_MOST])
    deleted, _by_model = QuerySet(rows.model).filter(pk__in=found).delete()
    return deleted
