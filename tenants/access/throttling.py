"""How often the management API may be asked: by token, by person, by organization.

Every policy is a leaky bucket (GCRA): ``quota`` requests at once, then as fast as they drain in
``seconds``. A request is counted under all policies that concern it, or, when one of them has no
room, under none. With ``REDIS_URL`` all processes count together, in one atomic script; without it,
or for as long as Redis is away, each counts for itself.

Platform tokens have a generous policy and no others. What brings in secrets, sends mail or takes
everything away has a stricter one of its own. Signing in is limited by allauth.

TooMany  429 too_many_requests   wait ``Retry-After``; ``RateLimit`` says which policy had no room
"""

import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from uuid import UUID

import structlog
from django.conf import settings
from django.http import HttpResponse
from django.utils.translation import gettext as _

from tenants.access.authentication import Principal
from tenants.common.problems import TooMany

if TYPE_CHECKING:  # loaded where there is a REDIS_URL only: it is six megabytes of every process
    import redis

#: For one answer of Redis, in seconds.
_PATIENCE = 0.25
#: For how long Redis is left alone after it did not answer.
_PAUSE = 5.0
_MOST_KEPT = 50_000
_PREFIX = "aim:{api}:"
_MICROSECONDS = 1_000_000

# For each key: quota and seconds. Times are microseconds of Redis's own clock. It answers the place
# of the first bucket without room (0: none), and for each bucket when it will have drained.
_SCRIPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local before, after = {}, {}
local lacking = 0
for i = 1, #KEYS do
    local window = ARGV[2 * i] * 1000000
    before[i] = math.max(tonumber(redis.call('GET', KEYS[i]) or 0), now)
    after[i] = before[i] + window / ARGV[2 * i - 1]
    if after[i] - now > window + 1 and lacking == 0 then lacking = i end
end
local left = {lacking}
for i = 1, #KEYS do
    local full = before[i]
    if lacking == 0 then
        full = after[i]
        redis.call('SET', KEYS[i], string.format('%.0f', full), 'PX',
                   math.ceil((full - now) / 1000) + 1)
    end
    left[i + 1] = string.format('%.0f', full - now)
end
return left
"""

log = structlog.get_logger(__name__)


class Policy(NamedTuple):
    """A policy as it concerns one caller.

    Attributes:
        name: as headers name it.
        subject: whose requests are counted together.
        quota: how many at once.
        seconds: in which they drain.
    """

    name: str
    subject: UUID
    quota: int
    seconds: int

    @property
    def key(self) -> str:
        """Under which it is counted."""
        return f"{self.name}:{self.subject.hex}"


class Standing(NamedTuple):
    """How a caller stands with one policy.

    Attributes:
        policy: which.
        drains_in: seconds until the whole quota is there again.
    """

    policy: Policy
    drains_in: float

    @property
    def remaining(self) -> int:
        """How many requests have room now."""
        quota, seconds = self.policy.quota, self.policy.seconds
        # A hair more: what drains while it is computed must not cost a request.
        return max(math.floor((seconds - self.drains_in) * quota / seconds + 0.001), 0)

    @property
    def retry_after(self) -> int:
        """Whole seconds until one more has room."""
        quota, seconds = self.policy.quota, self.policy.seconds
        return max(math.ceil(self.drains_in + seconds / quota - seconds), 1)


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a request.

    Attributes:
        standings: with every policy that concerns it.
        lacking: the one that had no room; None when it is let in.
    """

    standings: Sequence[Standing]
    lacking: Standing | None

    def require(self) -> None:
        """Let it in.

        Raises:
            TooMany: ``too_many_requests``.
        """
        if self.lacking is not None:
            detail = _("Too many requests. Wait %(seconds)s s and go on more slowly.")
            seconds = self.lacking.retry_after
            raise TooMany(
                "too_many_requests",
                detail % {"seconds": seconds},
                retry_after=seconds,
                policy=self.lacking.policy.name,
            )

    def tell(self, response: HttpResponse) -> None:
        """Write the headers (draft-ietf-httpapi-ratelimit-headers-10)."""
        response["RateLimit-Policy"] = ", ".join(
            f'"{policy.name}";q={policy.quota};w={policy.seconds}'
            for policy, _drains_in in self.standings
        )
        response["RateLimit"] = ", ".join(
            f'"{one.policy.name}";r={one.remaining};t={math.ceil(one.drains_in)}'
            for one in self.standings
        )


