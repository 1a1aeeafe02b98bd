"""Counts rate limits for all processes together, in Redis: one atomic script for a batch of calls.

It also tells processes which chat messages have begun, and what calls of those wait for. What
arrives while a round trip is under way goes with the next one. Redis is never waited for longer
than a quarter of a second; while it is away, each process keeps to its share of every limit by
itself. Money limits do not know Redis. It stores counts under ids and digests, and nothing of a
request.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from tenants.common.models import new_id

# Loaded where there is a REDIS_URL only: it is six megabytes of every process.
if TYPE_CHECKING:
    import redis
    from redis.asyncio import Redis

log = structlog.get_logger(__name__)

SCRIPT = (Path(__file__).parent / "shared.lua").read_text(encoding="utf-8")
#: For one answer of Redis.
PATIENCE = 0.25
_PREFIX = "aim:{rates}:"
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
_MOST_IN_A_BATCH = 200
_FEWEST_PROCESSES = 2
_PROCESSES = f"{_PREFIX}processes"


class Part(NamedTuple):
    """One counter and what is taken of it; see ``shared.lua``."""

    name: str
    kind: str
    limit: str
    seconds: float
    units: int


def window(name: str, limit: float, seconds: float, units: float) -> Part:
    """Take units of a window."""
    return Part(name, "w", f"{limit:.3f}", seconds, math.ceil(units))


def month(name: str, limit: float, seconds_left: float, units: float, seed: float) -> Part:
    """Take units of a month, of which ``seed`` was used before anybody counted here."""
    return Part(name, "m", f"{limit:.0f}/{seed:.0f}", seconds_left, math.ceil(units))


def gate(name: str) -> Part:
    """Pass a gate that a refusal may have closed."""
    return Part(name, "g", "0", 0, 0)


class Answer(NamedTuple):
    """What Redis says of one call.

    Attributes:
        lacking: the part that has no room; None if all was taken.
        wait: seconds until it has.
        used: what counts of it.
        begun: for how many seconds its message has been begun; None for a new one.
        served: how many calls its message was served.
    """

    lacking: int | None
    wait: float
    used: float
    begun: float | None = None
    served: int = 0


class Caller(NamedTuple):
    """Whose call it is: a line's name, and a message's digest; empty for none."""

    line: str = ""
    message: str = ""


_NOBODY = Caller()


@dataclass(slots=True)
class _Asked:
    """One call of the script; ``mode`` and ``figure`` as ``shared.lua`` has them."""

    parts: Sequence[Part] = ()
    answer: "asyncio.Future[Answer | None] | None" = None
    mode: str = "t"
    caller: Caller = _NOBODY
    figure: str = ""


class Shared:
    """One process's hand on the shared counters, for its event loop.

    Args:
        client: of Redis, decoding nothing.
        clock: seconds, monotonic.
    """

    def __init__(self, client: "Redis", clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._clock = clock
        self._script = client.register_script(SCRIPT)
        self._process = str(new_id())
        self._asked: list[_Asked] = []
        self._flushing: asyncio.Task[None] | None = None
        self._away_until = -math.inf
        self._pause = _FIRST_PAUSE
        self._processes = _FEWEST_PROCESSES
        self.round_trips = 0

    @property
    def share(self) -> int:
        """By how many processes limits are divided while Redis is away."""
        return max(self._processes, _FEWEST_PROCESSES)

    @property
    def is_away(self) -> bool:
        """Tell whether Redis has not answered, and is not asked at present."""
        return self._clock() < self._away_until

    async def take(self, parts: Sequence[Part], caller: Caller = _NOBODY) -> Answer | None:
        """Take all parts at once, or none; None if Redis is away.

        What older messages that have begun wait for is left to them, whichever process they are in.
        """
        return await self._ask_for(_Asked(parts, mode="t", caller=caller))

    async def look(
        self, parts: Sequence[Part], caller: Caller, *, calls: float, patience: float
    ) -> Answer | None:
        """Look whether a message has begun in any process; None if Redis is away.

        Of a new one it tells what has no room for all its calls (so many) and those of messages
        ahead of it, within so many seconds. If all have, it counts as being ahead of later ones
        until it is taken or dropped, or its time is over.
        """
        figure = f"{calls:.3f}/{max(patience, 0) * 1000:.0f}"
        return await self._ask_for(_Asked(parts, mode="l", caller=caller, figure=figure))

    def drop(self, caller: Caller) -> None:
        """Forget a message that has looked and does not begin."""
        self._tell(_Asked(mode="d", caller=caller))

    def finish(self, caller: Caller) -> None:
        """Take note that a call of a message is over."""
        self._tell(_Asked(mode="f", caller=caller))

    def claim(self, name: str, parts: Sequence[Part], caller: Caller, seconds: float) -> None:
        """Claim what a call of a message that has begun waits for, for a bounded time."""
        figure = f"{self._process}-{name}/{max(seconds, 0) * 1000:.0f}"
        self._tell(_Asked(parts, mode="w", caller=caller, figure=figure))

    def give_up(self, name: str, caller: Caller) -> None:
        """Give up a claim."""
        self._tell(_Asked(mode="x", caller=caller, figure=f"{self._process}-{name}"))

    async def _ask_for(self, asked: _Asked) -> Answer | None:
        if self.is_away:
            return None
        asked.answer = asyncio.get_running_loop().create_future()
        self._put(asked)
        return await asked.answer

    def _tell(self, asked: _Asked) -> None:
        """Say something that nobody waits for."""
        if not self.is_away:
            self._put(asked)

    def correct(self, name: str, kind: str, seconds: float, age: float, difference: float) -> None:
        """Count a difference to what was taken ``age`` seconds ago; nobody waits for it."""
        if not self.is_away and (units := round(difference)):
            limit = "m" if kind == "m" else f"{max(age, 0) * 1000:.0f}"
            self._put(_Asked([Part(name, "a", limit, seconds, units)]))

    def close_gate(self, name: str, seconds: float) -> None:
        """Close a gate for everybody; it is not opened earlier, but by ``open_gate``."""
        if not self.is_away and seconds > 0:
            self._put(_Asked([Part(name, "c", "0", seconds, 0)]))

    def open_gate(self, name: str) -> None:
        """Open a gate for everybody; what is asked afterwards finds it open."""
        if not self.is_away:
            self._put(_Asked([Part(name, "c", "open", 0, 0)]))

    async def stop(self) -> None:
        """Let go of the connection."""
        if self._flushing is not None:
            await asyncio.wait((self._flushing,), timeout=2 * PATIENCE)
        await self._client.aclose()

    def _put(self, asked: _Asked) -> None:
        self._asked.append(asked)
        if self._flushing is None:
            # It asks for many calls: what it logs is of none of them.
            self._flushing = asyncio.create_task(self._flush(), context=Context())

    async def _flush(self) -> None:
        try:
            while self._asked:
                batch = self._asked[:_MOST_IN_A_BATCH]
                del self._asked[:_MOST_IN_A_BATCH]
                answers = await self._ask(batch)
                for asked, answer in zip(batch, answers, strict=True):
                    if asked.answer is not None and not asked.answer.done():
                        asked.answer.set_result(answer)
        finally:
            self._flushing = None

    async def _ask(self, batch: Sequence[_Asked]) -> Sequence[Answer | None]:
        if self.is_away:
            return [None] * len(batch)
        from redis import RedisError  # noqa: PLC0415

        keys, arguments = _encode(self._process, batch)
        self.round_trips += 1
        try:
            async with asyncio.timeout(PATIENCE):
                raw = await self._script(keys=keys, args=arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = self._clock() + self._pause
            self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            log.warning("redis_away", error=type(error).__name__, share=self.share)
            return [None] * len(batch)
        if self._pause > _FIRST_PAUSE:
            self._pause = _FIRST_PAUSE
            log.warning("redis_back")
        self._processes = int(raw[0])
        return [_answer(*told) for told in raw[1:]]


def _encode(process: str, calls: Sequence[_Asked]) -> tuple[list[str], list[str | int | float]]:
    """Write a batch as keys and arguments of the script."""
    keys: dict[str, int] = {_PROCESSES: 1}
    arguments: list[str | int | float] = [process, len(calls)]
    for asked in calls:
        line = 0
        if name := asked.caller.line:
            line = keys.setdefault(f"{_PREFIX}messages:{name}", len(keys) + 1)
            keys.setdefault(f"{_PREFIX}claims:{name}", len(keys) + 1)  # the one after it
        arguments += (asked.mode, line, asked.caller.message, asked.figure, len(asked.parts))
        for name, kind, limit, seconds, units in asked.parts:
            number = keys.setdefault(f"{_PREFIX}{name}", len(keys) + 1)
            arguments += (number, kind, limit, round(seconds, 3), units)
    return list(keys), arguments


def _answer(lacking: Any, wait: Any, used: Any, begun: Any, served: Any) -> Answer:
    return Answer(
        int(lacking) - 1 if lacking else None,
        int(wait) / 1000,
        float(used),
        int(begun) / 1000 if int(begun) >= 0 else None,
        int(served),
    )


def connect(url: str) -> Shared:
    """Make a process's hand on the counters; nothing is connected before it is needed."""
    from redis.asyncio import Redis  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    client = Redis.from_url(
        url,
        socket_timeout=PATIENCE,
        socket_connect_timeout=PATIENCE,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return Shared(client)


def answers(url: str) -> bool:
    """Tell whether Redis answers now; for health checks, in a thread."""
    from redis import RedisError  # noqa: PLC0415

    try:
        return bool(_pinger(url).ping())
    except (RedisError, OSError):
        return False


@cache
def _pinger(url: str) -> "redis.Redis":
    import redis  # noqa: PLC0415
    from redis.backoff import NoBackoff  # noqa: PLC0415
    from redis.retry import Retry  # noqa: PLC0415

    return redis.Redis.from_url(
        url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=Retry(NoBackoff(), 0)
    )
