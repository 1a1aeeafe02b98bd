"""Everything one simulator remembers and everything that can be changed while it runs.

Refuses to outlive its process.

The application runs in one event loop. Other threads may read and call the public methods at any
time; what they change holds from the next request on.
"""

import asyncio
import dataclasses
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aisuru_mistral.simulator.admin import AdminFacts
from aisuru_mistral.simulator.aisuru import AisuruBackend
from aisuru_mistral.simulator.batches import BatchJob
from aisuru_mistral.simulator.catalogue import Catalogue
from aisuru_mistral.simulator.conversations import Conversation
from aisuru_mistral.simulator.directives import NOTHING, from_mapping
from aisuru_mistral.simulator.errors import REFUSALS
from aisuru_mistral.simulator.files import StoredFile
from aisuru_mistral.simulator.keys import (
    GOOD,
    REGISTER,
    BadKey,
    Key,
    read_behaviour,
    read_limits,
)
from aisuru_mistral.simulator.ledger import Ledger
from aisuru_mistral.simulator.limits import RateLimits
from aisuru_mistral.simulator.prompt_cache import PromptCache
from aisuru_mistral.simulator.shelf import Shelf

REMEMBERED_REQUESTS = 10_000
BATCH_SECONDS = 0.2


@dataclass(slots=True)
class RecordedRequest:
    """One request as it arrived, without body and without key.

    `auth` is how the key came: bearer, x-api-key, both, other, none. `key_name` is the name of a
    known key. `status` and `outcome` are None and "running" until the answer is out; then the
    outcome is answered, disconnected (the caller left) or broken (on purpose, or by stopping).
    """

    number: int
    at: float
    method: str
    path: str
    auth: str
    key_name: str | None = None
    model: str | None = None
    correlation_id: str | None = None
    status: int | None = None
    outcome: str = "running"


@dataclass(slots=True)
class _Progress:
    calls: int = 0
    first_call: float = 0.0


