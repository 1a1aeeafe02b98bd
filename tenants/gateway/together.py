"""Between a ticket's needs here and the counters that all processes share in Redis.

A ticket is first admitted here, by what this process knows, and then together with everybody else.
What others have used is noted here, so that a line does not ask in vain. While Redis is away each
unit counts as many times as there are processes: everybody keeps to a share.
"""

from tenants.gateway.buckets import Rule
from tenants.gateway.line import Ticket
from tenants.gateway.shared import Answer, Part, Shared, gate, month, window
from tenants.gateway.windows import Gate, MonthCount, Window
from tenants.mistral.windows import TOKENS


class Together:
    """The shared side of one process's rate limits.

    Args:
        shared: Redis; None where this process counts alone.
    """

    def __init__(self, shared: Shared | None) -> None:
        self._shared = shared

    @property
    def is_shared(self) -> bool:
        """Tell whether there are other processes to agree with, and a way to."""
        return self._shared is not None and not self._shared.is_away

    @property
    def share(self) -> int:
        """How many times a unit counts here: more than once only while Redis is away."""
        return self._shared.share if self._shared is not None and self._shared.is_away else 1

    async def take(self, ticket: Ticket, now: float) -> tuple[Rule, Answer] | None:
        """Take what an admitted ticket needs; tell which rule has no room for all together."""
        if self._shared is None or self._shared.is_away:
            return None
        rules, parts = [], []
        for rule, need in zip(ticket.rules, ticket.needs, strict=True):
            part = _part(rule, need.units, now)
            if part is not None:
                rules.append(rule)
                parts.append(part)
        answer = await self._shared.take(parts)
        if answer is None:
            return None
        if answer.lacking is None:
            ticket.is_shared = True
            return None
        return rules[answer.lacking], answer

    def correct(self, ticket: Ticket, used: float | None, now: float) -> None:
        """Count the tokens that were used instead of those taken; None gives everything back."""
        if self._shared is None or not ticket.is_shared:
            return
        for rule, need in zip(ticket.rules, ticket.needs, strict=True):
            if used is not None and rule.meter != TOKENS:
                continue
            difference = (used or 0.0) - need.units
            age = now - ticket.admitted_at
            if isinstance(rule.counter, Window):
                self._shared.correct(rule.shared, "w", rule.counter.seconds, age, difference)
            elif isinstance(rule.counter, MonthCount):
                self._shared.correct(rule.shared, "m", 0, age, difference)

    def close(self, rule: Rule, seconds: float) -> None:
        """Close a bucket's gate for everybody."""
        if self._shared is not None:
            self._shared.close_gate(rule.shared, seconds)

    async def stop(self) -> None:
        """Let go of Redis."""
        if self._shared is not None:
            await self._shared.stop()


def note(rule: Rule, answer: Answer, now: float) -> None:
    """Note what others have used, for as long as it stands in the way."""
    counter = rule.counter
    if isinstance(counter, Window):
        counter.hear(answer.used, now, answer.wait)
    elif isinstance(counter, MonthCount):
        counter.settle(answer.used, now)
    elif isinstance(counter, Gate):
        counter.until = max(counter.until, now + answer.wait)


def _part(rule: Rule, units: float, now: float) -> Part | None:
    counter = rule.counter
    if isinstance(counter, Window):
        return window(rule.shared, counter.limit, counter.seconds, units)
    if isinstance(counter, MonthCount):
        # This ticket's units are counted here already; whoever is the first tells the rest.
        seed = max(counter.used(now) - units, 0.0)
        return month(rule.shared, counter.limit, counter.seconds_left(now), units, seed)
    if isinstance(counter, Gate):
        return gate(rule.shared)
    return None  # what Mistral counts itself
