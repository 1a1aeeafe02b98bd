"""The processes under measurement: started on loopback, watched, and ended."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psutil

ROOT = Path(__file__).resolve().parent.parent
_PATIENCE = 60.0
_GRANIAN = ("-m", "granian", "--loop", "uvloop", "--no-ws")
_UVICORN = ("-m", "uvicorn", "--loop", "uvloop", "--http", "httptools", "--lifespan", "off")
_ADDRESS = ("--host", "{host}", "--port", "{port}")
_QUIET = ("--no-access-log", "--log-level", "error")


@dataclass(frozen=True)
class Usage:
    """What a process and its children have used: seconds of CPU, bytes of memory."""

    cpu: float
    memory: int


@dataclass(frozen=True)
class Place:
    """Where a process runs: on loopback, or in a network or on cores that a command leads to."""

    host: str = "127.0.0.1"
    enter: tuple[str, ...] = ()


@dataclass(frozen=True)
class Cores:
    """The cores of a run: one is the server's under measurement, the others everybody else's."""

    measured: int
    others: frozenset[int]

    @classmethod
    def here(cls) -> "Cores | None":
        """Share out the cores that this process may use; None where there is only one."""
        every = sorted(os.sched_getaffinity(0))
        return cls(every[-1], frozenset(every[:-1])) if every[1:] else None

    @property
    def one(self) -> Place:
        """For one process on one core."""
        return Place(enter=("taskset", "-c", str(self.measured)))

    @property
    def all(self) -> Place:
        """For several processes, beside everybody else."""
        cores = ",".join(map(str, sorted({self.measured, *self.others})))
        return Place(enter=("taskset", "-c", cores))


def free_port() -> int:
    """Find a port on loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Server:
    """One server process."""

    def __init__(
        self,
        name: str,
        arguments: list[str],
        environment: Mapping[str, str],
        inside: "Place | None" = None,
    ) -> None:
        self.name = name
        self.port = free_port()
        place = inside or Place()
        self.host = place.host
        facts = {"port": self.port, "host": self.host}
        command = (part.format(**facts) for part in arguments)
        self._command = [*place.enter, sys.executable, *command]
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None
        self.seconds_to_start = 0.0

    @classmethod
    def granian(
        cls,
        name: str,
        application: str,
        environment: Mapping[str, str],
        workers: int = 1,
        inside: "Place | None" = None,
    ) -> Self:
        """An ASGI application under granian, as the launcher runs it."""
        interface = ("--interface", "asgi" if "asgi:" in application else "asginl")
        respawn = ("--respawn-failed-workers",) if workers > 1 else ()
        options = (*interface, "--workers", str(workers), *respawn, *_ADDRESS, application)
        return cls(name, [*_GRANIAN, *options], environment, inside)

    @classmethod
    def uvicorn(
        cls,
        name: str,
        application: str,
        environment: Mapping[str, str],
        inside: "Place | None" = None,
    ) -> Self:
        """An ASGI application under uvicorn with httptools."""
        return cls(name, [*_UVICORN, *_QUIET, *_ADDRESS, application], environment, inside)

    def __enter__(self) -> Self:
        """Start it and wait until it accepts."""
        began = time.monotonic()
        self._process = subprocess.Popen(
            self._command,
            cwd=ROOT,
            env=dict(self._environment),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while time.monotonic() - began < _PATIENCE:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                self.seconds_to_start = time.monotonic() - began
                return self
        self.__exit__()
        raise SystemExit(f"{self.name} did not start")

    def __exit__(self, *_: object) -> None:
        """End it, and by force what is left of its processes."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._signal(signal.SIGCONT)
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(10)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run for as long as this lasts; until then, and afterwards, it is stopped.

        What a server does of its own accord costs its rivals time and caches otherwise.
        """
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.halt()

    def halt(self) -> None:
        """Stop all of it where it is."""
        self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    @property
    def is_running(self) -> bool:
        """Tell whether it has not ended by itself."""
        return self._process is not None and self._process.poll() is None

    @property
    def children(self) -> list[psutil.Process]:
        """Its processes that serve, where it has several."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    @property
    def usage(self) -> Usage:
        """What it and its children have used until now; memory of the largest of them."""
        assert self._process is not None
        parent = psutil.Process(self._process.pid)
        family = [parent, *parent.children(recursive=True)]
        cpu = sum(sum(process.cpu_times()[:2]) for process in family)
        return Usage(cpu, max(process.memory_info().rss for process in family))


def postgres_cpu(data_dir: Path) -> float:
    """Seconds of CPU that the PostgreSQL of this directory has used."""
    total = 0.0
    for process in psutil.process_iter(["name"]):
        try:
            if process.info["name"].startswith("postgres") and process.cwd() == str(data_dir):
                total += sum(process.cpu_times()[:2])
        except psutil.Error:
            continue
    return total


def describe_machine() -> str:
    """Say what this was measured on."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    memory = psutil.virtual_memory().total / 2**30
    return (
        f"{psutil.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {os.uname().release},"
        f" Python {sys.version.split()[0]} with a yardstick of {_yardstick():.0f} ms;"
        f" load before the run {load}"
    )


def _yardstick() -> float:
    """Time a fixed piece of Python: builds of one version differ by half and more.

    Returns:
        Milliseconds of CPU, the least of several runs.
    """
    return min(map(_fixed_work, range(5))) * 1000


def _fixed_work(_: int) -> float:
    began, kept, total = time.process_time(), {}, 0.0
    for number in range(100_000):
        usage = Usage(number, number)
        kept[number & 255] = usage
        total += usage.cpu + kept[number & 127].memory
        if f"{number}:{total}".startswith("9"):
            total -= 1
    return time.process_time() - began
