"""Stops calling who does not answer, and tries again with one call at a time; pure.

Only outages count: no connection, no answer, 5xx. A full Mistral and a used-up quota are answers.
The host's breaker, of all tenants, counts what no tenant can bring about: that there is no
connection; any answer closes it. Lost answers and 5xx count for one model and key alone.
"""

import random
from dataclasses import dataclass

_FOREVER = float("inf")


@dataclass(slots=True)
class Breaker:
    """The breaker of a host, or of one model's calls with one key.

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
    _prober: object = None

    @property
    def is_open(self) -> bool:
        """Tell whether it keeps calls back."""
        return self._opened > 0

    def wait(self, who: object, now: float) -> float:
        """Tell how long a call must stay away; 0 lets it go, as the one probe if it is open.

        Whose probe is over says so: by ``succeed``, ``fail`` or ``forgo``.
        """
        if not self._opened:
            return 0.0
        if now < self._until:
            return self._until - now
        if now < self._probe_until:
            return self.pause
        # A probe that does not return is waited for no longer than the longest pause.
        self._probe_until = now + self.longest
        self._prober = who
        return 0.0

    def succeed(self) -> None:
        """Take note of an answer."""
        if self._in_a_row:
            self._in_a_row = self._opened = 0
            self._end_probe()

    def forgo(self, who: object) -> None:
        """Take note that a call that was let go has told nothing; if it was the probe, another may.

        Once its probe is known to have succeeded or failed, this changes nothing.
        """
        if self._prober is who:
            self._end_probe()

    def fail(self, now: float) -> None:
        """Take note of an outage."""
        self._in_a_row += 1
        if self._in_a_row < self.failures or now < self._until:
            return
        pause = min(self.pause * 2 ** min(self._opened, 10), self.longest)
        self._opened += 1
        self._until = now + pause * (1 + random.random() / 10)  # noqa: S311 - no secret
        self._end_probe()

    def _end_probe(self) -> None:
        self._probe_until = -_FOREVER
        self._prober = None
