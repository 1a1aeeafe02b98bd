"""What was sent to a webhook: the attempts, what was answered, what was sent, and once more."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from tenants.access.errors import not_found
from tenants.access.models import TokenScope
from tenants.common import scope
from tenants.console.door import Page, Visit, page
from tenants.notices import messages, services
from tenants.notices.models import Delivery, DeliveryStatus, WebhookEndpoint

_WORDS = {
    DeliveryStatus.PENDING: (gettext_lazy("on its way"), "wait"),
    DeliveryStatus.DELIVERED: (gettext_lazy("taken"), "good"),
    DeliveryStatus.FAILED: (gettext_lazy("given up"), "bad"),
}


def in_words(delivery: Delivery, hook: WebhookEndpoint) -> tuple[Promise, str]:
    """Say how far a delivery is, and in which tone: one to a webhook that is off goes nowhere."""
    if delivery.status == DeliveryStatus.PENDING:
        if not hook.is_enabled:
            return gettext_lazy("waits until the webhook is on"), "off"
        if delivery.attempts:
            return gettext_lazy("is tried again"), "warn"
    return _WORDS[DeliveryStatus(delivery.status)]


class OneDelivery(Page):
    """``/organizations/<id>/webhooks/<id>/deliveries/<id>``."""

    @page(TokenScope.WEBHOOKS_READ)
    def get(
        self, visit: Visit, organization_id: UUID, webhook_id: UUID, delivery_id: UUID
    ) -> HttpResponse:
        """Show what is sent, each attempt, and what the last one was answered."""
        delivery = _find(visit, webhook_id, delivery_id)
        hook = delivery.endpoint
        word, tone = in_words(delivery, hook)
        return visit.show(
            "hooks/delivery",
            hook=hook,
            delivery=delivery,
            word=word,
            tone=tone,
            attempts=[_attempt(one) for one in delivery.log],
            message_id=messages.id_of(delivery.announcement_id),
            body=messages.body_of(delivery.announcement),
            may_replay=hook.is_enabled and visit.may(TokenScope.WEBHOOKS_WRITE),
        )

    @page(TokenScope.WEBHOOKS_WRITE)
    def post(
        self, visit: Visit, organization_id: UUID, webhook_id: UUID, delivery_id: UUID
    ) -> HttpResponse:
        """Send it once more."""
        services.replay(actor=visit.actor, delivery=_find(visit, webhook_id, delivery_id))
        visit.tell(_("It is being sent once more. What was answered shows here within seconds."))
        return visit.go("console-hook", organization_id=organization_id, webhook_id=webhook_id)


def _attempt(logged: dict[str, Any]) -> dict[str, Any]:
    return {**logged, "at": datetime.fromisoformat(logged["at"])}


def _find(visit: Visit, webhook_id: UUID, delivery_id: UUID) -> Delivery:
    with scope.tenant(visit.organization.pk):
        rows = Delivery.objects.select_related("announcement", "endpoint")
        found = rows.filter(pk=delivery_id, endpoint=webhook_id).first()
    if found is None:
        raise not_found()
    return found
