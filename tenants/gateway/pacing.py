"""Lets calls through as fast as every known rate limit allows, and no faster.

A call without a known limit passes at next to no cost. Others wait their turn in their
organization's line, for a bounded time inside what their caller waits; who would not get through is
refused at once, and told when to come back. Nothing here costs money: it comes before the ledger.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tenants.common.problems import Problem
from tenants.gateway.breaker import Breaker
from tenants.gateway.endpoints import BESIDE_MODELS
from tenants.gateway.lanes import Lane, Lanes
from tenants.gateway.line import Line, State, Ticket
from tenants.gateway.needs import beside_models, expect, needed, outside_plan, rule_of, too_many
from tenants.gateway.permits import Permit, leave_gate
from tenants.gateway.requests import Request
from tenants.gateway.snapshots import Picture
from tenants.gateway.together import Together, note

_SHARE_OF_TIMEOUT = 0.5

type Receive = Callable[[], Awaitable[object]]


class CallerLeftError(Exception):
    """The caller went away before the call was sent: nothing was begun."""


@dataclass(slots=True, eq=False)
class _Waiters:
    """Whoever waits in one line, and when to look after them next."""

    futures: "dict[Ticket, asyncio.Future[None]]" = field(default_factory=dict)
    timer: asyncio.TimerHandle | None = None


class Pacer:
    """The rate limits of one process, for its event loop.

    Args:
        lanes: what limits the calls.
        breaker: of the host that is called, for all tenants.
        together: what other processes count.
        read_months: counts what the ledger has of a lane's months, once for each.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        lanes: Lanes,
        breaker: Breaker,
        together: Together,
        read_months: Callable[[Lane], Awaitable[None]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.breaker = breaker
        self.together = together
        self.read_months = read_months
        self.clock = clock
        self._lanes = lanes
        self._waiters: dict[int, _Waiters] = {}

    async def admit(
        self,
        picture: Picture,
        request: Request,
        message_id: str,
        receive: Receive,
        until: float,
    ) -> Permit:
        """Wait until a call may go out, until an instant of the clock at most.

        Raises:
            TooMany: a rate limit stands in the way for longer than the call can wait.
            Forbidden: Mistral gives the model no quota in this plan.
            CallerLeftError: while it waited.
        """
        now = self.clock()
        lane = self._lanes.find(picture, now)
        bucket = lane.bucket
        if bucket.is_reopened:
            bucket.is_reopened = False
            self.together.reopen(bucket.gate_rule)
        is_of_model = request.endpoint.kind not in BESIDE_MODELS
        if is_of_model and now < bucket.outside_plan_until:
            raise outside_plan(bucket.model)
        rules = lane.rules if is_of_model else beside_models(lane.rules)
        if lane.is_free(now):
            return Permit(self, lane, now, is_of_model=is_of_model)
        if not rules:
            self._watch(lane, 0.0, now)
            return Permit(self, lane, now, is_of_model=is_of_model)
        if lane.is_unread:
            await self.read_months(lane)
        tokens = expect(request, bucket)
        share = self.together.share
        needs = [needed(rule, tokens, share) for rule in rules]
        ticket = Ticket(message_id, needs, until, rules, share)
        if self.together.is_alone:
            lane.line.ask(ticket, now)
            if ticket.state is State.WAITING:
                await self._wait(ticket, lane, receive)
        else:
            await self._ask(ticket, lane, receive, tokens)
        if ticket.state is not State.ADMITTED:
            raise self._refusal(ticket, lane)
        if lane.watched:
            self._watch(lane, tokens, now)
        return Permit(self, lane, ticket.admitted_at, tokens, ticket, is_of_model)

    def is_ready(self, picture: Picture) -> bool:
        """Tell whether Mistral would take a call at once, by what is known of its limits."""
        now = self.clock()
        lane = self._lanes.find(picture, now)
        if now < lane.bucket.outside_plan_until:
            return False
        return all(rule.counter.ready_in(1, now) <= 0 for rule in lane.bucket.rules)

    def advance(self, line: Line) -> None:
        """Let whoever may go now go, and look again when there may be others."""
        waiters = self._waiters.get(id(line))
        if waiters is None:
            return
        now = self.clock()
        for ticket in line.advance(now):
            future = waiters.futures.pop(ticket, None)
            if future is not None and not future.done():
                future.set_result(None)
        if waiters.timer is not None:
            waiters.timer.cancel()
            waiters.timer = None
        again = line.wake_in(now)
        if again is None:
            del self._waiters[id(line)]
        else:
            loop = asyncio.get_running_loop()
            waiters.timer = loop.call_later(again, self.advance, line)

    def stop(self) -> None:
        """Look after nobody any more."""
        for waiters in self._waiters.values():
            if waiters.timer is not None:
                waiters.timer.cancel()
        self._waiters.clear()

    async def _ask(self, ticket: Ticket, lane: Lane, receive: Receive, tokens: float) -> None:
        """Have a ticket admitted or refused, here and by all processes together."""
        try:
            await self.together.ask(ticket, lane, self.clock())
            if ticket.state is State.WAITING:
                lane.line.ask(ticket, self.clock())
            if ticket.state is State.WAITING:
                await self._wait(ticket, lane, receive)
            if ticket.state is State.ADMITTED:
                await self._agree(ticket, lane, receive, tokens)
        finally:
            self.together.give_up(ticket, lane)
            if ticket.state is not State.ADMITTED:
                self.together.forget(ticket, lane)

    async def _agree(self, ticket: Ticket, lane: Lane, receive: Receive, tokens: float) -> None:
        """Take what a ticket was given from everybody's counters too; else it waits again.

        If Redis goes away meanwhile, it has to fit into this process's share instead.
        """
        try:
            while ticket.state is State.ADMITTED:
                lacking = await self.together.take(ticket, lane, self.clock())
                if lacking is None:
                    if ticket.is_shared or await self._fits(ticket, lane, receive, tokens):
                        return
                    continue
                rule, answer = lacking
                now = self.clock()
                leave_gate(ticket, lane)
                waits = lane.line.put_back(ticket, rule.counter, answer.wait, now)
                note(rule, answer, now)  # what this ticket gave back is not among it
                if waits:
                    await self._wait(ticket, lane, receive)
        except asyncio.CancelledError:
            if ticket.state is State.ADMITTED:
                Permit(self, lane, ticket.admitted_at, ticket=ticket).withdraw()
            raise

    async def _fits(self, ticket: Ticket, lane: Lane, receive: Receive, tokens: float) -> bool:
        """Weigh a ticket by the share there is now; without room for it, it waits again."""
        share, gate = self.together.share, lane.bucket.gate_rule
        if share <= ticket.share:
            return True
        ticket.share = share
        needs = [
            need if rule is gate else needed(rule, tokens, share)
            for rule, need in zip(ticket.rules, ticket.needs, strict=True)
        ]
        waits = lane.line.weigh(ticket, needs, self.clock())
        if waits is None:
            return True
        leave_gate(ticket, lane)
        if waits:
            await self._wait(ticket, lane, receive)
        return False

    async def _wait(self, ticket: Ticket, lane: Lane, receive: Receive) -> None:
        """Wait for a decision, or until the caller goes away."""
        line = lane.line
        self.together.claim(ticket, lane, self.clock())
        waiters = self._waiters.setdefault(id(line), _Waiters())
        decided = asyncio.get_running_loop().create_future()
        waiters.futures[ticket] = decided
        self.advance(line)
        left = asyncio.ensure_future(receive())
        is_decided = False
        try:
            await asyncio.wait((decided, left), return_when=asyncio.FIRST_COMPLETED)
            is_decided = decided.done()
        finally:
            left.cancel()
            if not is_decided:
                waiters.futures.pop(ticket, None)
                self._give_up(ticket, lane)
        if not is_decided:
            raise CallerLeftError

    def _give_up(self, ticket: Ticket, lane: Lane) -> None:
        if ticket.state is State.ADMITTED:
            Permit(self, lane, ticket.admitted_at, ticket=ticket).withdraw()
        else:
            lane.line.leave(ticket, self.clock())
            self.advance(lane.line)

    def _watch(self, lane: Lane, tokens: float, now: float) -> None:
        """Count a call that goes out against limits in shadow mode."""
        over = set()
        for rule in lane.watched:
            counter, units = needed(rule, tokens)
            if counter.ready_in(units, now) > 0:
                over.add(rule.subject_id)
            counter.add(units, now)
        for subject in lane.shadows:
            subject.watched += subject.id in over

    def _refusal(self, ticket: Ticket, lane: Lane) -> Problem:
        rule = rule_of(ticket.lacking, ticket)
        subject = lane.subject_of(rule)
        if subject is not None:
            subject.refused += 1
        return too_many(rule, ticket.retry_in, self.clock())


def patience(picture: Picture) -> float:
    """Tell how long a call may wait: half of its caller's patience is for Mistral's answer."""
    longest = float(picture.traffic.policy.longest_wait)
    timeout = picture.snapshot.model.timeout
    return longest if timeout is None else min(longest, timeout * _SHARE_OF_TIMEOUT)
