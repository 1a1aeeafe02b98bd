"""Runs the simulator: in a thread for tests, or as the whole process.

Refuses any address but loopback.

Granian's embedded server is used for both: it starts in milliseconds, needs no child process, and
its HTTP side runs outside the interpreter lock.
"""

import asyncio
import ipaddress
import signal
import socket
import threading
import time
from types import TracebackType
from typing import Self

import uvloop
from granian.constants import HTTPModes, Interfaces
from granian.net import SocketSpec  # type: ignore[attr-defined]  # it has no __all__
from granian.server.embed import Server

from aisuru_mistral.simulator.app import Simulator, create_app
from aisuru_mistral.simulator.state import SimulatorState

HOST = "127.0.0.1"
STARTING_SECONDS = 10.0
POLLING_SECONDS = 0.002
# Granian's own logging set-up would close the handlers of the process it is embedded in; an
# incremental one leaves them alone.
_QUIET = {"incremental": True, "formatters": {}, "handlers": {}, "loggers": {}}


class SimulatorServer:
    """A simulator on a loopback port, in a thread of this process.

    Attributes:
        state: what it remembers and how it behaves; may be used while it runs.
        url: scheme, host and port, without a final slash and without /v1.
    """

    def __init__(
        self, state: SimulatorState | None = None, *, host: str = HOST, port: int = 0
    ) -> None:
        self.state = state if state is not None else SimulatorState()
        self._app = create_app(self.state)
        self._reserved = reserve(host, port)
        self.host, self.port = self._reserved.getsockname()[:2]
        self._thread: threading.Thread | None = None
        self._running: _Running | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def start(self) -> Self:
        """Listen; returns when connections are accepted.

        Raises:
            RuntimeError: it did not come up.
        """
        self._running = running = _Running(self._app, self.host, self.port)
        self._thread = threading.Thread(target=running.run, name="mistral-simulator", daemon=True)
        self._thread.start()
        until = time.monotonic() + STARTING_SECONDS
        while not self._accepts():
            if not self._thread.is_alive() or time.monotonic() > until:
                self.stop()
                raise RuntimeError("the simulator did not start")
            time.sleep(POLLING_SECONDS)
        return self

    def run(self) -> None:
        """Serve in the calling, main thread until SIGTERM or Ctrl-C."""
        try:
            _Running(self._app, self.host, self.port).run(signals=True)
        finally:
            self._reserved.close()

    def stop(self) -> None:
        """Stop listening; waiting answers are broken. Calling it twice does nothing more."""
        if self._running is not None and self._thread is not None:
            self._running.stop()
            self._thread.join(STARTING_SECONDS)
        self._running = self._thread = None
        self._reserved.close()

    def _accepts(self) -> bool:
        # Granian listens in a thread of its own and does not tell when it begins.
        try:
            with socket.create_connection((self.host, self.port), timeout=1):
                return True
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class _Listening(Server):
    """Granian without its trial listener, which is never closed: a file for every start."""

    def _init_shared_socket(self) -> None:
        self._ssp = SocketSpec(  # type: ignore[assignment]  # first None in granian
            self.bind_addr, self.bind_port, self.backlog
        )


class _Running:
    """The event loop of one run and the way to end it."""

    def __init__(self, app: Simulator, host: str, port: int) -> None:
        self._app = app
        self._address = host, port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: _Listening | None = None

    def run(self, *, signals: bool = False) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve(signals=signals))

    async def _serve(self, *, signals: bool) -> None:
        self._loop = asyncio.get_running_loop()
        host, port = self._address
        self._server = _Listening(
            self._app,
            address=host,
            port=port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=1024,
            log_enabled=False,
            log_dictconfig=_QUIET,
        )
        if signals:
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._end)
        await self._server.serve()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if self._server is not None:
            self._server.stop()  # type: ignore[no-untyped-call]  # granian leaves it untyped
            self._app.interrupt()


def reserve(host: str, port: int) -> socket.socket:
    """A bound, not listening socket: the port stays this process's until it is closed.

    Raises:
        ValueError: the address is not a loopback one.
        OSError: the port is taken.
    """
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(f"{host} is no loopback address")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    if port:
        # Granian shares its port: a plain bind first, lest two simulators silently share one.
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    reserved = socket.socket(family)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        reserved.bind((host, port))
    except OSError:
        reserved.close()
        raise
    return reserved
