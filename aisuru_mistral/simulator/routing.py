"""How an endpoint presents itself to the application, and how a path finds it.

Refuses to know any endpoint.

An endpoint is a small module with a tuple `ROUTES`; endpoints/__init__.py lists the modules.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs

from aisuru_mistral.simulator.directives import Directives
from aisuru_mistral.simulator.errors import ERRORS
from aisuru_mistral.simulator.keys import Key
from aisuru_mistral.simulator.ledger import Line
from aisuru_mistral.simulator.state import RecordedRequest, SimulatorState
from aisuru_mistral.simulator.validation import Checker
from aisuru_mistral.simulator.wire import Header, Reply, StreamReply

type Kind = Literal["models", "identity", "inference", "resources", "admin", "control"]

PLACE = "{id}"


@dataclass(slots=True)
class Call:
    """One request on its way through an endpoint: its key is known and its body checked.

    For a control path there is no key; `key` must not be read there. `tail` is what stands in the
    path's open place, `sent` are the request's headers. A `batch` call is a line of a batch job:
    it costs half and no rate limit counts it.
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
    sent: Mapping[bytes, bytes] = field(default_factory=dict)
    query: bytes = b""
    batch: bool = False

    @property
    def key(self) -> Key:
        """The key that sent the request."""
        if self.known_key is None:
            raise LookupError("a control path has no key")
        return self.known_key

    @property
    def parameters(self) -> dict[str, list[str]]:
        """The query's parameters."""
        return parse_qs(self.query.decode("latin-1"), keep_blank_values=True)

    def line(self, model_id: str, service_tier: str = "standard") -> Line:
        """The line of the bill that this call is written to."""
        key = self.key
        return self.state.ledger.line(
            key=key.name,
            organization=key.organization.id,
            workspace=key.workspace.id,
            model=model_id,
            service_tier=service_tier,
            batch=self.batch,
        )

    def use(self, tokens: int) -> None:
        """Count tokens towards the workspace's rate; those of a batch are not."""
        if not self.batch:
            self.state.rate_limits.use(self.key, tokens)

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

    A path ending in "/" takes one more segment, and "{id}" stands for one in the middle; the
    handler finds it in `Call.tail`. `kind` says which behaviours of a key apply and
    whether rate limits and bills do. `forms` are the ways the key may come. A `multipart` body is
    checked as its fields.
    """

    method: str
    path: str
    handler: Handler
    kind: Kind
    schema: Checker | None = None
    forms: tuple[str, ...] = ("bearer",)
    multipart: bool = False


class Routes:
    """All routes, found by exact path first."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        self._open: list[tuple[str, str, Route]] = []
        self._paths: set[str] = set()
        for route in routes:
            if route.path.endswith("/"):
                self._open.append((route.path, "", route))
            elif PLACE in route.path:
                start, _, end = route.path.partition(PLACE)
                self._open.append((start, end, route))
            else:
                self._exact[route.method, route.path] = route
                self._paths.add(route.path)

    def find(self, method: str, path: str) -> tuple[Route | None, str]:
        """The route and what stands in its open place."""
        route = self._exact.get((method, path))
        if route is not None:
            return route, ""
        for start, end, route in self._open:
            if route.method == method:
                tail = _between(path, start, end)
                if tail:
                    return route, tail
        return None, ""

    def knows(self, path: str) -> bool:
        """Whether the path exists for some method."""
        return path in self._paths or any(
            _between(path, start, end) for start, end, _ in self._open
        )


def _between(path: str, start: str, end: str) -> str:
    if not path.startswith(start) or not path.endswith(end):
        return ""
    tail = path[len(start) : len(path) - len(end)]
    return "" if "/" in tail else tail
