"""Headers on their way to and from Mistral: which pass, and what they say.

Both directions are allow-lists. Upstream go only what describes the body and the wished answer: no
cookie, no address, no token and no identity of the caller. Downstream come only Mistral's own facts
about the answer: no hop-by-hop header, no cookie, nothing that names Mistral's hosts.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime

ForwardedHeaders = dict[str, str]
AsgiHeaders = list[tuple[bytes, bytes]]

#: Who we are to Mistral: the caller's own client is not their business.
USER_AGENT = "aisuru-mistral"

_TO_MISTRAL = frozenset({b"accept", b"content-type"})
_FROM_MISTRAL = frozenset(
    {
        "content-disposition",
        "content-encoding",
        "content-type",
        "mistral-correlation-id",
        "retry-after",
        "x-envoy-upstream-service-time",
        "x-kong-request-id",
        "x-model-deprecation-timestamp",
    }
)
_RATE_LIMIT_PREFIXES = ("x-ratelimit", "ratelimitbysize-")

# The pattern of docs and recordings: names have changed four times, the shape has not. The oldest
# names have no leading `x-` and no window.
_RATE_LIMIT = re.compile(r"(?:x-)?ratelimit(bysize)?-(limit|remaining)(?:-(.+))?")
_COUNT = re.compile(r"[0-9]{1,15}")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")
_CORRELATION_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class RateLimitReading:
    """One window of a rate limit; its name (`req-minute`, `tokens-month`, …) is kept as data.

    `by_size` marks the older limits on request size. None: this side of the pair was not told.
    A `limit` of zero means that the plan gives this model no quota at all.
    """

    window: str
    by_size: bool = False
    limit: int | None = None
    remaining: int | None = None


def forwarded(headers: Iterable[tuple[bytes, bytes]]) -> ForwardedHeaders:
    """Choose, from an ASGI request, the headers that go to Mistral."""
    return {
        name.decode("latin-1"): value.decode("latin-1")
        for name, value in headers
        if name in _TO_MISTRAL
    }


def returned(headers: Mapping[str, str]) -> AsgiHeaders:
    """Choose, from Mistral's answer, the headers that go back to an ASGI caller."""
    found: AsgiHeaders = []
    for name, value in headers.items():
        lowered = name.lower()
        if lowered in _FROM_MISTRAL or lowered.startswith(_RATE_LIMIT_PREFIXES):
            # As it was decoded, whatever it was: so the same bytes come out again.
            found.append((lowered.encode("latin-1"), value.encode("utf-8", "surrogateescape")))
    return found


def read_rate_limits(headers: Mapping[str, str]) -> tuple[RateLimitReading, ...]:
    """Read every rate-limit window of an answer, in their order; odd values are left out."""
    readings: dict[tuple[bool, str], RateLimitReading] = {}
    for name, value in headers.items():
        found = _RATE_LIMIT.fullmatch(name.lower())
        if found is None or not _COUNT.fullmatch(value):
            continue
        by_size, window = found[1] is not None, found[3] or ""
        known = readings.get((by_size, window), RateLimitReading(window, by_size))
        readings[by_size, window] = (
            replace(known, limit=int(value))
            if found[2] == "limit"
            else replace(known, remaining=int(value))
        )
    return tuple(readings.values())


def read_correlation_id(headers: Mapping[str, str]) -> str | None:
    """Find Mistral's id of an answer, which their support asks for; None if absent or odd."""
    lowered = {name.lower(): value for name, value in headers.items()}
    for name in ("mistral-correlation-id", "x-kong-request-id"):
        value = lowered.get(name, "")
        if _CORRELATION_ID.fullmatch(value):
            return value
    return None


def read_retry_after(headers: Mapping[str, str]) -> int | None:
    """Read Retry-After (RFC 9110 §10.2.3) as whole seconds, at most a day; None if absent or odd.

    A date is counted from the answer's own Date header, so that no clock has to agree with ours.
    """
    lowered = {name.lower(): value.strip() for name, value in headers.items()}
    text = lowered.get("retry-after", "")
    if _SECONDS.fullmatch(text):
        return min(math.ceil(float(text)), _DAY_SECONDS)
    try:
        wait = parsedate_to_datetime(text) - parsedate_to_datetime(lowered.get("date", ""))
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(math.ceil(wait.total_seconds()), 0), _DAY_SECONDS)