class Counter(Protocol):
    """Counts requests."""

    def take(self, policies: Sequence[Policy]) -> Admission:
        """Count a request under all policies, or under none."""


class Own:
    """Counts for one process.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._drained_at: dict[str, float] = {}

    def take(self, policies: Sequence[Policy]) -> Admission:
        """Count a request under all policies, or under none."""
        now = self._clock()
        with self._lock:
            full = {policy: max(self._drained_at.get(policy.key, now), now) for policy in policies}
            after = {policy: at + policy.seconds / policy.quota for policy, at in full.items()}
            without_room = (
                place
                for place, (policy, at) in enumerate(after.items())
                if at - now > policy.seconds + 1e-6
            )
            lacking = next(without_room, None)
            if lacking is None:
                full = after
                self._drained_at |= {policy.key: at for policy, at in after.items()}
                self._forget(now)
        return _admission(policies, [at - now for at in full.values()], lacking)

    def _forget(self, now: float) -> None:
        if len(self._drained_at) > _MOST_KEPT:
            self._drained_at = {key: at for key, at in self._drained_at.items() if at > now}


class Together:
    """Counts for all processes, in Redis; for this one alone while Redis is away.

    Args:
        client: of Redis.
        clock: seconds, monotonic.
    """

    def __init__(self, client: "redis.Redis", clock: Callable[[], float] = time.monotonic) -> None:
        self._script = client.register_script(_SCRIPT)
        self._clock = clock
        self._own = Own(clock)
        self._away_until = -math.inf

    def take(self, policies: Sequence[Policy]) -> Admission:
        """Count a request under all policies, or under none."""
        if self._clock() < self._away_until:
            return self._own.take(policies)
        from redis import RedisError  # noqa: PLC0415

        keys = [_PREFIX + policy.key for policy in policies]
        arguments = [part for policy in policies for part in (policy.quota, policy.seconds)]
        try:
            lacking, *left = self._script(keys=keys, args=arguments)
        except RedisError as error:
            self._away_until = self._clock() + _PAUSE
            log.warning("redis_away", error=type(error).__name__, what="api")
            return self._own.take(policies)
        drains_in = [int(one) / _MICROSECONDS for one in left]
        return _admission(policies, drains_in, lacking - 1 if lacking else None)


def count(principal: Principal, *, strictly: str = "") -> Admission:
    """Count a request.

    Args:
        principal: who sends it.
        strictly: the stricter policy that the endpoint has, by name.
    """
    return _counter(settings.REDIS_URL or "").take(_policies(principal, strictly))


def _policies(principal: Principal, strictly: str) -> list[Policy]:
    rates: Mapping[str, tuple[int, int]] = settings.API_RATES
    if principal.is_platform:
        return [Policy("platform", principal.token_id, *rates["platform"])]
    subjects = {"person" if principal.visitor else "token": principal.token_id}
    if principal.organization_id is not None:
        subjects["organization"] = principal.organization_id
    if strictly:
        subjects[strictly] = principal.organization_id or principal.token_id
    return [Policy(name, subject, *rates[name]) for name, subject in subjects.items()]


def _admission(
    policies: Sequence[Policy], drains_in: Sequence[float], lacking: int | None
) -> Admission:
    standings = [Standing(*one) for one in zip(policies, drains_in, strict=True)]
    return Admission(standings, None if lacking is None else standings[lacking])


@cache
def _counter(url: str) -> Counter:
    if not url:
        return Own()
    import redis  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    client: Any = redis.Redis.from_url(
        url, socket_timeout=_PATIENCE, socket_connect_timeout=_PATIENCE, retry=Retry(NoBackoff(), 0)
    )
    return Together(client)
