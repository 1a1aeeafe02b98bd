"""Stops calling a host that does not answer, and tries again with one call at a time; pure.

Only outages count: no connection, no answer, 5xx. A full Mistral and a used-up quota are answers.
"""

import random
from dataclasses import dataclass

_FOREVER = float("inf")


@dataclass(slots=True)
class Breaker:
    """One host's breaker.

    Attributes:
        failures: in a row that open it.
        pause: seconds that it stays open at first; doubled by every probe that fails.
        longest: seconds that it stays open at most.
    """

    failures: int = 10
    pause: float = 2.0
    longest: float = 60.0
    _in_a_row: int = 0
    _opened: int = 0
    _until: float = -_FOREVER
    _probe_until: float = -_FOREVER

    @property
    def is_open(self) -> bool:
        """Tell whether it keeps calls back."""
        return self._opened > 0

    def wait(self, now: float) -> float:
        """Tell how long a call must stay away; 0 lets it go, as the one probe if it is open."""
        if not self._opened:
            return 0.0
        if now < self._until:
            return self._until - now
        if now < self._probe_until:
            return self.pause
        # A probe that does not return is waited for no longer than the longest pause.
        self._probe_until = now + self.longest
        return 0.0

    def succeed(self) -> None:
        """Take note that the host has answered."""
        if self._in_a_row:
            self._in_a_row = self._opened = 0
            self._probe_until = -_FOREVER

    def forgo(self) -> None:
        """Take note that a call that was let go was not sent: another may probe."""
        self._probe_until = -_FOREVER

    def fail(self, now: float) -> None:
        """Take note of an outage."""
        self._in_a_row += 1
        if self._in_a_row < self.failures or now < self._until:
            return
        pause = min(self.pause * 2 ** min(self._opened, 10), self.longest)
        self._opened += 1
        self._until = now + pause * (1 + random.random() / 10)  # noqa: S311 - no secret
        self._probe_until = -_FOREVER
