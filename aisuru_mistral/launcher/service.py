"""`make up` and `make demo`: what the parts are, in which order they start and stop.

The console shows short progress; the parts write to DATA_DIR/log. PostgreSQL is ours only when no
DATABASE_URL is given; one that is given is the owner's, and the parts get the application's.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from aisuru_mistral import env
from aisuru_mistral.launcher import migrations, ports, private_files, processes, provision
from aisuru_mistral.launcher.console import CannotStart, Say, say, step
from aisuru_mistral.launcher.instance import Instance
from aisuru_mistral.launcher.postgres import STOP_SIGNAL, EmbeddedPostgres
from aisuru_mistral.launcher.supervisor import Part, Stopping, Supervisor, spawner

type Mode = Literal["up", "demo"]

DATABASE = "aisuru_mistral"
# Seconds that each part gets to end by itself; with the groups below together less than 15.
# Celery looks up from its queue every two seconds, and once more before it ends.
_PATIENCE = {
    "story": 0.5,
    "web": 5.0,
    "beat": 2.0,
    "worker": 8.0,
    "simulator": 1.0,
    "postgres": 3.0,
}
_STOP_ORDER = (("story",), ("web", "beat", "worker"), ("simulator",), ("postgres",))
_START_PATIENCE = 90.0
_RECHECK_IN_DEMO = "10"  # seconds: the simulator knows its keys at once
# What is made here where no variable gives it; all else is checked before anything starts.
_MADE_HERE = {
    "secret_key": "SECRET_KEY",
    "encryption_keyring": "ENCRYPTION_KEYRING",
    "vault": "ENCRYPTION_KEYRING",
    "database_url": "DATABASE_URL",
    "celery_broker_url": "CELERY_BROKER_URL",
}
# Only the launcher needs them, or the parts must take them from run.env.
_NOT_FOR_PARTS = {
    f"{name}{suffix}"
    for name in (
        "DATABASE_URL",
        "DATABASE_DIRECT_URL",
        "POSTGRES_PASSWORD",
        "POSTGRES_APP_PASSWORD",
    )
    for suffix in ("", "_FILE")
}


def main(mode: Mode, *, parent: int | None = None) -> int:
    """Run the service until a signal comes; return the exit code.

    Args:
        mode: with the simulator and the story, or without.
        parent: stop when this process is no longer our parent.
    """
    try:
        data_dir = env.load().data_dir
        data_dir.mkdir(parents=True, exist_ok=True)
        instance = Instance(data_dir)
        instance.take(say)
    except (CannotStart, env.ConfigurationError, OSError) as refusal:
        say(f"aisuru-mistral does not start: {refusal}")
        return 1
    try:
        # What an earlier run said is not what is asked for now: nothing reads it from here on.
        (data_dir / private_files.RUN_FILE).unlink(missing_ok=True)
        supervisor = Supervisor(instance, say, parent=parent)
        return Service(mode, env.load(), instance, supervisor).run()
    finally:
        instance.release()


@dataclass
class Service:
    """One run of the service.

    Attributes:
        mode: with the simulator and the story, or without.
        environment: what the user set, and nothing of an earlier run.
        instance: our claim on DATA_DIR.
        supervisor: keeps the parts.
        tell: hears the progress.
    """

    mode: Mode
    environment: env.Environment
    instance: Instance
    supervisor: Supervisor
    tell: Say = say
    _postgres: EmbeddedPostgres | None = None
    _variables: dict[str, str] = field(default_factory=dict)

    def run(self) -> int:
        """Start everything, serve, and stop everything; return the exit code."""
        code = 0
        with self.supervisor.signals():
            try:
                self._start()
                self.supervisor.watch()
            except Stopping:
                self.tell("\nStopping (once more to hurry)")
            except (CannotStart, env.ConfigurationError) as refusal:
                self.tell(f"\naisuru-mistral does not start: {refusal}")
                code = 1
            finally:
                self.supervisor.stop_all(_STOP_ORDER)
                if self._postgres:
                    self._postgres.release()
                (self._data_dir / private_files.RUN_FILE).unlink(missing_ok=True)
        return code

    @property
    def _data_dir(self) -> Path:
        return self.environment.data_dir

    def _log(self, name: str) -> Path:
        return self._data_dir / "log" / f"{name}.log"

    # ── start ────────────────────────────────────────────────────────────────────────────────────

    def _start(self) -> None:
        def given(name: str) -> bool:
            variable = _MADE_HERE.get(name)
            return variable is None or self.environment.text(variable) is not None

        self.tell(f"aisuru-mistral {self.mode} (data and logs in {self._data_dir})")
        _refuse_bad(self.environment, [name for name in env.Environment.settings() if given(name)])
        self.instance.describe(f"http://{ports.HOST}:{self.environment.port}")
        ports.refuse_taken(self.environment.port)
        secrets = private_files.ensure_secrets(self.environment, self.tell)
        if self.environment.text("DATABASE_URL"):
            owner_url = self.environment.database_url
        else:
            owner_url = self._start_postgres(secrets)
        with step("roles, grants and queue", self.tell):
            app_url = self._provision(owner_url, secrets)
        self._describe_run(app_url)
        self._migrate(provision.with_database(owner_url, provision.database_of(app_url)))
        self._start_parts()
        self._say_ready()
        if self.mode == "demo":
            self._tell_story()

    def _start_postgres(self, secrets: Mapping[str, str]) -> str:
        postgres = self._postgres = EmbeddedPostgres(
            self._data_dir / "postgres",
            password=self.environment.text("POSTGRES_PASSWORD") or secrets["POSTGRES_PASSWORD"],
            connections=60 + 40 * self.environment.web_concurrency,
            log=self._log("postgres"),
            tell=self.tell,
        )
        with step("PostgreSQL", self.tell):
            postgres.prepare()
            part = Part(
                "postgres",
                postgres.spawn,
                postgres.log,
                stop_signal=STOP_SIGNAL,
                force_signal=signal.SIGQUIT,
                patience=_PATIENCE["postgres"],
                before_restart=postgres.prepare,
            )
            self.supervisor.launch(part)
            self.supervisor.wait_until(postgres.is_ready, part, _START_PATIENCE)
            postgres.ensure_owner()
        return postgres.owner_url()

    def _provision(self, owner_url: str, secrets: Mapping[str, str]) -> str:
        database = DATABASE if self._postgres else provision.database_of(owner_url)
        name = "POSTGRES_APP_PASSWORD"
        password = self.environment.text(name) or secrets[name]
        login = provision.app_login_of(database)
        return provision.provision(owner_url, database, login, password)

    def _describe_run(self, app_url: str) -> None:
        """Write run.env and fix what the parts see, or refuse what they would refuse later."""
        port = str(self.environment.port)
        run = {
            "MODE": self.mode,
            "DATABASE_URL": app_url,
            "PORT": port,
            "PUBLIC_URL": self.environment.public_url,
            "MISTRAL_API_URL": self.environment.mistral_api_url,
        }
        given = self.environment.variables
        self._variables = {name: given[name] for name in given if name not in _NOT_FOR_PARTS}
        self._variables |= {"DATA_DIR": str(self._data_dir), "PORT": port, "PYTHONUNBUFFERED": "1"}
        if self.mode == "demo":
            port_of_simulator = ports.remembered_port(self._data_dir / "simulator-port")
            run["MISTRAL_API_URL"] = f"http://{ports.HOST}:{port_of_simulator}"
            self._variables["MISTRAL_API_URL"] = run["MISTRAL_API_URL"]
            # A stand-in of AIsuru's backend listens there, too.
            run["AISURU_API_URL"] = f"{run['MISTRAL_API_URL']}/api/v2"
            self._variables["AISURU_API_URL"] = run["AISURU_API_URL"]
            run["KEY_RECHECK_SECONDS"] = _RECHECK_IN_DEMO
            if self.environment.email_url is None:
                run["EMAIL_URL"] = f"filemail://{quote(str(self._mail_folder()))}"
            # A receiver of webhooks to try things out with is on this machine.
            run["WEBHOOK_LOOPBACK"] = "true"
        path = self._data_dir / private_files.RUN_FILE
        private_files.write_private(path, private_files.env_lines(run))
        _refuse_bad(env.Environment(self._variables), env.Environment.settings())

    def _mail_folder(self) -> Path:
        """Make where the demo's mails lie: they hold invitations, which are nobody else's."""
        folder = self._data_dir / "mail"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder

    def _migrate(self, owner_url: str) -> None:
        if migrations.are_applied(self._data_dir, owner_url):
            self.tell("  ✓ migrations and prices (nothing new)")
            return
        as_owner = self._variables | {"DATABASE_URL": owner_url}
        with step("migrations and prices", self.tell):
            for command in (["migrate", "--no-input"], ["load_prices"]):
                log = self._log(command[0])
                spawn = spawner(
                    [sys.executable, "manage.py", *command],
                    environment=as_owner,
                    folder=env.ROOT,
                    log=log,
                )
                self.supervisor.run(command[0], spawn, log)
            migrations.remember(self._data_dir, owner_url)

    def _start_parts(self) -> None:
        """Start what answers requests first: work in the background can wait two seconds."""
        port = self.environment.port
        if self.mode == "demo":
            with step("simulated Mistral", self.tell):
                simulator = self._simulator()
                self.supervisor.launch(simulator)
                self.supervisor.wait_until(self._simulator_accepts, simulator, _START_PATIENCE)
        with step(f"web on port {port}", self.tell):
            web = self._web()
            self.supervisor.launch(web)
            is_ready = partial(ports.answers, port, "/health/ready")
            self.supervisor.wait_until(is_ready, web, _START_PATIENCE)
        for part in (self._worker(), self._beat()):
            self.supervisor.launch(part)
        self.tell("  ✓ worker and beat are on their way")

    @property
    def _simulator_port(self) -> str:
        return self._variables["MISTRAL_API_URL"].rpartition(":")[2]

    def _simulator_accepts(self) -> bool:
        return ports.accepts(int(self._simulator_port))

    def _web(self) -> Part:
        settings = self.environment
        if settings.web_concurrency > 1:  # any of them answers for all, to Prometheus
            folder = self._data_dir / "metrics"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            self._variables["PROMETHEUS_MULTIPROC_DIR"] = str(folder)
        return self._part(
            "web",
            *("-m", "granian", "--interface", "asgi", "--no-ws"),
            *("--http1-header-read-timeout", "10000", "--backlog", "2048"),
            *("--backpressure", "2048"),
            *("--host", ports.HOST, "--port", str(settings.port)),
            *("--workers", str(settings.web_concurrency), "--workers-kill-timeout", "4"),
            *("--respawn-failed-workers", "--respawn-interval", "0.5"),
            "aisuru_mistral.asgi:application",
        )

    def _worker(self) -> Part:
        return self._celery(
            "worker",
            *("-Q", "aisuru", "--concurrency", "4", "-n", "aisuru@%h"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        )

    def _beat(self) -> Part:
        schedule = str(self._data_dir / "beat-schedule")
        return self._celery("beat", "--pidfile=", "--schedule", schedule)

    def _simulator(self) -> Part:
        simulator = ("manage.py", "mistral_simulator", "--verbosity", "0")
        return self._part("simulator", *simulator, "--port", self._simulator_port)

    def _celery(self, name: str, *arguments: str) -> Part:
        level = self.environment.log_level
        celery = ("-m", "celery", "-A", "aisuru_mistral.celery", name, "--loglevel", level)
        return self._part(name, *celery, *arguments)

    def _part(self, name: str, *arguments: str) -> Part:
        log = self._log(name)
        command = [sys.executable, *arguments]
        spawn = spawner(command, environment=self._variables, folder=env.ROOT, log=log)
        return Part(name, spawn, log, patience=_PATIENCE[name])

    # ── what the person sees ─────────────────────────────────────────────────────────────────────

    def _say_ready(self) -> None:
        self.tell(f"\nReady on {self.instance.address} (API docs: /api/v1/docs). Ctrl-C stops it.")
        if self.mode == "up":
            where = f"DATA_DIR={self._data_dir} " if self._data_dir != env.ROOT / "var" else ""
            self.tell("The first token, in another terminal:")
            self.tell(
                f"  {where}.venv/bin/python manage.py create_token --platform --name aisuru\n"
            )

    def _tell_story(self) -> None:
        """Play the story in a process of its own that talks to this console; we keep watch."""

        def spawn() -> "subprocess.Popen[bytes]":
            return subprocess.Popen(
                [sys.executable, "-m", "aisuru_mistral.launcher.story"],
                cwd=env.ROOT,
                env=self._variables,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                preexec_fn=processes.die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one system call
            )

        log = Path(os.devnull)
        self.supervisor.launch(Part("story", spawn, log, patience=_PATIENCE["story"], once=True))


def _refuse_bad(environment: env.Environment, names: Iterable[str]) -> None:
    """Read settings for their refusal alone: better here in one line than in the log of a part.

    Raises:
        env.ConfigurationError: one is missing or malformed.
    """
    for name in names:
        getattr(environment, name)
