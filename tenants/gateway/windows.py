"""Counts what was used within a stretch of time, and tells when more has room; a pure algorithm.

A ``Window`` keeps at most ``limit`` units in *any* stretch of ``seconds``, wherever Mistral's own
window begins. It counts in slots of a thirtieth of the stretch, each taken to happen at its end: it
is never too generous, and up to a thirtieth too strict. Instants are seconds of one monotonic
clock, which the caller reads.
"""

import math
from collections import deque
from typing import ClassVar, Protocol

_SLOTS = 30
FOREVER = math.inf


class Counter(Protocol):
    """Whatever limits units over time.

    ``looks_ahead``: it opens again soon enough that what others will need is worth reserving.
    """

    limit: float
    looks_ahead: ClassVar[bool]

    def used(self, now: float) -> float:
        """Tell how much counts now."""

    def ready_in(self, units: float, now: float) -> float:
        """Tell in how many seconds so many more units have room; 0 now, ``FOREVER`` never."""

    def add(self, units: float, now: float) -> None:
        """Count units; correct them by counting the difference, which may be negative."""

    def correct(self, difference: float, since: float, now: float) -> None:
        """Count a difference to what was added at ``since``, as long as that still counts."""


class Window:
    """At most ``limit`` units in any ``seconds``.

    Units of others, of which only a sum is known, count until the stretch after they were told of.
    """

    __slots__ = ("_others", "_others_until", "_slots", "_total", "limit", "seconds", "width")
    looks_ahead: ClassVar[bool] = True

    def __init__(self, limit: float, seconds: float) -> None:
        self.limit = limit
        self.seconds = seconds
        self.width = seconds / _SLOTS
        self._slots: deque[list[float]] = deque()  # [number, units], oldest first
        self._total = 0.0
        self._others = 0.0
        self._others_until = -FOREVER

    def used(self, now: float) -> float:
        """Tell how much was used in the last ``seconds``."""
        self._forget(now)
        return self._total + self._others

    def ready_in(self, units: float, now: float) -> float:
        """Tell in how many seconds so many more units have room.

        More than the whole limit takes several stretches: the time when the last of them fits, if
        they are used as early as possible.
        """
        if self.limit <= 0:
            return FOREVER
        self._forget(now)
        units = max(units, 0.0)
        if self._total + self._others + units <= self.limit:
            return 0.0
        rounds, rest = divmod(units, self.limit)
        if rest == 0 and rounds:
            rounds, rest = rounds - 1, self.limit
        return rounds * (self.seconds + self.width) + self._freed_in(rest, now)

    def add(self, units: float, now: float) -> None:
        """Count units that are used now."""
        number = math.floor(now / self.width)
        if self._slots and self._slots[-1][0] >= number:
            self._slots[-1][1] += units
        else:
            self._slots.append([number, units])
        self._total += units

    def correct(self, difference: float, since: float, now: float) -> None:
        """Count a difference to what was used at ``since``; nothing once that is forgotten."""
        self._forget(now)
        number = math.floor(since / self.width)
        for slot in reversed(self._slots):
            if slot[0] == number:
                difference = max(difference, -slot[1])  # some of it may be forgotten
                slot[1] += difference
                self._total += difference
                return

    def hear(self, used: float, now: float, lasting: float | None = None) -> None:
        """Take note of what is used by all together: what is not ours is others'.

        It counts for so many seconds, or for the whole stretch.
        """
        self._forget(now)
        self._others = max(used - self._total, 0.0)
        self._others_until = now + (self.seconds if lasting is None else lasting)

    def believe(self, used: float, since: float, now: float, under_way: float = 0.0) -> None:
        """Take note of what Mistral has counted when it answered a call that was sent at ``since``.

        What it counts no longer (its own window began anew, or slides otherwise) is forgotten here,
        oldest first; what was sent from then on, and ``under_way``, still counts. What is more than
        ours is others'.
        """
        self._forget(now)
        number = math.floor(since / self.width)
        later = sum(slot[1] for slot in self._slots if slot[0] >= number)
        surplus = self._total - later - used - under_way
        while surplus > 0 and self._slots and self._slots[0][0] < number:
            freed = min(surplus, self._slots[0][1])
            self._slots[0][1] -= freed
            self._total -= freed
            surplus -= freed
            if self._slots[0][1] <= 0:
                self._slots.popleft()
        self.hear(used, now)

    def _freed_in(self, units: float, now: float) -> float:
        missing = self._total + self._others + units - self.limit
        # Sums of token corrections: a billionth too much is nothing.
        if missing <= 1e-9:  # noqa: PLR2004
            return 0.0
        ends = [((slot[0] + 1) * self.width + self.seconds, slot[1]) for slot in self._slots]
        if self._others:
            ends.append((self._others_until, self._others))
        for end, freed in sorted(ends):
            missing -= freed
            if missing <= 1e-9:  # noqa: PLR2004
                return max(end - now, 0.0)
        return self.seconds

    def _forget(self, now: float) -> None:
        while self._slots and (self._slots[0][0] + 1) * self.width + self.seconds <= now:
            self._total -= self._slots.popleft()[1]
        if not self._slots:
            self._total = 0.0
        if self._others and now >= self._others_until:
            self._others = 0.0


