"""The stage of every fault: a Mistral that counts, gateways, callers who never stop, the balance.

Mistral and the callers live in a thread of their own; the scenario is played by the main thread.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import orjson
import psycopg
import uvloop

from aisuru_mistral.launcher.postgres import EmbeddedPostgres
from bench import wire
from bench.servers import Place, Server, describe_machine, free_port
from bench.stage import Stage, stage
from bench.stub import Stub

PATIENCE = 60.0
_PAUSE = 0.02
APPLICATION = "aisuru_mistral.asgi:application"
_UNAVAILABLE = "503 metering_unavailable"
#: No gateway there, or gone in the middle: for faults that end processes.
_BROKEN = frozenset({"no connection", "broken off"})
#: Of the gateway's own calls. A balance outlives events that were forgotten: it is no sum of them.
_COUNT = """
    SELECT count(*), count(DISTINCT id),
           count(*) FILTER (WHERE outcome = 'completed' AND estimate = ''),
           count(*) FILTER (WHERE estimate <> ''),
           (SELECT count(*) FROM spend_hold),
           (SELECT count(*) FROM spend_balance b
            LEFT JOIN spend_retention r ON r.organization_id = b.organization_id
            WHERE b.held <> 0 OR b.period >= coalesce(r.forgotten_before, b.period)
              AND b.settled <> (
               SELECT coalesce(sum(e.cost), 0) FROM spend_usageevent e
               WHERE e.organization_id = b.organization_id AND e.period = b.period
                 AND b.subject_id IN (e.organization_id, e.workspace_id, e.model_id, e.key_id)))
    FROM spend_usageevent WHERE corrects IS NULL AND source = 'gateway'
"""


class Mistral(Stub):
    """The stub, counting the requests that reached it."""

    reached = 0

    def data_received(self, data: bytes) -> None:
        """Count the head of a request."""
        Mistral.reached += data.count(b"POST ")
        super().data_received(data)


@dataclass
class Load:
    """Callers in a thread of their own, and what each answer was, by phase."""

    callers: int = 12
    pause: float = _PAUSE
    ports: list[int] = field(default_factory=list)
    token: str = ""
    host: str = "127.0.0.1"
    phase: str = "before"
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    unlike: list[bytes] = field(default_factory=list)
    is_over: bool = False

    def note(self, phase: str, answer: str, seconds: float) -> None:
        """Keep one answer."""
        self.answers.setdefault(phase, Counter())[answer] += 1
        self.seconds.setdefault(phase, []).append(seconds)

    def count(self, answer: str, phase: str | None = None) -> int:
        """Count the answers of a kind, in a phase or altogether."""
        phases = [phase] if phase else list(self.answers)
        return sum(self.answers.get(name, Counter())[answer] for name in phases)

    def slowest(self, phase: str) -> float:
        """Give the longest anybody waited in a phase."""
        return max(self.seconds.get(phase, [0.0]))

    def at(self, phase: str, share: float) -> float:
        """Give the seconds that this share of a phase's answers kept within."""
        ordered = sorted(self.seconds.get(phase, [0.0]))
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]

    def surprises(
        self, *, may_break: bool = False, fine: Collection[str] = frozenset()
    ) -> list[str]:
        """Find fault with answers that are not documented, besides those that are fine here."""
        documented = {"200", _UNAVAILABLE, *fine} | (_BROKEN if may_break else set())
        seen = {answer for answers in self.answers.values() for answer in answers}
        others = seen - documented
        return [f"callers saw something else: {others}"] if others else []

    def tell(self) -> None:
        """Print what callers saw, phase by phase."""
        for phase, answers in self.answers.items():
            kinds = ", ".join(f"{count:,} x {answer}" for answer, count in answers.most_common())
            print(
                f"{phase}: {kinds}; median {self.at(phase, 0.5) * 1000:.0f} ms, p99"
                f" {self.at(phase, 0.99) * 1000:.0f} ms, slowest {self.slowest(phase):.1f} s"
            )


@dataclass
class Scene:
    """What is on the stage."""

    set_up: Stage
    load: Load
    servers: list[Server]

    @property
    def postgres(self) -> EmbeddedPostgres:
        """The ledger's server."""
        return self.set_up.postgres

    def wait(self, seconds: float, phase: str | None = None) -> None:
        """Let the load go on for a while, as a phase of its own."""
        self.load.phase = phase or self.load.phase
        time.sleep(seconds)

    def resumes(self, phase: str) -> float:
        """Wait for the first answer of a phase that begins now; give the seconds it took."""
        self.load.phase, began = phase, time.monotonic()
        until(lambda: self.load.count("200", phase), "calls did not go on")
        return time.monotonic() - began

    def end_load(self, thread_patience: float = PATIENCE) -> None:
        """Stop asking, and wait for what is under way."""
        self.load.is_over = True
        for thread in threading.enumerate():
            if thread.name == "load":
                thread.join(thread_patience)


