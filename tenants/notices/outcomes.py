"""Writes down what came of an attempt: delivered, tried again later, given up.

It also says what that makes of the endpoint, which rests after a failure and is disabled after days
of them.
"""

from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.db.models import F
from django.db.models.functions import Coalesce, Now
from django.utils import timezone

from tenants.common import scope
from tenants.notices.kinds import TEST
from tenants.notices.models import Delivery, DeliveryStatus, DisabledReason, WebhookEndpoint
from tenants.notices.timing import Timing, spread
from tenants.notices.webhooks import Answer
from tenants.organizations import audit, outbox
from tenants.organizations.audit import Actor

log = structlog.get_logger(__name__)

WORKER = Actor(kind="worker", id="notices.deliver", name="notices.deliver")
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def commit(delivery: Delivery, answer: Answer, times: Timing) -> None:
    """Commit an attempt, unless somebody else has the delivery by now."""
    with scope.tenant(delivery.organization_id):
        mine = Delivery.objects.filter(pk=delivery.pk, claim=delivery.claim)
        if not mine.update(**_after(delivery, answer, times)):
            return
        log.info(
            "webhook_attempted",
            delivery_id=str(delivery.pk),
            endpoint_id=str(delivery.endpoint_id),
            status=answer.status,
            error=answer.error,
        )
        if answer.is_delivered:
            _recovered(delivery)
        elif delivery.kind != TEST:
            _failed(delivery, answer, times)


def _after(delivery: Delivery, answer: Answer, times: Timing) -> dict[str, Any]:
    attempt = {
        "at": timezone.now().isoformat().replace("+00:00", "Z"),
        "status_code": answer.status,
        "error": answer.error,
        "milliseconds": answer.milliseconds,
    }
    facts: dict[str, Any] = {
        "attempts": delivery.attempts + 1,
        "log": [*delivery.log, attempt][-2 * len(times.waits) :],
        "status_code": answer.status,
        "error": answer.error,
        "response": answer.excerpt,
        "claim": None,
        "held_until": None,
        "due_at": None,
    }
    if answer.is_delivered:
        return facts | {"status": DeliveryStatus.DELIVERED, "delivered_at": Now()}
    is_last = delivery.attempts >= len(times.waits) or delivery.kind == TEST
    if is_last or answer.status == HTTPStatus.GONE:
        return facts | {"status": DeliveryStatus.FAILED}
    return facts | {"due_at": Now() + timedelta(seconds=_wait(delivery, answer, times))}


def _wait(delivery: Delivery, answer: Answer, times: Timing) -> float:
    """Find how long to wait: the schedule, or longer where a busy endpoint asks for it."""
    wait = spread(times.waits[delivery.attempts])
    if answer.status in _BUSY and answer.retry_after is not None:
        wait = max(wait, min(answer.retry_after, times.longest))
    return wait


def _recovered(delivery: Delivery) -> None:
    WebhookEndpoint.objects.filter(pk=delivery.endpoint_id).exclude(failures=0).update(
        failures=0, failing_since=None, rests_until=None
    )


def _failed(delivery: Delivery, answer: Answer, times: Timing) -> None:
    locked = WebhookEndpoint.objects.select_for_update(no_key=True)
    endpoint = locked.filter(pk=delivery.endpoint_id, is_enabled=True).first()
    if endpoint is None:
        return
    rest = min(times.rest * 2 ** min(endpoint.failures, 20), times.longest_rest)
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(
        failures=F("failures") + 1,
        failing_since=Coalesce("failing_since", Now()),
        rests_until=Now() + timedelta(seconds=rest),
    )
    since = endpoint.failing_since
    if answer.status == HTTPStatus.GONE:
        _disable(endpoint, DisabledReason.GONE)
    elif (
        since is not None
        and since <= timezone.now() - timedelta(seconds=times.failing)
        and endpoint.failures + 1 >= times.fewest_failures
    ):
        _disable(endpoint, DisabledReason.FAILING)


def _disable(endpoint: WebhookEndpoint, reason: DisabledReason) -> None:
    WebhookEndpoint.objects.filter(pk=endpoint.pk).update(is_enabled=False, disabled_reason=reason)
    audit.record(
        actor=WORKER,
        organization_id=endpoint.organization_id,
        verb="webhook.disabled",
        target=endpoint,
        changed=["is_enabled"],
    )
    outbox.announce(
        organization_id=endpoint.organization_id,
        kind="webhook.disabled",
        data={
            "webhook_id": str(endpoint.pk),
            "host": urlsplit(endpoint.url).hostname,  # the rest of an address may be a secret
            "description": endpoint.description,
            "reason": reason.value,
        },
    )
