"""Writes down what came of an attempt: delivered, tried again later, given up.

It also says what that makes of the endpoint, which rests after a failure and is disabled after days
of them.
"""

from collections.abc import Iterable
from datetime import timedelta
from http import HTTPStatus
from itertools import groupby
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import orjson
import structlog
from django.db import connection
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
#: A delivery without a wait is over; nobody's is written that another worker has by now.
_WRITE = """
    UPDATE notices_delivery AS d
    SET status = x.status, attempts = x.attempts, log = x.log, status_code = x.status_code,
        error = x.error, response = x.response, claim = NULL, held_until = NULL,
        due_at = now() + make_interval(secs => x.wait),
        delivered_at = CASE WHEN x.status = 'delivered' THEN now() ELSE d.delivered_at END
    FROM jsonb_to_recordset(%s::jsonb) AS x (
        id uuid, claim uuid, status text, attempts smallint, log jsonb, status_code smallint,
        error text, response text, wait double precision
    )
    WHERE d.id = x.id AND d.claim = x.claim
    RETURNING d.id
"""
_BUSY = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


def commit(answers: Iterable[tuple[Delivery, Answer]], times: Timing) -> None:
    """Commit attempts, those of an organization together; what is somebody else's by now is not.

    Endpoints are locked in one order, so that two workers never wait for each other.
    """
    ordered = sorted(answers, key=_order)
    for organization_id, group in groupby(ordered, key=lambda one: one[0].organization_id):
        attempts = list(group)
        with scope.tenant(organization_id):
            own = _write(attempts, times)
            took = set()
            for delivery, answer in attempts:
                if delivery.pk not in own:
                    continue
                _tell(delivery, answer)
                if answer.is_delivered:
                    took.add(delivery.endpoint_id)
                elif delivery.kind != TEST:
                    _failed(delivery, answer, times)
            WebhookEndpoint.objects.filter(pk__in=took).exclude(failures=0).update(
                failures=0, failing_since=None, rests_until=None
            )


def _order(one: tuple[Delivery, Answer]) -> tuple[UUID, UUID]:
    return one[0].organization_id, one[0].endpoint_id


def _tell(delivery: Delivery, answer: Answer) -> None:
    log.info(
        "webhook_attempted",
        delivery_id=str(delivery.pk),
        endpoint_id=str(delivery.endpoint_id),
        status=answer.status,
        error=answer.error,
    )


def _write(attempts: Iterable[tuple[Delivery, Answer]], times: Timing) -> set[UUID]:
    """Write attempts into their rows with one statement; give the ids of those that were ours."""
    rows = [_after(delivery, answer, times) for delivery, answer in attempts]
    with connection.cursor() as cursor:
        cursor.execute(_WRITE, [orjson.dumps(rows).decode()])
        return {row_id for (row_id,) in cursor.fetchall()}


def _after(delivery: Delivery, answer: Answer, times: Timing) -> dict[str, Any]:
    attempt = {
        "at": timezone.now().isoformat().replace("+00:00", "Z"),
        "status_code": answer.status,
        "error": answer.error,
        "milliseconds": answer.milliseconds,
    }
    is_last = delivery.attempts >= len(times.waits) or delivery.kind == TEST
    status, wait = DeliveryStatus.PENDING, None
    if answer.is_delivered:
        status = DeliveryStatus.DELIVERED
    elif is_last or answer.status == HTTPStatus.GONE:
        status = DeliveryStatus.FAILED
    else:
        wait = _wait(delivery, answer, times)
    return {
        "id": delivery.pk,
        "claim": delivery.claim,
        "status": status.value,
        "attempts": delivery.attempts + 1,
        "log": [*delivery.log, attempt][-2 * len(times.waits) :],
        "status_code": answer.status,
        "error": answer.error,
        "response": answer.excerpt,
        "wait": wait,
    }


def _wait(delivery: Delivery, answer: Answer, times: Timing) -> float:
    """Find how long to wait: the schedule, or longer where a busy endpoint asks for it."""
    wait = spread(times.waits[delivery.attempts])
    if answer.status in _BUSY and answer.retry_after is not None:
        wait = max(wait, min(answer.retry_after, times.longest))
    return wait


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