@contextmanager
def scene(
    *,
    folder: Path | None = None,
    make_postgres: Callable[[Path], EmbeddedPostgres] | None = None,
    change: Callable[[Stage], Mapping[str, str]] = lambda _stage: {},
    gateways: int = 1,
    workers: int = 1,
    callers: int = 12,
    inside: Place | None = None,
    mistral_host: str = "127.0.0.1",
    mistral: type[Mistral] = Mistral,
) -> Iterator[Scene]:
    """Set it up, with the load running, and clear it away.

    ``change`` gives what the gateways' environment has beside the stage's, ``inside`` where they
    run.
    """
    print(describe_machine())
    port, load = free_port(), Load(callers)
    thread = threading.Thread(
        target=lambda: uvloop.run(_serve(mistral, mistral_host, port, load)), name="load"
    )
    thread.start()
    try:
        with ExitStack() as stack:
            set_up = stack.enter_context(
                stage(f"http://{mistral_host}:{port}", folder=folder, make_postgres=make_postgres)
            )
            environment = set_up.environment | dict(change(set_up))
            servers = [
                stack.enter_context(
                    Server.granian(f"gateway {number}", APPLICATION, environment, workers, inside)
                )
                for number in range(1, gateways + 1)
            ]
            load.host, load.token = servers[0].host, set_up.token
            load.ports = [server.port for server in servers]
            until(lambda: load.count("200"), "no call got through at all")
            yield Scene(set_up, load, servers)
    finally:
        load.is_over = True
        thread.join(PATIENCE)


def until(happens: Callable[[], object], otherwise: str, seconds: float = PATIENCE) -> None:
    """Wait for something, or end with what it means that it did not happen."""
    end = time.monotonic() + seconds
    while not happens():
        if time.monotonic() > end:
            raise SystemExit(otherwise)
        time.sleep(0.05)


def balance(
    played: Scene, owner_url: str | None = None, *, may_estimate: bool = False
) -> list[str]:
    """Compare the ledger with what Mistral has answered, once everything is written.

    Args:
        played: the scene, with its load ended.
        owner_url: of the ledger, if it is no longer where it was.
        may_estimate: gateways were killed: what they had not settled is an estimate, once.
    """
    facts = (0,) * 6
    end = time.monotonic() + PATIENCE
    with psycopg.connect(owner_url or played.set_up.owner_url, autocommit=True) as owner:
        while time.monotonic() < end:
            facts = owner.execute(_COUNT).fetchone() or facts
            if facts[0] >= Mistral.reached and not facts[4]:
                break
            time.sleep(0.2)
    events, ids, exact, estimates, held, unlike = facts
    served = played.load.count("200")
    print(
        f"Mistral answered {Mistral.reached:,} calls, callers got {served:,} of them;"
        f" the ledger has {events:,} events: {exact:,} exact, {estimates:,} estimates,"
        f" {events - exact - estimates:,} not sent; {held} holds are left"
    )
    recorded = exact + estimates if may_estimate else exact
    return [
        *(["a call counts twice"] if events != ids else []),
        *(["holds are left"] if held else []),
        *(["calls are missing"] if recorded < Mistral.reached else []),
        *(["more is billed than was sent"] if exact > Mistral.reached else []),
        *(["there are estimates"] if estimates and not may_estimate else []),
        *(["balances are not the sums of the events"] if unlike else []),
        *(["answered calls that Mistral never got"] if served > Mistral.reached else []),
    ]


async def _serve(mistral: type[Mistral], host: str, port: int, load: Load) -> None:
    """Be Mistral, and then the callers too, until the load is over."""
    loop = asyncio.get_running_loop()
    async with await loop.create_server(mistral, host, port):
        while not load.ports:
            if load.is_over:
                return
            await asyncio.sleep(0.05)
        async with asyncio.TaskGroup() as group:
            for number in range(load.callers):
                group.create_task(_call(load, number))


async def _call(load: Load, number: int) -> None:
    body = wire.question(stream=number % 2 == 1)
    request = wire.request("/v1/chat/completions", body, load.token)
    request = request.replace(b"\r\n", b"\r\nconnection: close\r\n", 1)
    turn = number // 2
    while not load.is_over:
        turn += 1
        phase, began = load.phase, time.monotonic()
        answer = await ask(load.host, load.ports[turn % len(load.ports)], request)
        if answer.startswith("503") and not answer.endswith("metering_unavailable"):
            load.unlike.append(answer.encode())
        load.note(phase, answer, time.monotonic() - began)
        await asyncio.sleep(load.pause)


async def ask(host: str, port: int, request: bytes) -> str:
    """Ask on a connection of its own; tell its status, a problem's code, or that it broke."""
    try:
        reader, writer = await asyncio.open_connection(host, port)
    except OSError:
        return "no connection"
    try:
        writer.write(request)
        answer = await reader.read()
    except OSError:
        return "broken off"
    finally:
        writer.close()
    return _told(answer)


def _told(answer: bytes) -> str:
    head, _, rest = answer.partition(b"\r\n\r\n")
    status = head[9:12].decode()
    if not status or not _is_whole(head.lower(), rest):
        return "broken off"
    if status == "200":
        return status
    problem = orjson.loads(rest)
    told = f"{status} {problem.get('code')}"
    if problem.get("source") != "gateway":
        return f"{told} from Mistral"
    if status in {"429", "503"} and b"retry-after:" not in head.lower():
        return f"{told} without Retry-After"
    return told


def _is_whole(head: bytes, body: bytes) -> bool:
    _, found, length = head.partition(b"content-length:")
    if found:
        return len(body) == int(length.split(b"\r\n", 1)[0])
    return body.endswith(b"0\r\n\r\n")
