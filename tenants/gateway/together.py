"""Between a ticket's needs here and the counters that all processes share in Redis.

A ticket is first admitted here, by what this process knows, and then together with everybody else.
What others have used is noted here, so that a line does not ask in vain. Without Redis, and while
it is away, each unit counts as many times as there are processes: everybody keeps to a share.

A chat message whose calls reach several processes is one message to all of them: a process asks
about one that it does not know, and claims for everybody to see what a begun one waits for.
"""

from hashlib import blake2b

from tenants.gateway.buckets import Rule
from tenants.gateway.lanes import Lane
from tenants.gateway.line import State, Ticket
from tenants.gateway.shared import Answer, Caller, Part, Shared, gate, month, window
from tenants.gateway.siblings import Siblings
from tenants.gateway.windows import Gate, MonthCount, Window
from tenants.mistral.windows import TOKENS


class Together:
    """The shared side of one process's rate limits.

    Args:
        shared: Redis; None where this process counts alone.
        siblings: how many processes there are, where each counts alone.
    """

    def __init__(self, shared: Shared | None, siblings: Siblings | None = None) -> None:
        self._shared = shared
        self._siblings = siblings

    @property
    def is_alone(self) -> bool:
        """Tell whether this process counts alone."""
        return self._shared is None

    @property
    def share(self) -> int:
        """How many times a unit counts here: as often as there are processes, without Redis."""
        if self._shared is not None:
            return self._shared.share if self._shared.is_away else 1
        return 1 if self._siblings is None else self._siblings.number

    async def ask(self, ticket: Ticket, lane: Lane, now: float) -> None:
        """Ask whether a ticket's message has begun in another process; refuse one too many.

        A message that has begun is one of the line's from then on. A new one that would not get
        through with all its calls, beside those of all processes, is refused here.
        """
        if self._shared is None or not ticket.message or lane.line.knows(ticket.message, now):
            return
        calls, patience = lane.line.calls_of_message, ticket.deadline - now
        rules, parts = _parts(ticket, now)
        answer = await self._shared.look(
            parts, _caller(ticket, lane), calls=calls, patience=patience
        )
        if answer is None:
            return
        if answer.lacking is not None:
            ticket.state = State.REFUSED
            ticket.lacking = rules[answer.lacking].counter
            ticket.retry_in = max(answer.wait - patience, 0.0)
        elif answer.begun is not None:
            lane.line.adopt(ticket.message, now - answer.begun, answer.served, now)

    def forget(self, ticket: Ticket, lane: Lane) -> None:
        """Take note that a ticket does not go, and perhaps its message does not begin."""
        if self._shared is not None and ticket.message:
            self._shared.drop(_caller(ticket, lane))

    def claim(self, ticket: Ticket, lane: Lane, now: float) -> None:
        """Let all processes know what a ticket waits for, if its message has begun."""
        if self._shared is None or ticket.is_claimed or not lane.line.has_begun(ticket, now):
            return
        _, parts = _parts(ticket, now, is_lacking=True)
        ticket.is_claimed = True
        self._shared.claim(_name(ticket), parts, _caller(ticket, lane), ticket.deadline - now)

    def give_up(self, ticket: Ticket, lane: Lane) -> None:
        """Take note that a ticket does not wait any more."""
        if self._shared is not None and ticket.is_claimed:
            ticket.is_claimed = False
            self._shared.give_up(_name(ticket), _caller(ticket, lane))

    def finish(self, ticket: Ticket, lane: Lane) -> None:
        """Take note that a call is over."""
        if self._shared is not None and ticket.message and ticket.is_shared:
            self._shared.finish(_caller(ticket, lane))

    async def take(self, ticket: Ticket, lane: Lane, now: float) -> tuple[Rule, Answer] | None:
        """Take what an admitted ticket needs; tell which rule has no room for all together."""
        if self._shared is None or self._shared.is_away:
            return None
        rules, parts = _parts(ticket, now)
        answer = await self._shared.take(parts, _caller(ticket, lane))
        if answer is None:
            return None
        if answer.lacking is None:
            ticket.is_shared = True
            if answer.begun is not None:
                lane.line.adopt(ticket.message, now - answer.begun, answer.served, now)
                self._claim_rest(ticket, lane, now)
            return None
        return rules[answer.lacking], answer

    def _claim_rest(self, ticket: Ticket, lane: Lane, now: float) -> None:
        """Claim for calls that waited before their message had begun."""
        for other in lane.line.waiting:
            if other.message == ticket.message:
                other.is_claimed = False
                self.claim(other, lane, now)

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

    def reopen(self, rule: Rule) -> None:
        """Open a bucket's gate for everybody, as somebody wished."""
        if self._shared is not None:
            self._shared.open_gate(rule.shared)

    def start(self) -> None:
        """Find the other processes, in the running event loop."""
        if self._siblings is not None:
            self._siblings.start()

    async def stop(self) -> None:
        """Let go of Redis, and of the other processes."""
        if self._siblings is not None:
            self._siblings.stop()
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


def _caller(ticket: Ticket, lane: Lane) -> Caller:
    """Name a line and a message to Redis, which gets no name that a caller has made up."""
    line = lane.bucket.organization_id.hex
    if not ticket.message:
        return Caller(line)
    digest = blake2b(ticket.message.encode(), key=line.encode(), digest_size=16)
    return Caller(line, digest.hexdigest())


def _name(ticket: Ticket) -> str:
    return f"{id(ticket):x}"


def _parts(
    ticket: Ticket, now: float, *, is_lacking: bool = False
) -> tuple[list[Rule], list[Part]]:
    """Give a ticket's shared needs; or those only that have no room here, if any have none."""
    rules, parts = [], []
    for rule, need in zip(ticket.rules, ticket.needs, strict=True):
        part = _part(rule, need.units, now)
        if part is not None:
            rules.append(rule)
            parts.append(part)
    if is_lacking:
        lacking = [
            part
            for rule, part in zip(rules, parts, strict=True)
            if rule.counter.ready_in(part.units, now) > 0
        ]
        return rules, lacking or parts
    return rules, parts


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
