"""What a call that may go out holds, and what its answer teaches about limits and outages."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from tenants.gateway.breaker import Breaker
from tenants.gateway.lanes import Lane
from tenants.gateway.line import Line, Ticket
from tenants.gateway.needs import unavailable
from tenants.gateway.together import Together
from tenants.mistral.errors import Family, MistralError, Reach, Scope, UpstreamFailure
from tenants.mistral.headers import read_rate_limits
from tenants.mistral.windows import TOKENS

_HEAR_AFTER = 1.0


class Desk(Protocol):
    """Whoever has given permits; see ``Pacer``."""

    breaker: Breaker
    together: Together

    def clock(self) -> float:
        """Tell the time in seconds, monotonic."""

    def advance(self, line: Line) -> None:
        """Let whoever may go now go."""


@dataclass(slots=True, eq=False)
class Permit:
    """A call that may go out; it must be finished or withdrawn, whatever happens.

    Attributes:
        sent_at: when it was let go.
        ticket: None where nothing was limited.
        tokens: what was counted for it before it went.
        is_of_model: Mistral counts it among its model's calls, and tells something of those.
    """

    pacer: Desk
    lane: Lane
    sent_at: float
    tokens: float = 0.0
    ticket: Ticket | None = None
    is_of_model: bool = True
    is_over: bool = False
    is_probe: bool = False

    def keep_away(self) -> None:
        """Keep away from a Mistral that does not answer.

        Raises:
            Unavailable: it is not called at present; the permit is to be withdrawn.
        """
        host, lane = self.pacer.breaker, self.lane.breaker
        if not (host.is_open or lane.is_open):
            return
        self.is_probe, now = True, self.pacer.clock()
        if (wait := host.wait(self, now)) > 0:
            raise unavailable(
                "Mistral cannot be reached at present, and is not called until it can.", wait
            )
        if (wait := lane.wait(self, now)) > 0:
            raise unavailable(
                "Mistral failed at the last calls to this model, which rests for a moment.",
                wait,
            )

    def heard(self, headers: Mapping[str, str]) -> None:
        """Learn from the head of a success; of its headers no more often than once a second."""
        self._answered()
        if not self.is_of_model:
            return
        bucket, now = self.lane.bucket, self.pacer.clock()
        bucket.served.add(1, now)
        if not bucket.is_at_rest:
            bucket.succeed(now)
        if now - bucket.heard_at >= _HEAR_AFTER:
            bucket.hear(read_rate_limits(headers), now, self.sent_at)

    def refused(self, failure: UpstreamFailure, headers: Mapping[str, str]) -> None:
        """Learn from a refusal of Mistral's: each family teaches another thing."""
        now = self.pacer.clock()
        if failure.family is Family.OUTAGE:
            self.pacer.breaker.succeed()  # it can be reached
            self.lane.breaker.fail(now)
            return
        self._answered()
        if failure.family is Family.QUOTA and self.is_of_model:
            self.lane.bucket.hear(read_rate_limits(headers), now)
            self.lane.bucket.refuse(failure, self.sent_at, now)
            gate = self.lane.bucket.gate
            self.pacer.together.close(self.lane.bucket.gate_rule, gate.until - now)

    def lost(self, error: MistralError) -> None:
        """Take note that no answer came."""
        failure = error.failure
        if failure.family is not Family.OUTAGE or failure.scope is not Scope.SERVER:
            return
        if failure.reach is Reach.NEVER:
            self.pacer.breaker.fail(self.pacer.clock())
        elif failure.http_status is None:
            self.lane.breaker.fail(self.pacer.clock())

    def opens_in(self) -> int:
        """Tell in how many whole seconds calls to the bucket may go again; 0 if they may now."""
        return math.ceil(max(self.lane.bucket.gate.until - self.pacer.clock(), 0.0))

    def finish(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count what the call has used instead of what was expected; once."""
        if self.is_over:
            return
        self.is_over = True
        self._forgo()
        now, bucket = self.pacer.clock(), self.lane.bucket
        used = prompt_tokens + completion_tokens
        if self.is_of_model:
            bucket.spent.add(used, now)
            if used:
                bucket.learn_output(completion_tokens)
        if self.ticket is not None:
            self._correct(self.ticket, used, now)

    def withdraw(self) -> None:
        """Give everything back: the call was not sent."""
        if self.is_over:
            return
        self.is_over = True
        self._forgo()
        if self.ticket is None:
            return
        now = self.pacer.clock()
        for counter, units in self.ticket.needs:
            counter.correct(-units, self.ticket.admitted_at, now)
        self.pacer.together.correct(self.ticket, None, now)
        self._return(self.ticket, now)

    def _answered(self) -> None:
        self.pacer.breaker.succeed()
        self.lane.breaker.succeed()

    def _forgo(self) -> None:
        """Let another probe, if this was one and has told nothing."""
        if self.is_probe:
            self.pacer.breaker.forgo(self)
            self.lane.breaker.forgo(self)

    def _correct(self, ticket: Ticket, used: int, now: float) -> None:
        for rule, need in zip(ticket.rules, ticket.needs, strict=True):
            if rule.meter == TOKENS:
                need.counter.correct(used * ticket.share - need.units, ticket.admitted_at, now)
        self.pacer.together.correct(ticket, used, now)
        for rule in self.lane.watched:
            if rule.meter == TOKENS:
                rule.counter.correct(used - self.tokens, ticket.admitted_at, now)
        self._return(ticket, now)

    def _return(self, ticket: Ticket, now: float) -> None:
        leave_gate(ticket, self.lane)
        self.lane.line.finish(ticket, now)
        self.pacer.together.finish(ticket, self.lane)
        if self.lane.line.waiting:
            self.pacer.advance(self.lane.line)


def leave_gate(ticket: Ticket, lane: Lane) -> None:
    """Take note at its bucket's gate that a call has returned, or does not go."""
    if any(rule is lane.bucket.gate_rule for rule in ticket.rules):
        lane.bucket.gate.leave()
