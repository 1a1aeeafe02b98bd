"""pgbouncer in transaction mode before the suite's PostgreSQL, with one connection to it."""

import contextlib
import getpass
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit

import psycopg

from tests.gateway.tenancy import eventually

_SETTINGS = """\
[databases]
{name} = host={host} port={port} dbname={name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen}
unix_socket_dir =
auth_type = plain
auth_file = {users}
pool_mode = transaction
default_pool_size = 1
max_client_conn = 200
server_tls_sslmode = disable
user = {user}
"""


class Bouncer:
    """One pooler; transactions of all its clients go over one connection.

    Args:
        address: of a database over TCP, with the login that clients use too.
        folder: for its files.
    """

    def __init__(self, address: str, folder: Path) -> None:
        parts = urlsplit(address)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        login = parts.netloc.rpartition("@")[0]
        self.url = parts._replace(netloc=f"{login}@127.0.0.1:{self.port}").geturl()
        users = folder / "users.txt"
        users.write_text(f'"{unquote(parts.username or "")}" "{unquote(parts.password or "")}"\n')
        self._file = folder / "pgbouncer.ini"
        self._file.write_text(
            _SETTINGS.format(
                name=parts.path.lstrip("/"),
                host=parts.hostname,
                port=parts.port or 5432,
                listen=self.port,
                users=users,
                user="nobody" if getpass.getuser() == "root" else "",
            )
        )
        self._log = folder / "pgbouncer.log"
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def is_here() -> bool:
        """Tell whether the machine has one."""
        return shutil.which("pgbouncer") is not None

    def __enter__(self) -> Self:
        """Start it, and return when it lets clients through."""
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(["pgbouncer", self._file], stdout=log, stderr=log)
        try:
            eventually(self._answers, 20)
        except AssertionError:
            self.__exit__()
            raise AssertionError(self._log.read_text()) from None
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def _answers(self) -> bool:
        with contextlib.suppress(psycopg.OperationalError):
            psycopg.connect(self.url, connect_timeout=2).close()
            return True
        return False
