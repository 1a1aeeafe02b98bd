"""What is known of Mistral's limits on one bucket: a workspace of Mistral's and one of its models.

It learns from the headers of answers, whose window names are data, and from refusals: Retry-After
or a back-off, the longer of the two, never shortened. Where headers tell nothing of requests it
guesses: if Mistral has refused for long, what went through in the minute before was the limit. Only
refusals of the quota family teach; a full or broken Mistral says nothing about a plan.
"""

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from tenants.gateway.windows import FOREVER, Allowance, Counter, Gate, Window
from tenants.mistral.errors import Quota, UpstreamFailure
from tenants.mistral.headers import RateLimitReading
from tenants.mistral.windows import INFERRED, MONTH, REQUESTS, TOKENS, window_of

_COUNTED_HERE = 3600
# Requests reach Mistral a moment after they are counted, some later than others.
_JITTER = 0.05
_FIRST_BACKOFF, _LONGEST_BACKOFF = 1.0, 60.0
_MONTH_PAUSE = 3600.0
_PLAN_PAUSE = 600.0
_LONG_REFUSAL = 4.0
# What fewer calls met with was no limit of a minute: no plan is so small.
_FEWEST_SERVED = 5
_GROWTH_AFTER, _GROWTH = 300.0, 1.1
_CALM = 60.0
_MINUTE = 60.0
_FIRST_OUTPUT = 500.0
_LEARNING = 0.1

_GUESS = (INFERRED, False)
#: The source of rules that Mistral has set.
MISTRAL = "mistral"
#: The rule that no window of Mistral's says: after a refusal nothing is sent for a while.
PAUSE = "pause"


@dataclass(slots=True, eq=False)
class Rule:
    """A limit on a meter, and who set it.

    Attributes:
        source: ``mistral``, or the kind of subject that it is configured on.
        name: of Mistral's window, or of the member of our limits.
        meter: ``requests`` or ``tokens``; another one is shown and cannot be counted here.
        shared: its name among the counters that processes share.
    """

    source: str
    name: str
    meter: str
    counter: Counter
    shared: str
    subject_id: UUID | None = None


