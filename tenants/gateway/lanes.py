"""Puts together what a call must keep to: its bucket at Mistral's, and the configured rates.

A lane belongs to a model and a key; lanes share buckets, subjects' counters and their
organization's line. Lanes that nobody uses any more are forgotten.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.utils import timezone

from tenants.common.months import Month
from tenants.gateway.breaker import Breaker
from tenants.gateway.buckets import Bucket, Rule
from tenants.gateway.line import Line
from tenants.gateway.snapshots import Picture
from tenants.gateway.traffic import UNKNOWN, Traffic
from tenants.gateway.windows import MonthCount, Window
from tenants.mistral.headers import RateLimitReading
from tenants.mistral.windows import DAY, MONTH, REQUESTS, TOKENS, window_of
from tenants.spend.calls import LimitMode, SubjectKind
from tenants.spend.rates import RateLimit, Rates

PER_SECOND, PER_MINUTE, PER_MONTH = "requests_per_second", "tokens_per_minute", "tokens_per_month"
_MINUTE = 60.0
_UNUSED = 900.0
# Later than this after a reset, a gate that all processes share was closed since.
_RECENT = 60.0
# Whoever asks for what Mistral fails at keeps others of the same model waiting for no longer.
_LONGEST_PAUSE = 10.0

type SubjectKey = tuple[SubjectKind, UUID]


@dataclass(slots=True, eq=False)
class Subject:
    """The counters of the rates that are set on one subject."""

    organization_id: UUID
    kind: SubjectKind
    id: UUID
    rates: Rates = field(default_factory=Rates)
    month: Month | None = None
    rules: dict[str, Rule] = field(default_factory=dict)
    is_unread: bool = False
    refused: int = 0
    watched: int = 0

    def update(self, rates: Rates, month: Month, now: float) -> None:
        """Follow what is configured; what was counted stays."""
        if rates == self.rates and month == self.month:
            return
        is_new_month, self.month = month != self.month, month
        wanted = {
            PER_SECOND: None
            if rates.requests_per_second is None
            else float(rates.requests_per_second),
            PER_MINUTE: rates.tokens_per_minute,
            PER_MONTH: rates.tokens_per_month,
        }
        kept: dict[str, Rule] = {}
        for name, limit in wanted.items():
            if limit is None:
                continue
            old = self.rules.get(name)
            if name == PER_MONTH:
                kept[name] = self._monthly(None if is_new_month else old, limit, month, now)
            elif name == PER_SECOND:
                # Any rate is so many calls in the time they take: 1.5 is two in 1.33 seconds.
                calls = math.ceil(limit)
                kept[name] = self._rule(name, REQUESTS, Window(calls, calls / limit))
            elif old is not None:
                old.counter.limit = limit
                kept[name] = old
            else:
                kept[name] = self._rule(name, TOKENS, Window(limit, _MINUTE))
        self.rates, self.rules = rates, kept

    def _monthly(self, old: Rule | None, limit: float, month: Month, now: float) -> Rule:
        if old is not None:
            old.counter.limit = limit
            return old
        self.is_unread = True
        left = (month.ends_at - timezone.now()).total_seconds()
        return self._rule(PER_MONTH, TOKENS, MonthCount(limit, now + left))

    def _rule(self, name: str, meter: str, counter: Window | MonthCount) -> Rule:
        shared = f"{self.kind.value}:{self.id.hex}:{name}"
        if name == PER_MONTH:
            shared = f"{shared}:{self.month}"
        return Rule(self.kind.value, name, meter, counter, shared, self.id)


@dataclass(slots=True, eq=False)
class Lane:
    """What one model's calls with one key must keep to.

    Attributes:
        rules: all of them must have room.
        watched: in shadow mode: they only count.
        breaker: opened by what Mistral fails at, for these calls alone.
    """

    bucket: Bucket
    line: Line
    breaker: Breaker
    traffic: Traffic = UNKNOWN
    version: int = -1
    subjects: tuple[Subject, ...] = ()
    shadows: tuple[Subject, ...] = ()
    rules: tuple[Rule, ...] = ()
    watched: tuple[Rule, ...] = ()
    used_at: float = 0.0

    def is_free(self, now: float) -> bool:
        """Tell whether nothing is known to limit its calls."""
        return not self.subjects and not self.shadows and self.bucket.is_free(now)

    @property
    def is_unread(self) -> bool:
        """Tell whether the ledger has to be asked what was used of a month."""
        return self.bucket.is_unread or any(
            subject.is_unread for subject in (*self.subjects, *self.shadows)
        )

    def subject_of(self, rule: Rule) -> Subject | None:
        """Find on what a rule is set; None for Mistral's."""
        for subject in (*self.subjects, *self.shadows):
            if subject.id == rule.subject_id:
                return subject
        return None


