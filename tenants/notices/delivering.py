"""Delivers what is due to webhook endpoints: claims, posts with no transaction open, commits.

A worker that dies loses nothing: its lease ends and another one posts again, with the same
``webhook-id``. So an endpoint gets everything at least once, and what it took but could not say so
more than once. Several are posted to at once, in threads that touch no database.
"""

import time
from collections.abc import Collection, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from itertools import groupby
from operator import itemgetter
from uuid import UUID, uuid4

import structlog
from django.db import connection
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from tenants.common import scope
from tenants.common.problems import Invalid, Unavailable
from tenants.common.secrets import Secret
from tenants.notices import custody, messages, outcomes, targets, webhooks
from tenants.notices.models import Delivery, WebhookSecret
from tenants.notices.targets import Target
from tenants.notices.timing import Timing, timing
from tenants.notices.webhooks import Answer

log = structlog.get_logger(__name__)

#: Seconds after which one looks whether more is due, though nobody has answered.
_LOOK_AGAIN = 1.0


@dataclass(frozen=True, slots=True)
class _Ready:
    """A delivery that is signed and may be posted, or the reason why it cannot be."""

    delivery: Delivery
    target: Target | None
    body: bytes
    headers: dict[str, str]
    error: str = ""


def deliver_due() -> int:
    """Deliver what is due, until nothing is or the stretch is over; tell how many attempts.

    Whoever is slow keeps one thread, and the others go on.
    """
    times = timing()
    ends = time.monotonic() + times.stretch
    made = 0
    posting: dict[Future[Answer], Delivery] = {}
    with ThreadPoolExecutor(times.threads, thread_name_prefix="webhook") as threads:
        while True:
            free = times.threads - len(posting)
            if 2 * free >= times.threads and time.monotonic() < ends:
                for ready in _take(times, free):
                    posting[threads.submit(_post, ready, times.answer)] = ready.delivery
            if not posting:
                return made
            done, _others = wait(posting, timeout=_LOOK_AGAIN, return_when=FIRST_COMPLETED)
            outcomes.commit([(posting.pop(one), one.result()) for one in done], times)
            made += len(done)


def _take(times: Timing, most: int) -> Iterator[_Ready]:
    """Claim so many due deliveries at most, whosesoever they are, and sign them."""
    claim = uuid4()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT organization_id, delivery_id FROM notices_take_deliveries(%s, %s, %s, %s, %s)",
            [claim, most, times.share, times.most, times.lease],
        )
        taken = sorted(cursor.fetchall())
    for organization_id, pairs in groupby(taken, key=itemgetter(0)):
        yield from _prepare(organization_id, claim, [delivery_id for _own, delivery_id in pairs])


def _prepare(organization_id: UUID, claim: UUID, ids: list[UUID]) -> list[_Ready]:
    try:
        with scope.tenant(organization_id):
            rows = Delivery.objects.filter(pk__in=ids, claim=claim).order_by("id")
            deliveries = list(rows.select_related("endpoint", "announcement"))
            secrets = _secrets(organization_id, {row.endpoint_id for row in deliveries})
            return [_signed(row, secrets[row.endpoint_id]) for row in deliveries]
    except Unavailable:  # the vault: nobody's attempt, and soon over
        log.warning("webhooks_wait_for_the_vault", deliveries=len(ids))
        with scope.tenant(organization_id):
            Delivery.objects.filter(pk__in=ids, claim=claim).update(
                claim=None, held_until=None, due_at=Now() + timedelta(minutes=1)
            )
        return []


def _secrets(
    organization_id: UUID, endpoint_ids: Collection[UUID]
) -> dict[UUID, list[Secret[str] | None]]:
    """Open the secrets of endpoints that are in force, newest first, for one batch only."""
    in_force = Q(ends_at=None) | Q(ends_at__gt=Now())
    rows = WebhookSecret.objects.filter(in_force, endpoint__in=endpoint_ids)
    kept = list(rows.order_by("-version"))
    plains = custody.borrow_all(organization_id, kept)
    return {
        endpoint_id: [plains[row.pk] for row in kept if row.endpoint_id == endpoint_id]
        for endpoint_id in endpoint_ids
    }


def _signed(row: Delivery, secrets: list[Secret[str] | None]) -> _Ready:
    body = messages.body_of(row.announcement)
    try:
        target = targets.read(row.endpoint.url)
    except Invalid:  # it was entered under other rules
        return _Ready(row, None, b"", {}, "address_not_allowed")
    readable = [secret for secret in secrets if secret is not None]
    if not readable:
        return _Ready(row, None, b"", {}, "secret_unreadable")
    headers = messages.headers_of(row.announcement, body, readable, timezone.now())
    return _Ready(row, target, body.encode(), headers)


def _post(ready: _Ready, seconds: float) -> Answer:
    if ready.target is None:
        return Answer(error=ready.error)
    return webhooks.post(ready.target, ready.body, ready.headers, seconds=seconds)