class MonthCount:
    """At most ``limit`` units until an instant, when a budget month ends.

    ``settle`` brings in what the ledger has counted, of all processes; what this process has
    counted itself is never taken back by it.
    """

    __slots__ = ("_ends", "_used", "limit")
    looks_ahead: ClassVar[bool] = False

    def __init__(self, limit: float, ends: float) -> None:
        self.limit = limit
        self._ends = ends
        self._used = 0.0

    def used(self, now: float) -> float:
        """Tell how much was used in this month."""
        return self._used if now < self._ends else 0.0

    def ready_in(self, units: float, now: float) -> float:
        """Tell in how many seconds so many more units have room: now, or next month."""
        if self.used(now) + min(units, self.limit) <= self.limit:
            return 0.0
        return max(self._ends - now, 0.0)

    def seconds_left(self, now: float) -> float:
        """Tell how long the month goes on."""
        return max(self._ends - now, 0.0)

    def add(self, units: float, now: float) -> None:
        """Count units."""
        if now < self._ends:
            self._used += units

    def correct(self, difference: float, since: float, now: float) -> None:
        """Count a difference."""
        self.add(difference, now)

    def settle(self, counted: float, now: float) -> None:
        """Take note of what the ledger says."""
        if now < self._ends:
            self._used = max(self._used, counted)


class Allowance:
    """What Mistral says is left of a long stretch (a day, a month) which it counts itself.

    A reading is believed for some minutes only: the allowance may be raised, or begin anew, at an
    instant that nobody tells.
    """

    __slots__ = ("_believed_until", "_left", "limit")
    looks_ahead: ClassVar[bool] = False

    _BELIEVED = 600.0

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._left = limit
        self._believed_until = -FOREVER

    def used(self, now: float) -> float:
        """Tell how much of it is used, as far as that is known."""
        return max(self.limit - self._left, 0.0) if now < self._believed_until else 0.0

    def ready_in(self, units: float, now: float) -> float:
        """Tell whether so many more units are left; else when it is worth asking again."""
        if now >= self._believed_until or self._left >= min(units, self.limit):
            return 0.0
        return self._believed_until - now

    def add(self, units: float, now: float) -> None:
        """Count units."""
        self._left -= units

    def correct(self, difference: float, since: float, now: float) -> None:
        """Count a difference."""
        self._left -= difference

    def hear(self, used: float, now: float) -> None:
        """Take note of what Mistral has counted."""
        self._left = self.limit - used
        self._believed_until = now + self._BELIEVED


class Gate:
    """Closed until an instant after a refusal, and then open for few at a time.

    Its instant is only ever moved further away, but by somebody who wishes it. ``width`` is how
    many may be under way at once.
    """

    __slots__ = ("going", "limit", "until", "width")
    looks_ahead: ClassVar[bool] = False

    def __init__(self) -> None:
        self.limit = 1.0
        self.until = -FOREVER
        self.width = FOREVER
        self.going = 0

    def used(self, now: float) -> float:
        """Tell how many are under way."""
        return self.going

    def ready_in(self, units: float, now: float) -> float:
        """Tell when it opens; whoever waits for others to return is told a second."""
        if now < self.until:
            return self.until - now
        return 0.0 if self.going < self.width else 1.0

    def add(self, units: float, now: float) -> None:
        """Let one through."""
        self.going += 1

    def correct(self, difference: float, since: float, now: float) -> None:
        """Do nothing: a gate counts calls under way."""

    def leave(self) -> None:
        """Take note that one has returned."""
        self.going = max(self.going - 1, 0)

    def close(self, seconds: float, now: float) -> None:
        """Close for so long, or as long as it is closed already; then one at a time."""
        self.until = max(self.until, now + seconds)
        self.width = 1

    def reopen(self) -> None:
        """Be as if nothing had been refused."""
        self.until = -FOREVER
        self.width = FOREVER

    def widen(self) -> None:
        """After a success as many again may be under way."""
        self.width += 1
