"""Decides who goes next when not all can go: a pure algorithm, told the time by its caller.

Calls of one chat message belong together. A message that has begun goes before one that has not,
the older before the younger; those that have not begun go in the order they came. A call goes when
every counter it needs has room; who may not go yet keeps what it lacks from those behind it, so
that nobody is overtaken for ever.

A message that would not get through is refused at its first call: it begins only if the calls that
it and the begun ones are expected to make have room before it loses patience. A message counts as
begun for ten calls and a few seconds of silence; afterwards it queues like a new one.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, NamedTuple

from tenants.gateway.windows import Counter

_LINGER = 5.0
_CALLS_OF_A_MESSAGE = 10
_FIRST_GUESS = 3.0
_LEARNING = 0.2


class Need(NamedTuple):
    """So many units of a counter."""

    counter: Counter
    units: float


class State(Enum):
    """What became of a ticket."""

    WAITING = "waiting"
    ADMITTED = "admitted"
    REFUSED = "refused"
    LEFT = "left"


@dataclass(slots=True, eq=False)
class Ticket:
    """One call that asks to go.

    Attributes:
        message: the chat message it belongs to; empty for none.
        needs: every one of them must have room.
        deadline: until when it waits.
        rules: what is behind the needs, one for each; the caller's business.
        number: the order in which tickets came.
        admitted_at: when its units were counted.
        lacking: the counter that stands in its way, once refused.
        retry_in: seconds after which it would get through, once refused.
        share: how many times a unit counts here; the caller's business, too.
        is_shared: its units were counted for all processes together.
        is_claimed: all processes know what it waits for.
    """

    message: str
    needs: Sequence[Need]
    deadline: float
    rules: Sequence[Any] = ()
    share: int = 1
    number: int = 0
    state: State = State.WAITING
    admitted_at: float = 0.0
    lacking: Counter | None = None
    retry_in: float = 0.0
    is_shared: bool = False
    is_claimed: bool = False


@dataclass(slots=True)
class _Message:
    """A chat message that has begun, here or in another process.

    Attributes:
        began: when, and of those that began at once, in which order.
    """

    began: tuple[float, int]
    needs: Sequence[Need]
    last: float
    served: int = 0
    going: int = 0
    waiting: int = 0

    def is_open(self, now: float) -> bool:
        return self.going > 0 or self.waiting > 0 or now - self.last < _LINGER


@dataclass(slots=True)
class Line:
    """The calls of one organization that wait, and its messages under way.

    Attributes:
        longest: how many may wait.
        calls_of_message: how many calls a message is expected to make; learned.
        observed: how many calls messages have made lately; 0 until one is over.
    """

    longest: int = 256
    calls_of_message: float = _FIRST_GUESS
    observed: float = 0.0
    waiting: list[Ticket] = field(default_factory=list)
    _messages: "OrderedDict[str, _Message]" = field(default_factory=OrderedDict)
    _count: int = 0

    def ask(self, ticket: Ticket, now: float) -> None:
        """Admit a ticket, let it wait, or refuse it; its ``state`` tells."""
        self._count += 1
        ticket.number = self._count
        self._lapse(now)
        if not self.waiting and self._is_easy(ticket, now):
            self._admit(ticket, now)
            return
        ready, lacking = self._predict(ticket, now)
        if ready > ticket.deadline - now:
            self._refuse(ticket, lacking, max(ready - (ticket.deadline - now), 0.0))
        elif len(self.waiting) >= self.longest:
            self._refuse(ticket, lacking or ticket.needs[0].counter, ready)
        else:
            self.waiting.append(ticket)
            message = self._begun(ticket, now)
            if message is not None:
                message.waiting += 1
            self.advance(now)

    def knows(self, message: str, now: float) -> bool:
        """Tell whether a message has begun, as far as is known here."""
        known = self._messages.get(message)
        return known is not None and known.is_open(now)

    def has_begun(self, ticket: Ticket, now: float) -> bool:
        """Tell whether a ticket's message has begun."""
        return self._begun(ticket, now) is not None

    def adopt(self, message: str, since: float, served: int, now: float) -> None:
        """Take note that a message began ``since``, and how many calls all processes served it."""
        known = self._messages.get(message)
        if known is None or not known.is_open(now):
            self._end(message)
            self._count += 1
            known = self._messages[message] = _Message((since, self._count), (), now)
        known.served = max(known.served, served)

    def advance(self, now: float) -> list[Ticket]:
        """Admit whoever may go now and refuse whose time is over; return them."""
        decided: list[Ticket] = []
        claimed: set[int] = set()
        for ticket in self._in_order(now):
            if now >= ticket.deadline:
                ready, lacking = self._lack(ticket, now)
                self._remove(ticket)
                self._refuse(ticket, lacking or ticket.needs[0].counter, ready)
                decided.append(ticket)
                continue
            lacks = [
                id(need.counter)
                for need in ticket.needs
                if id(need.counter) in claimed or need.counter.ready_in(need.units, now) > 0
            ]
            if lacks:
                claimed.update(lacks)
            else:
                self._remove(ticket)
                self._admit(ticket, now)
                decided.append(ticket)
        return decided

    def wake_in(self, now: float) -> float | None:
        """Tell in how many seconds ``advance`` may have something to do; None when nobody waits."""
        soonest: float | None = None
        for ticket in self.waiting:
            ready = max(need.counter.ready_in(need.units, now) for need in ticket.needs)
            wait = min(max(ready, 0.001), max(ticket.deadline - now, 0.0))
            soonest = wait if soonest is None else min(soonest, wait)
        return soonest

    def put_back(self, ticket: Ticket, lacking: Counter, wait: float, now: float) -> bool:
        """Let an admitted ticket wait again at its old place: others have used what it was given.

        Returns:
            Whether it waits; who would have to wait for too long is refused.
        """
        for counter, units in ticket.needs:
            counter.correct(-units, ticket.admitted_at, now)
        message = self._messages.get(ticket.message) if ticket.message else None
        if message is not None:
            message.served = max(message.served - 1, 0)
            message.going = max(message.going - 1, 0)
        if now + wait > ticket.deadline:
            self._refuse(ticket, lacking, wait)
            return False
        if message is not None:
            message.waiting += 1
        ticket.state = State.WAITING
        self.waiting.append(ticket)
        return True

    def weigh(self, ticket: Ticket, needs: Sequence[Need], now: float) -> bool | None:
        """Have an admitted ticket need more.

        Returns:
            Whether it waits now, as ``put_back`` does; None if there is room: it stays admitted.
        """
        more = [
            (new.counter, new.units - old.units)
            for old, new in zip(ticket.needs, needs, strict=True)
            if new.units > old.units
        ]
        waits = None
        for counter, units in more:
            wait = counter.ready_in(units, now)
            if wait > 0:
                waits = self.put_back(ticket, counter, wait, now)
                break
        else:
            for counter, units in more:
                counter.correct(units, ticket.admitted_at, now)
        ticket.needs = needs
        return waits

    def leave(self, ticket: Ticket, now: float) -> None:
        """Forget a ticket that waits: its caller has gone."""
        if ticket.state is State.WAITING:
            self._remove(ticket)
            ticket.state = State.LEFT

    def finish(self, ticket: Ticket, now: float) -> None:
        """Take note that an admitted call is over."""
        message = self._messages.get(ticket.message)
        if message is not None and ticket.message:
            message.going = max(message.going - 1, 0)
            message.last = now
            self._messages.move_to_end(ticket.message)

    def _is_easy(self, ticket: Ticket, now: float) -> bool:
        """Tell, at little cost, that there is room for everybody who may still come."""
        most = 1 + self.calls_of_message * (len(self._messages) + 1) if ticket.message else 1
        if not ticket.message and self._messages:
            most += self.calls_of_message * len(self._messages)
        for counter, units in ticket.needs:
            if counter.ready_in(units * most if counter.looks_ahead else units, now) > 0:
                return False
        return True

    def _predict(self, ticket: Ticket, now: float) -> tuple[float, Counter | None]:
        """Tell when a ticket would get through, and for the first call of a message, all of it."""
        begun = self._begun(ticket, now)
        ahead = self._ahead(ticket, begun, now)
        rest = 1.0
        if begun is None and ticket.message and ahead:
            rest = max(self.calls_of_message, 1.0)
        longest, lacking = 0.0, None
        for counter, units in ticket.needs:
            if counter.looks_ahead:
                units = units * rest + ahead.get(id(counter), 0.0)  # noqa: PLW2901
            ready = counter.ready_in(units, now)
            if ready > longest:
                longest, lacking = ready, counter
        return longest, lacking

    def _ahead(self, ticket: Ticket, begun: _Message | None, now: float) -> dict[int, float]:
        """Sum up what goes before a ticket, by counter: who waits, and what the begun ones need."""
        ahead: dict[int, float] = {}
        place = self._rank(ticket, begun)
        for other in self.waiting:
            if self._rank(other, self._begun(other, now)) < place:
                _sum(ahead, other.needs, 1.0)
        for name, message in self._messages.items():
            if name == ticket.message or (begun is not None and message.began > begun.began):
                continue
            # Those of its calls that wait are counted above.
            rest = self.calls_of_message - message.served - message.waiting
            if rest > 0 and message.is_open(now):
                _sum(ahead, message.needs, rest)
        return ahead

    def _lack(self, ticket: Ticket, now: float) -> tuple[float, Counter | None]:
        waits = [(need.counter.ready_in(need.units, now), need.counter) for need in ticket.needs]
        longest, counter = max(waits, key=lambda wait: wait[0])
        return longest, counter if longest > 0 else None

    def _in_order(self, now: float) -> list[Ticket]:
        return sorted(self.waiting, key=lambda ticket: self._rank(ticket, self._begun(ticket, now)))

    @staticmethod
    def _rank(ticket: Ticket, begun: _Message | None) -> tuple[int, tuple[float, int], int]:
        if begun is not None:
            return (0, begun.began, ticket.number)
        return (1, (0.0, 0), ticket.number)

    def _begun(self, ticket: Ticket, now: float) -> _Message | None:
        if not ticket.message:
            return None
        message = self._messages.get(ticket.message)
        if message is None or message.served >= _CALLS_OF_A_MESSAGE or not message.is_open(now):
            return None
        return message

    def _admit(self, ticket: Ticket, now: float) -> None:
        for counter, units in ticket.needs:
            counter.add(units, now)
        ticket.state, ticket.admitted_at = State.ADMITTED, now
        if not ticket.message:
            return
        message = self._begun(ticket, now)
        if message is None:
            self._end(ticket.message)
            waiting = sum(other.message == ticket.message for other in self.waiting)
            message = _Message((now, ticket.number), ticket.needs, now, waiting=waiting)
            self._messages[ticket.message] = message
        message.served += 1
        message.going += 1
        message.last = now
        message.needs = ticket.needs
        self._messages.move_to_end(ticket.message)

    def _refuse(self, ticket: Ticket, lacking: Counter | None, retry_in: float) -> None:
        ticket.state, ticket.lacking, ticket.retry_in = State.REFUSED, lacking, retry_in

    def _remove(self, ticket: Ticket) -> None:
        self.waiting.remove(ticket)
        message = self._messages.get(ticket.message) if ticket.message else None
        if message is not None:
            message.waiting = max(message.waiting - 1, 0)

    def _lapse(self, now: float) -> None:
        """Forget messages that are over, and learn from them how many calls a message makes."""
        while self._messages:
            name, message = next(iter(self._messages.items()))
            if not message.is_open(now):
                self._end(name)
            elif now - message.last < _LINGER or len(self._messages) <= 1:
                return
            else:
                message.last = now  # it waits, or is under way: look at the others first
                self._messages.move_to_end(name)

    def _end(self, name: str) -> None:
        message = self._messages.pop(name, None)
        if message is not None:
            self.calls_of_message += _LEARNING * (message.served - self.calls_of_message)
            weight = _LEARNING if self.observed else 1.0
            self.observed += weight * (message.served - self.observed)


def _sum(sums: dict[int, float], needs: Iterable[Need], times: float) -> None:
    for counter, units in needs:
        sums[id(counter)] = sums.get(id(counter), 0.0) + units * times
