"""Saves what a process has learned of rate limits, now and then, and reads what others have used.

A call never waits for it, but the first of a month where a month's tokens are limited: that one
waits until the ledger has been asked how many are used.
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from django.db import Error as DatabaseFault
from django.db import connection
from django.utils import timezone

from tenants.common.problems import Unavailable
from tenants.gateway.buckets import Bucket
from tenants.gateway.lanes import PER_MONTH, Lane, Lanes, Subject
from tenants.gateway.windows import MonthCount
from tenants.registry import quotas
from tenants.registry.quotas import Observation
from tenants.spend import rates
from tenants.spend.rates import RateCounts

log = structlog.get_logger(__name__)

_EVERY = 2.0
#: What changes with every call (used, remaining) is saved this often while a bucket is in use.
_FIGURES_EVERY = 15.0
_MONTHS_EVERY = 30.0


class Keeper:
    """The memory of one process's lanes.

    Args:
        lanes: what there is to remember.
        clock: the lanes' own.
    """

    def __init__(self, lanes: Lanes, clock: Callable[[], float] = time.monotonic) -> None:
        self._lanes = lanes
        self._clock = clock
        self._months_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._reading = asyncio.Lock()

    def start(self) -> None:
        """Begin, in the running event loop."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Save what is left."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        await self.save()

    async def read_months(self, lane: Lane) -> None:
        """Count what was used of a lane's months, as far as nobody has yet.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._reading:
            try:
                for subject in (*lane.subjects, *lane.shadows):
                    if subject.is_unread:
                        counted = await asyncio.to_thread(_tokens_of, subject)
                        _settle(subject, counted, self._clock())
                        subject.is_unread = False
                if lane.bucket.is_unread:
                    counted = await asyncio.to_thread(_tokens_of_quota, lane.bucket)
                    lane.bucket.settle(counted, self._clock())
            except DatabaseFault:
                raise Unavailable(
                    "metering_unavailable",
                    "The service cannot read its ledger; nothing was sent to Mistral. Try again.",
                    retry_after=1,
                ) from None

    async def save(self) -> None:
        """Save what changed, in a thread; what fails is saved next time."""
        now = self._clock()
        learned: defaultdict[UUID, list[Bucket]] = defaultdict(list)
        for bucket in self._lanes.buckets():
            is_due = now - bucket.saved_at >= _FIGURES_EVERY and bucket.heard_at > bucket.saved_at
            if bucket.is_changed or is_due:
                learned[bucket.organization_id].append(bucket)
        counted: defaultdict[UUID, list[Subject]] = defaultdict(list)
        for subject in self._lanes.subjects():
            if subject.refused or subject.watched:
                counted[subject.organization_id].append(subject)
        for organization_id, buckets in learned.items():
            await self._save_buckets(organization_id, buckets, now)
        for organization_id, subjects in counted.items():
            await self._save_counts(organization_id, subjects)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_EVERY)
            await self.save()
            now = self._clock()
            if now - self._months_at >= _MONTHS_EVERY:
                self._months_at = now
                await self._read_months(now)
                self._lanes.forget_unused(now)

    async def _save_buckets(self, organization_id: UUID, buckets: list[Bucket], now: float) -> None:
        calls = self._lanes.line_of(organization_id).observed
        seen = [_observation(bucket, calls, now) for bucket in buckets]
        for bucket in buckets:
            bucket.is_changed = False
            bucket.saved_at = now
        try:
            await asyncio.to_thread(_save_observations, organization_id, seen)
        except DatabaseFault as error:
            log.warning("limits_not_saved", error=type(error).__name__)
            for bucket in buckets:
                bucket.is_changed = True

    async def _save_counts(self, organization_id: UUID, subjects: list[Subject]) -> None:
        counts = [
            RateCounts(
                subject.kind, subject.id, subject.month.first_day, subject.refused, subject.watched
            )
            for subject in subjects
            if subject.month is not None
        ]
        for subject in subjects:
            subject.refused = subject.watched = 0
        try:
            await asyncio.to_thread(_save_counts, organization_id, counts)
        except DatabaseFault as error:
            log.warning("rate_counts_lost", error=type(error).__name__, counts=len(counts))

    async def _read_months(self, now: float) -> None:
        for subject in self._lanes.subjects():
            if PER_MONTH in subject.rules and not subject.is_unread:
                try:
                    _settle(subject, await asyncio.to_thread(_tokens_of, subject), now)
                except DatabaseFault as error:
                    log.warning("months_not_read", error=type(error).__name__)
                    return


def _observation(bucket: Bucket, calls_of_message: float, now: float) -> Observation:
    return Observation(
        quota_code=bucket.code,
        mistral_model=bucket.model,
        windows=bucket.shown(),
        used={
            "requests": round(bucket.served.used(now)),
            "tokens": round(bucket.spent.used(now)),
        },
        calls_of_message=calls_of_message,
        closed_until=_instant(bucket.gate.until - now),
        outside_plan_until=_instant(bucket.outside_plan_until - now),
        saved_after=bucket.reset_at,
    )


def _instant(seconds: float) -> datetime | None:
    return timezone.now() + timedelta(seconds=seconds) if seconds > 0 else None


def _settle(subject: Subject, counted: int, now: float) -> None:
    rule = subject.rules.get(PER_MONTH)
    if rule is not None and isinstance(rule.counter, MonthCount):
        rule.counter.settle(counted, now)


def _tokens_of(subject: Subject) -> int:
    """Read a subject's month, on this thread's own connection."""
    month = subject.month
    if month is None:
        return 0
    try:
        found = rates.tokens_of_month(
            organization_id=subject.organization_id,
            month=month,
            subjects=[(subject.kind, subject.id)],
        )
    finally:
        connection.close()
    return found[subject.id]


def _tokens_of_quota(bucket: Bucket) -> int:
    """Read Mistral's month of a bucket, which is in UTC, on this thread's own connection."""
    try:
        return rates.tokens_of_quota(
            organization_id=bucket.organization_id,
            code=bucket.code,
            mistral_model=bucket.model,
            since=timezone.now().astimezone(UTC).date().replace(day=1),
        )
    finally:
        connection.close()


def _save_observations(organization_id: UUID, seen: list[Observation]) -> None:
    try:
        quotas.save(organization_id, seen)
    finally:
        connection.close()


def _save_counts(organization_id: UUID, counts: list[RateCounts]) -> None:
    try:
        rates.add_counts(organization_id, counts)
    finally:
        connection.close()
