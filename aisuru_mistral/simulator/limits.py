"""Counts requests and tokens of a workspace by the minute; refuses only what a key's limits say.

Keys without limits are counted too, for the headers, but never refused. The header names are those
of 2026 (`x-ratelimit-limit-req-minute` and so on); a window that is no minute is named by its
seconds, as the older ones were (`-req-10-second`).
"""

from collections.abc import Callable
from dataclasses import dataclass

from aisuru_mistral.simulator.keys import Key
from aisuru_mistral.simulator.wire import Header

_MINUTE = 60
# Far above what any test or benchmark sends: who learns limits from headers must not brake.
SHOWN_REQUESTS = 1_000_000
SHOWN_TOKENS = 10_000_000_000
SHOWN_TOKENS_MONTH = 1_000_000_000


@dataclass(slots=True)
class _Window:
    began: float
    requests: int = 0
    tokens: int = 0


class RateLimits:
    """One window for each workspace, begun by its first request."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._windows: dict[str, _Window] = {}

    def admit(self, key: Key) -> bool:
        """Count a request; False when the limits of the key refuse it (then it is not counted)."""
        window = self._window(key)
        limits = key.limits
        if limits.requests_per_minute is not None and window.requests >= limits.requests_per_minute:
            return False
        if limits.tokens_per_minute is not None and window.tokens >= limits.tokens_per_minute:
            return False
        window.requests += 1
        return True

    def use(self, key: Key, tokens: int) -> None:
        """Count the tokens of an answered request."""
        self._window(key).tokens += tokens

    def seconds_left(self, key: Key) -> float:
        """Until the window of the key's workspace ends."""
        return max(0.0, self._window(key).began + key.limits.window_seconds - self._clock())

    def headers(self, key: Key, query_cost: int) -> list[Header]:
        """The x-ratelimit headers of an inference answer."""
        limits = key.limits
        window = self._window(key)
        requests, tokens = SHOWN_REQUESTS, SHOWN_TOKENS
        if not limits.hidden:
            requests = limits.requests_per_minute or requests
            tokens = limits.tokens_per_minute or tokens
        seconds = limits.window_seconds
        name = b"minute" if seconds == _MINUTE else b"%d-second" % seconds
        shown = [
            (b"x-ratelimit-limit-req-" + name, b"%d" % requests),
            (b"x-ratelimit-remaining-req-" + name, b"%d" % max(0, requests - window.requests)),
            (b"x-ratelimit-limit-tokens-" + name, b"%d" % tokens),
            (b"x-ratelimit-remaining-tokens-" + name, b"%d" % max(0, tokens - window.tokens)),
            (b"x-ratelimit-tokens-query-cost", b"%d" % query_cost),
        ]
        if key.organization.free_plan:
            shown.append((b"x-ratelimit-limit-tokens-month", b"%d" % SHOWN_TOKENS_MONTH))
            shown.append((b"x-ratelimit-remaining-tokens-month", b"%d" % SHOWN_TOKENS_MONTH))
        return shown

    @staticmethod
    def no_quota_headers() -> list[Header]:
        """What accompanies a 429 for a model the plan gives no quota at all."""
        return [
            (b"x-ratelimit-limit-req-minute", b"0"),
            (b"x-ratelimit-remaining-req-minute", b"0"),
        ]

    def clear(self) -> None:
        """Begin every window anew."""
        self._windows.clear()

    def _window(self, key: Key) -> _Window:
        now = self._clock()
        window = self._windows.get(key.workspace.id)
        if window is None or now - window.began >= key.limits.window_seconds:
            window = self._windows[key.workspace.id] = _Window(began=now)
        return window
