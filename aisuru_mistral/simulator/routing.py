"""How an endpoint presents itself to the application, and how a path finds it.

Refuses to know any endpoint.

An endpoint is a small module with a tuple `ROUTES`; endpoints/__init__.py lists the modules.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from aisuru_mistral.simulator.directives import Directives
from aisuru_mistral.simulator.errors import ERRORS
from aisuru_mistral.simulator.keys import Key
from aisuru_mistral.simulator.state import RecordedRequest, SimulatorState
from aisuru_mistral.simulator.validation import Checker
from aisuru_mistral.simulator.wire import Header, Reply, StreamReply

type Kind = Literal["models", "identity", "inference", "control"]


@dataclass(slots=True)
class Call:
    """One request on its way through an endpoint: its key is known and its body checked.

    For a control path there is no key; `key` must not be read there.
    """

    state: SimulatorState
    request: RecordedRequest
    correlation_id: str
    directives: Directives
    body: Any = None
    raw: bytes = b""
    tail: str = ""
    headers: list[Header] = field(default_factory=list)
    known_key: Key | None = None

    @property
    def key(self) -> Key:
        """The key that sent the request."""
        if self.known_key is None:
            raise LookupError("a control path has no key")
        return self.known_key

    def refuse(self, name: str, *, model: str = "") -> Reply:
        """The answer of errors.json with this name."""
        return ERRORS[name].reply(
            model=model,
            request_id=self.correlation_id,
            key=self.known_key.secret if self.known_key else "",
        )


type Handler = Callable[[Call], Reply | StreamReply]


@dataclass(frozen=True, slots=True)
class Route:
    """One method on one path.

    A path ending in "/" takes one more segment, which the handler finds in `Call.tail`. `kind` says
    which behaviours of a key apply and whether rate limits and bills do. `forms` are the ways the
    key may come.
    """

    method: str
    path: str
    handler: Handler
    kind: Kind
    schema: Checker | None = None
    forms: tuple[str, ...] = ("bearer",)


class Routes:
    """All routes, found by exact path first."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        self._prefixes: list[Route] = []
        self._paths: set[str] = set()
        for route in routes:
            if route.path.endswith("/"):
                self._prefixes.append(route)
            else:
                self._exact[route.method, route.path] = route
                self._paths.add(route.path)

    def find(self, method: str, path: str) -> tuple[Route | None, str]:
        """The route and the last segment of the path."""
        route = self._exact.get((method, path))
        if route is not None:
            return route, ""
        for route in self._prefixes:
            tail = path.removeprefix(route.path)
            if route.method == method and tail not in {path, ""} and "/" not in tail:
                return route, tail
        return None, ""

    def knows(self, path: str) -> bool:
        """Whether the path exists for some method."""
        return path in self._paths