class SimulatorState:
    """The state of one simulator.

    Attributes:
        requests: the last 10,000 requests, oldest first.
        ledger: what reached generation, for the bill.
        catalogue: the models.
        directives: dictated for every request; `Directives(error="service_unavailable")` is an
            outage.
        files, batches, conversations: what keys have made, by workspace.
        background: batch jobs at work.
        admin: what the Admin API tells beside the bill.
        aisuru: the stand-in of AIsuru's backend.
        batch_seconds: how long a batch job takes (0.2) unless its request dictates it.
        rate_limit_headers_on_streams: off, as in Mistral's recorded answers.
        clock: monotonic seconds; tests may replace it.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.requests: deque[RecordedRequest] = deque(maxlen=REMEMBERED_REQUESTS)
        self.catalogue = Catalogue()
        self.ledger = Ledger(self.catalogue.price)
        self.prompt_cache = PromptCache()
        self.rate_limits = RateLimits(self.now)
        self.files: Shelf[StoredFile] = Shelf()
        self.batches: Shelf[BatchJob] = Shelf()
        self.conversations: Shelf[Conversation] = Shelf()
        self.background: set[asyncio.Task[None]] = set()
        self.directives = NOTHING
        self.admin = AdminFacts()
        self.aisuru = AisuruBackend()
        self.batch_seconds = BATCH_SECONDS
        self.rate_limit_headers_on_streams = False
        self._keys: dict[str, Key] = {}
        self._secrets: dict[str, str] = {}
        self._progress: dict[str, _Progress] = {}
        self._number = 0
        self.reset()

    def now(self) -> float:
        """The present second of the clock."""
        return self.clock()

    # Keys

    def find(self, secret: str) -> Key | None:
        """The key with these characters."""
        return self._keys.get(secret)

    def key(self, name: str) -> Key:
        """The key with this name, well known or registered.

        Raises:
            KeyError: there is none.
        """
        return self._keys[self._secrets[name]]

    def known_keys(self) -> list[Key]:
        """All keys, the well-known ones first."""
        return list(self._keys.values())

    def register(self, **row: Any) -> Key:
        """Register a key as keys.json describes one, at least `key="…32 characters…"`.

        The same key is replaced.

        Raises:
            BadKey: the description cannot be understood.
        """
        key = REGISTER.read_key(row)
        self._check(key)
        taken = self._secrets.get(key.name)
        if taken is not None and taken != key.secret:
            raise BadKey(f"another key has the name {key.name!r}")
        self._put(key)
        self._progress.pop(key.secret, None)
        return key

    def change(
        self,
        name: str,
        *,
        behaviour: Mapping[str, Any] | None = None,
        limits: Mapping[str, Any] | None = None,
        directives: Mapping[str, Any] | None = None,
    ) -> Key:
        """Change how a key behaves from its next call on; `behaviour={}` makes it good.

        With another behaviour its calls are counted anew.

        Raises:
            KeyError: no key has this name.
            BadKey: the behaviour or limits cannot be understood.
            BadDirective: the directives cannot.
        """
        key = self.key(name)
        changes: dict[str, Any] = {}
        if behaviour is not None:
            changes["behaviour"] = read_behaviour(behaviour)
        if limits is not None:
            changes["limits"] = read_limits(limits)
        if directives is not None:
            changes["directives"] = from_mapping(directives)
        changed = dataclasses.replace(key, **changes)
        self._check(changed)
        self._put(changed)
        if behaviour is not None:
            self._progress.pop(key.secret, None)
        return changed

    def forget(self, name: str) -> None:
        """Remove a key: from now on it is unknown.

        Raises:
            KeyError: no key has this name.
        """
        del self._keys[self._secrets.pop(name)]

    def misbehaviour(self, key: Key, kind: str) -> str | None:
        """Name of the error that answers this call of the key, None for none; counts the call.

        `kind` is the kind of path: models, identity, inference, resources.
        """
        behaviour = key.behaviour
        if behaviour is GOOD or behaviour.scope not in {"all", kind}:
            return None
        progress = self._progress.get(key.secret)
        if progress is None:
            progress = self._progress[key.secret] = _Progress(first_call=self.now())
        number = progress.calls
        progress.calls += 1
        sequence = behaviour.sequence
        if sequence and (behaviour.repeat or number < len(sequence)):
            return sequence[number % len(sequence)]
        if (
            behaviour.for_seconds is not None
            and self.now() - progress.first_call >= behaviour.for_seconds
        ):
            return None
        return behaviour.error

    # Requests and bill

    def record(self, method: str, path: str, auth: str) -> RecordedRequest:
        """Remember a request that has just arrived."""
        self._number += 1
        request = RecordedRequest(self._number, time.time(), method, path, auth)
        self.requests.append(request)
        return request

    def calls(self, *, key: str | None = None, path: str | None = None) -> list[RecordedRequest]:
        """The remembered requests of a key (by name) and of a path, oldest first."""
        return [
            request
            for request in list(self.requests)
            if (key is None or request.key_name == key) and (path is None or request.path == path)
        ]

    def has_overspent(self, key: Key) -> bool:
        """Whether the workspace of this key has reached the key's spend limit."""
        limit = key.limits.spend_usd
        return limit is not None and self.spent(key) >= limit

    def spent(self, key: Key) -> Decimal:
        """US dollars spent by the workspace of this key."""
        return self.ledger.total(workspace=key.workspace.id).usd

    def reset(self) -> None:
        """As after the start; batch jobs that still run are dropped."""
        self._keys.clear()
        self._secrets.clear()
        self._progress.clear()
        self.requests.clear()
        self.ledger.clear()
        self.prompt_cache.clear()
        self.rate_limits.clear()
        self.files.clear()
        self.batches.clear()
        self.conversations.clear()
        self.catalogue.reset()
        self.directives = NOTHING
        self.admin = AdminFacts()
        self.aisuru = AisuruBackend()
        self.batch_seconds = BATCH_SECONDS
        self.rate_limit_headers_on_streams = False
        for key in REGISTER.keys:
            self._put(key)

    def _put(self, key: Key) -> None:
        old = self._keys.get(key.secret)
        if old is not None and old.name != key.name:
            self._secrets.pop(old.name, None)
        self._keys[key.secret] = key
        self._secrets[key.name] = key.secret

    @staticmethod
    def _check(key: Key) -> None:
        names = {key.behaviour.error, key.directives.error, *key.behaviour.sequence}
        unknown = {name for name in names if name is not None and name not in REFUSALS}
        if unknown:
            raise BadKey(f"unknown error {min(unknown)!r}")
