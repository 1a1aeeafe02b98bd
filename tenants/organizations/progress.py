"""A bar for people who wait for work on all organizations: how far, how fast, how much longer."""

import time
from collections.abc import Callable

_WIDTH = 24
_PAUSE = 0.2


class Progress:
    """Draws itself over and over in one line.

    Args:
        total: how many organizations there are.
        write: takes text for a terminal.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        total: int,
        write: Callable[[str], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total = total
        self._write = write
        self._clock = clock
        self._began = self._drawn = clock()
        self._done = 0

    def step(self) -> None:
        """Count one, and draw if it was a while ago."""
        self._done += 1
        if self._clock() - self._drawn >= _PAUSE:
            self._draw()

    def finish(self) -> None:
        """Draw the end, and go to the next line."""
        self._draw()
        self._write("\n")

    def _draw(self) -> None:
        self._drawn = self._clock()
        seconds = max(self._drawn - self._began, 1e-6)
        rate = self._done / seconds
        share = min(self._done / self._total, 1) if self._total else 1
        filled = round(share * _WIDTH)
        left = max(self._total - self._done, 0) / rate if rate else 0
        bar = "#" * filled + "." * (_WIDTH - filled)
        self._write(
            f"\r[{bar}] {self._done}/{self._total} organizations, {rate:.0f} a second,"
            f" {left:.0f} s left "
        )