class Lanes:
    """The lanes of one process.

    Args:
        outages: in a row that keep a lane's calls back for a while.
    """

    def __init__(self, outages: int = 10) -> None:
        self._outages = outages
        self._lanes: dict[tuple[UUID, UUID], Lane] = {}
        self._buckets: dict[tuple[UUID, str, str], Bucket] = {}
        self._lines: dict[UUID, Line] = {}
        self._subjects: dict[SubjectKey, Subject] = {}

    def find(self, picture: Picture, now: float) -> Lane:
        """Find a picture's lane, as it is at present."""
        snapshot = picture.snapshot
        key = (snapshot.model.id, snapshot.key.id)
        lane = self._lanes.get(key)
        if lane is None or lane.bucket.code != snapshot.key.quota_code:
            lane = self._lanes[key] = self._make(picture)
        if lane.traffic is not picture.traffic:
            self._follow(lane, picture, now)
        if lane.version != lane.bucket.version:
            self._rebuild(lane)
        lane.used_at = now
        return lane

    def buckets(self) -> Iterable[Bucket]:
        """List what is known of Mistral's limits."""
        return tuple(self._buckets.values())

    def subjects(self) -> Iterable[Subject]:
        """List the subjects that have rates."""
        return tuple(self._subjects.values())

    def line_of(self, organization_id: UUID) -> Line:
        """Find an organization's line."""
        line = self._lines.get(organization_id)
        if line is None:
            line = self._lines[organization_id] = Line()
        return line

    def forget_unused(self, now: float) -> None:
        """Forget what was not used for some minutes and holds nothing back."""
        self._lanes = {
            key: lane
            for key, lane in self._lanes.items()
            if now - lane.used_at < _UNUSED or lane.line.waiting
        }
        buckets = {id(lane.bucket) for lane in self._lanes.values()}
        self._buckets = {
            key: bucket
            for key, bucket in self._buckets.items()
            if id(bucket) in buckets or bucket.is_changed
        }
        lines = {id(lane.line) for lane in self._lanes.values()}
        self._lines = {key: line for key, line in self._lines.items() if id(line) in lines}
        subjects = {
            id(subject)
            for lane in self._lanes.values()
            for subject in (*lane.subjects, *lane.shadows)
        }
        self._subjects = {
            key: subject
            for key, subject in self._subjects.items()
            if id(subject) in subjects or subject.refused or subject.watched
        }

    def _make(self, picture: Picture) -> Lane:
        snapshot = picture.snapshot
        organization_id = snapshot.organization.id
        name = (organization_id, snapshot.key.quota_code, snapshot.model.canonical_model)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = Bucket(*name)
        breaker = Breaker(failures=self._outages, longest=_LONGEST_PAUSE)
        return Lane(bucket, self.line_of(organization_id), breaker)

    def _follow(self, lane: Lane, picture: Picture, now: float) -> None:
        traffic, snapshot = picture.traffic, picture.snapshot
        month = Month.of(timezone.now(), snapshot.organization.timezone)
        enforced: list[Subject] = []
        watched: list[Subject] = []
        for limit in traffic.limits:
            subject = self._subject(snapshot.organization.id, limit)
            subject.update(limit.rates, month, now)
            (enforced if limit.mode is LimitMode.ENFORCE else watched).append(subject)
        lane.subjects, lane.shadows = tuple(enforced), tuple(watched)
        learned = traffic.learned
        bucket = lane.bucket
        if learned.reset_at is not None and learned.reset_at != bucket.reset_at:
            bucket.forget_refusals(learned.reset_at)
            bucket.is_reopened = -_seconds_until(learned.reset_at) < _RECENT
        bucket.recall(
            [_still_true(window, learned.observed_at) for window in learned.windows],
            now,
            closed_for=_seconds_until(learned.closed_until),
        )
        outside = _seconds_until(learned.outside_plan_until)
        if outside > 0 and not bucket.was_heard:
            bucket.outside_plan_until = max(bucket.outside_plan_until, now + outside)
        lane.traffic = traffic
        lane.version = -1

    def _subject(self, organization_id: UUID, limit: RateLimit) -> Subject:
        key = (limit.subject_kind, limit.subject_id)
        subject = self._subjects.get(key)
        if subject is None:
            subject = self._subjects[key] = Subject(organization_id, *key)
        return subject

    @staticmethod
    def _rebuild(lane: Lane) -> None:
        configured = (rule for subject in lane.subjects for rule in subject.rules.values())
        lane.rules = (*lane.bucket.rules, *configured)
        lane.watched = tuple(rule for subject in lane.shadows for rule in subject.rules.values())
        lane.version = lane.bucket.version


def _still_true(window: Mapping[str, Any], observed_at: datetime | None) -> RateLimitReading:
    """Read what was saved of a window; what was left of it holds in the same day or month only."""
    reading = RateLimitReading(**dict(window))
    found = window_of(reading.window, by_size=reading.by_size)
    now = timezone.now().astimezone(UTC)
    then = None if observed_at is None else observed_at.astimezone(UTC)
    if found is not None and then is not None:
        is_same_month = (then.year, then.month) == (now.year, now.month)
        if found[1] == MONTH and is_same_month:
            return reading
        if found[1] == DAY and is_same_month and then.day == now.day:
            return reading
    return replace(reading, remaining=None)


def _seconds_until(instant: datetime | None) -> float:
    return 0.0 if instant is None else (instant - timezone.now()).total_seconds()
