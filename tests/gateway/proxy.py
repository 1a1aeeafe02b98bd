"""A wire to PostgreSQL that a test can cut or hold: only the gateway under test is behind it."""

import contextlib
import os
import select
import socket
import threading
from typing import Self
from urllib.parse import parse_qs, urlsplit


class DatabaseProxy:
    """Carries bytes between a loopback port and the suite's PostgreSQL."""

    def __init__(self) -> None:
        parts = urlsplit(os.environ["DATABASE_URL"])  # noqa: TID251 - this worker's database
        self._target = f"{parse_qs(parts.query)['host'][0]}/.s.PGSQL.5432"
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        login = parts.netloc.rpartition("@")[0]
        self.url = f"postgresql://{login}@127.0.0.1:{port}{parts.path}"
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
            far = socket.socket(socket.AF_UNIX)
            far.connect(self._target)
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


def _close(end: socket.socket) -> None:
    with contextlib.suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