@dataclass(slots=True, eq=False)
class Bucket:
    """The limits of one bucket, as far as they are known.

    Attributes:
        code: which workspace of Mistral's, or else which key (``keys.quota``).
        rules: what its calls must keep to; replaced as a whole when something is learned.
        readings: what Mistral's headers said last, by window; kept to be shown.
        outside_plan_until: until when a model without quota is not asked for again.
        refusals: of the quota family, in a row.
        output: how many tokens an answer takes; learned.
        is_changed: something was learned since it was last saved.
        is_unread: what the ledger has of its month was not read yet.
        reset_at: when somebody had what refusals taught forgotten, as far as this process knows.
        is_reopened: that was just now, and other processes' counters do not know it yet.
    """

    organization_id: UUID
    code: str
    model: str
    rules: tuple[Rule, ...] = ()
    readings: dict[tuple[str, bool], RateLimitReading] = field(default_factory=dict)
    heard_at: float = -FOREVER
    saved_at: float = -FOREVER
    outside_plan_until: float = -FOREVER
    refusals: int = 0
    refused_at: float = -FOREVER
    output: float = _FIRST_OUTPUT
    is_changed: bool = False
    is_unread: bool = False
    reset_at: datetime | None = None
    is_reopened: bool = False
    version: int = 0
    gate: Gate = field(default_factory=Gate)
    served: Window = field(default_factory=lambda: Window(FOREVER, _MINUTE))
    spent: Window = field(default_factory=lambda: Window(FOREVER, _MINUTE))
    _windows: dict[tuple[str, bool], Rule] = field(default_factory=dict)
    _gate_rule: Rule = field(init=False)
    _began_refusing: float = -FOREVER
    _accepted_before: float = 0.0

    def __post_init__(self) -> None:
        self._gate_rule = Rule(MISTRAL, PAUSE, REQUESTS, self.gate, self._shared("retry-after"))
        self.rules = (self._gate_rule,)

    @property
    def is_at_rest(self) -> bool:
        """Tell whether a success would teach nothing."""
        return (
            not self.refusals
            and self.gate.width == FOREVER
            and self.outside_plan_until < 0
            and _GUESS not in self._windows
        )

    @property
    def was_heard(self) -> bool:
        """Tell whether this process has had an answer for it."""
        return self.heard_at > -FOREVER

    def is_free(self, now: float) -> bool:
        """Tell whether nothing is known to limit its calls."""
        return len(self.rules) == 1 and self.gate.width == FOREVER and now >= self.gate.until

    def hear(
        self, readings: Iterable[RateLimitReading], now: float, sent_at: float | None = None
    ) -> None:
        """Learn from the rate-limit headers of an answer.

        Those of a success, given when its call was sent, are believed also where they leave more
        room than was counted here.
        """
        self.heard_at = now
        for reading in readings:
            key = (reading.window, reading.by_size)
            known = self.readings.get(key)
            if known is None or known.limit != reading.limit:
                self.is_changed = True
            self.readings[key] = reading
            if reading.limit == 0:
                continue  # no window but a plan: see `refuse`
            self._measure(key, reading, now, sent_at)

    def _measure(
        self,
        key: tuple[str, bool],
        reading: RateLimitReading,
        now: float,
        sent_at: float | None = None,
    ) -> None:
        meter = window_of(reading.window, by_size=reading.by_size)
        if reading.limit is None or meter is None or meter[0] not in {REQUESTS, TOKENS}:
            return
        if key != _GUESS and meter[0] == REQUESTS and meter[1] <= _COUNTED_HERE:
            self._drop_guess()  # Mistral knows better
        rule = self._windows.get(key)
        if rule is None:
            rule = self._windows[key] = self._rule(reading.window, *meter, reading.limit, now)
            self._rebuild()
        rule.counter.limit = reading.limit
        if reading.remaining is None:
            return
        used = max(reading.limit - reading.remaining, 0)
        if isinstance(rule.counter, Window) and sent_at is not None:
            # Requests are counted when they arrive, tokens when they are used.
            under_way = 2 * self.output * self.gate.going if rule.meter == TOKENS else 0.0
            rule.counter.believe(used, sent_at, now, under_way)
        elif isinstance(rule.counter, Window | Allowance):
            rule.counter.hear(used, now)

    def _rule(self, name: str, meter: str, seconds: int, limit: int, now: float) -> Rule:
        counter: Window | Allowance
        if seconds > _COUNTED_HERE:
            counter = Allowance(limit)
        else:
            counter = Window(limit, seconds + _JITTER)
            if seconds <= _MINUTE:
                counted = self.served if meter == REQUESTS else self.spent
                counter.add(counted.used(now), now)
        return Rule(MISTRAL, name, meter, counter, self._shared(name))

    def _shared(self, name: str) -> str:
        return f"{self.organization_id.hex}:{self.code}:{self.model}:{name}"

    @property
    def gate_rule(self) -> Rule:
        """The rule that a refusal closes."""
        return self._gate_rule

    def refuse(self, failure: UpstreamFailure, sent_at: float, now: float) -> None:
        """Learn from a refusal of the quota family.

        Calls that were sent together are refused together: only one that was sent after the last
        refusal makes the next pause longer.
        """
        self.is_changed = True
        asked = float(failure.retry_after_seconds or 0)
        if self.refusals == 0:
            self._began_refusing = now
            self._accepted_before = self.served.used(now)
        elif sent_at < self.refused_at:
            self.gate.close(asked, now)
            return
        self.refusals += 1
        self.refused_at = now
        if failure.quota is Quota.NOT_IN_PLAN:
            self.outside_plan_until = max(self.outside_plan_until, now + max(asked, _PLAN_PAUSE))
            return
        backoff = min(_FIRST_BACKOFF * 2 ** min(self.refusals - 1, 10), _LONGEST_BACKOFF)
        if failure.quota is Quota.MONTH:
            backoff = _MONTH_PAUSE
        # A tenth of chance: several processes shall not come back together.
        backoff *= 1 + random.random() / 10  # noqa: S311 - no secret
        self.gate.close(max(asked, backoff), now)

    def succeed(self, now: float) -> None:
        """Take note of an answer that was no refusal."""
        if self.refusals:
            # What passed since Mistral's last refusal was our own back-off.
            if self.refused_at - self._began_refusing >= _LONG_REFUSAL:
                self._infer(now)
            self.refusals = 0
            self.is_changed = True
        if self.outside_plan_until > 0:
            self.outside_plan_until = -FOREVER
            self.is_changed = True
        if self.gate.width < FOREVER:
            if now - self.refused_at > _CALM:
                self.gate.width = FOREVER
            else:
                self.gate.widen()
        self._grow(now)

    def _infer(self, now: float) -> None:
        """Take what went through in the minute before a long refusal as the limit of a minute."""
        limit = int(self._accepted_before)
        if limit < _FEWEST_SERVED or self._tells_requests():
            return
        told = [rule for key, rule in self._windows.items() if key != _GUESS]
        if any(rule.counter.limit <= limit + 1 for rule in told):
            return  # Mistral's own figures explain it
        self._windows[_GUESS] = self._rule(INFERRED, REQUESTS, int(_MINUTE), limit, now)
        self.readings[_GUESS] = RateLimitReading(INFERRED, limit=limit)
        self._rebuild()

    def _tells_requests(self) -> bool:
        """Tell whether Mistral has told a limit of calls that are counted here."""
        return any(
            key != _GUESS and rule.meter == REQUESTS and isinstance(rule.counter, Window)
            for key, rule in self._windows.items()
        )

    def _drop_guess(self) -> None:
        if self._windows.pop(_GUESS, None) is not None:
            del self.readings[_GUESS]
            self.is_changed = True
            self._rebuild()

    def _grow(self, now: float) -> None:
        """Try a little more than an inferred limit after some minutes without a refusal."""
        rule = self._windows.get(_GUESS)
        if rule is None or now - self.refused_at < _GROWTH_AFTER:
            return
        self.refused_at = now
        rule.counter.limit = max(rule.counter.limit * _GROWTH, rule.counter.limit + 1)
        self.readings[_GUESS] = RateLimitReading(INFERRED, limit=int(rule.counter.limit))
        self.is_changed = True

    def expect(self, request_bytes: int, max_tokens: int | None) -> float:
        """Tell how many tokens a call is expected to use: its input, and an answer as usual."""
        output = self.output * 2
        if max_tokens is not None:
            output = min(output, max_tokens)
        return request_bytes / 4 + output

    def learn_output(self, completion: int) -> None:
        """Learn from how long an answer was."""
        self.output += _LEARNING * (completion - self.output)

    def recall(self, saved: Sequence[RateLimitReading], now: float, *, closed_for: float) -> None:
        """Take up what was known before this process began, or what another one has learned.

        What is left of a month is what Mistral said last, or less, by what the ledger has; what was
        left of a minute says nothing any more.
        """
        for reading in saved:
            key = (reading.window, reading.by_size)
            if key == _GUESS and (self._tells_requests() or (reading.limit or 0) < _FEWEST_SERVED):
                continue
            if key not in self.readings and reading.limit:
                self.readings[key] = reading
                is_month = self._is_month(key)
                limit_alone = RateLimitReading(*key, limit=reading.limit)
                self._measure(key, reading if is_month else limit_alone, now)
                self.is_unread |= is_month
        # Clocks differ a little: what is known here already is not learned again.
        if closed_for > 0 and self.gate.until + 1 < now + closed_for:
            self.gate.close(closed_for, now)

    def forget_refusals(self, reset_at: datetime) -> None:
        """Forget what refusals have taught, as somebody wished; what headers told stays."""
        self.reset_at = reset_at
        self.is_changed = True
        self.gate.reopen()
        self.refusals = 0
        self.outside_plan_until = -FOREVER
        self._drop_guess()

    def settle(self, counted: int, now: float) -> None:
        """Take note of how many tokens the ledger has of Mistral's present month."""
        self.is_unread = False
        for key, rule in self._windows.items():
            if self._is_month(key) and isinstance(rule.counter, Allowance):
                rule.counter.hear(max(rule.counter.used(now), counted), now)

    def _is_month(self, key: tuple[str, bool]) -> bool:
        window, by_size = key
        return window_of(window, by_size=by_size) == (TOKENS, MONTH)

    def shown(self) -> list[dict[str, Any]]:
        """Write the readings as they are saved and shown."""
        return [
            {
                "window": reading.window,
                "by_size": reading.by_size,
                "limit": reading.limit,
                "remaining": reading.remaining,
            }
            for reading in self.readings.values()
        ]

    def _rebuild(self) -> None:
        self.rules = (self._gate_rule, *self._windows.values())
        self.version += 1
