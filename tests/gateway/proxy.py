"""A wire to a server that a test can cut or hold: only what is under test is behind it."""

import contextlib
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Self
from urllib.parse import parse_qs, urlsplit


class Wire:
    """Carries bytes between a loopback port and a server.

    Args:
        connect: makes a connection to the server.
    """

    def __init__(self, connect: Callable[[], socket.socket]) -> None:
        self._connect = connect
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._is_cut = False
        self._flowing = threading.Event()
        self._flowing.set()

    def cut(self) -> None:
        """Break every connection and take no new one."""
        self._is_cut = True
        for pair in self._pairs:
            for end in pair:
                _close(end)
        self._pairs.clear()

    def hold(self) -> None:
        """Carry nothing any more, and break nothing."""
        self._flowing.clear()

    def mend(self) -> None:
        """Carry again."""
        self._is_cut = False
        self._flowing.set()

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.cut()
        self._flowing.set()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._is_cut:
                _close(near)
                continue
            far = self._connect()
            self._pairs.append((near, far))
            threading.Thread(target=self._carry, args=(near, far), daemon=True).start()

    def _carry(self, near: socket.socket, far: socket.socket) -> None:
        other = {near: far, far: near}
        try:
            while True:
                for end in select.select([near, far], [], [])[0]:
                    part = end.recv(65536)
                    if not part:
                        return
                    self._flowing.wait(60)
                    other[end].sendall(part)
        except (OSError, ValueError):
            return
        finally:
            _close(near)
            _close(far)


class DatabaseProxy(Wire):
    """Carries bytes between a loopback port and the suite's PostgreSQL.

    Args:
        address: of the database; this worker's own by default.
    """

    def __init__(self, address: str | None = None) -> None:
        parts = urlsplit(address or os.environ["DATABASE_URL"])  # noqa: TID251 - this worker's
        [folder] = parse_qs(parts.query).get("host", [""])

        def connect() -> socket.socket:
            if not folder:
                return socket.create_connection((parts.hostname or "", parts.port or 5432))
            far = socket.socket(socket.AF_UNIX)
            far.connect(f"{folder}/.s.PGSQL.5432")
            return far

        super().__init__(connect)
        login = parts.netloc.rpartition("@")[0]
        self.url = f"postgresql://{login}@127.0.0.1:{self.port}{parts.path}"


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
