"""`make up` and `make demo` as a person meets them: ready, stopped, killed, and ready again."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import psutil
import pytest

from aisuru_mistral import env
from aisuru_mistral.launcher import ports, private_files, provision
from aisuru_mistral.launcher.instance import Instance
from aisuru_mistral.launcher.processes import Identity
from aisuru_mistral.launcher.service import Service
from aisuru_mistral.launcher.supervisor import Supervisor
from tests.postgres import TEMPLATE, new_database

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

START_SECONDS = 90
STOP_SECONDS = 15
#: What a launcher chooses by itself, and the suite has chosen for its own process.
OWN = (
    "DATABASE_URL",
    "DJANGO_SETTINGS_MODULE",
    "EMAIL_URL",
    "ENCRYPTION_KEYRING",
    "PUBLIC_URL",
    "SECRET_KEY",
)


class Launched:
    """A launcher in a process of its own, with a DATA_DIR that outlives it."""

    def __init__(self, data_dir):
        self.data_dir = data_dir
        self.port = ports.remembered_port(data_dir / "port-of-the-test")
        self.output = data_dir / "console.txt"
        self.process: Any = None

    def variables(self):
        inherited = env.load().variables
        kept = {name: value for name, value in inherited.items() if name not in OWN}
        return kept | {"DATA_DIR": str(self.data_dir), "PORT": str(self.port), "LOG_LEVEL": "INFO"}

    def launch(self, mode="up", **variables):
        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "aisuru_mistral.launcher", mode],
                cwd=env.ROOT,
                env=self.variables() | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        return self.process

    def start(self, mode="up", **variables):
        started = time.monotonic()
        self.launch(mode, **variables)
        self.wait_for_words("Ready on")
        return time.monotonic() - started

    def ensure_up(self):
        if self.process is None or self.process.poll() is not None:
            self.start()
        wait_until(self.is_ready, START_SECONDS, self.console)

    def console(self):
        return self.output.read_text()

    def wait_for_words(self, words, seconds=START_SECONDS):
        def seen():
            assert self.process.poll() is None or words in self.console(), self.console()
            return words in self.console()

        wait_until(seen, seconds, self.console)

    def parts(self):
        record = json.loads((self.data_dir / "launcher.json").read_text())
        return {name: Identity(**facts) for name, facts in record["parts"].items()}

    def processes(self):
        """All processes that belong to this DATA_DIR, the launcher's descendants or not."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("DATA_DIR") == str(self.data_dir)
                if ours or process.cwd() == str(self.data_dir / "postgres"):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def get(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", path)
            return connection.getresponse().status
        finally:
            connection.close()

    def is_ready(self):
        try:
            return self.get("/health/ready") == 200
        except (OSError, http.client.HTTPException):
            return False

    def end(self, number=signal.SIGTERM):
        if self.process and self.process.poll() is None:
            self.process.send_signal(number)
        # Longer than all the patience of a stop: a busy machine uses it up, and still must stop.
        return self.process.wait(60) if self.process else None


def wait_until(check, seconds, context=lambda: ""):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, f"it did not happen in {seconds} s\n{context()}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def launched(make_place):
    launched = Launched(make_place())
    yield launched
    launched.end()
    for process in launched.processes():
        process.kill()


@pytest.fixture
def running(launched):
    launched.ensure_up()
    return launched


def test_sigterm_stops_all_parts_and_the_next_start_is_ready_in_seconds(running):
    assert running.get("/health/live") == 200
    assert set(running.parts()) == {"postgres", "web", "worker", "beat"}
    asked = time.monotonic()
    assert running.end(signal.SIGTERM) == 0
    assert time.monotonic() - asked < STOP_SECONDS
    assert running.processes() == []
    assert not (running.data_dir / "run.env").exists()
    order = [line.split()[1] for line in running.console().splitlines() if " stopped (" in line]
    assert order == ["web", "beat", "worker", "postgres"]
    assert running.start() < 20  # about 4 s on an idle machine
    assert "migrations and prices (nothing new)" in running.console()


@pytest.mark.parametrize("name", ["web", "worker", "beat", "postgres"])
def test_a_part_killed_without_warning_is_back_by_itself(running, name):
    before = running.parts()
    os.kill(before[name].pid, signal.SIGKILL)
    wait_until(lambda: running.parts()[name] != before[name], 30, running.console)
    wait_until(running.is_ready, 30, running.console)
    assert f"{name} was killed by SIGKILL" in running.console()
    after = running.parts()
    assert all(identity.is_alive() for identity in after.values())


def test_after_a_kill_of_everything_at_once_the_next_start_works(running):
    for process in [running.process, *running.processes()]:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    running.process.wait()
    running.start()
    assert running.is_ready()


def test_a_second_start_is_refused_and_does_not_disturb_the_first(running):
    before, run_file = running.parts(), (running.data_dir / "run.env").read_bytes()
    second = Launched(running.data_dir)
    second.output = running.data_dir / "second.txt"
    second.launch(PORT=str(running.port + 1))
    assert second.process.wait(30) == 1
    assert f"already running from {running.data_dir}" in second.console()
    assert running.parts() == before
    assert (running.data_dir / "run.env").read_bytes() == run_file
    assert running.is_ready()


def test_a_taken_port_is_refused_before_anything_is_made(running, place):
    other = Launched(place)
    other.launch(PORT=str(running.port))
    assert other.process.wait(30) == 1
    assert f"port {running.port} is taken" in other.console()
    assert not (place / "postgres").exists()
    assert not (place / "secrets.env").exists()


BAD = {
    "LOG_LEVEL": "LOUD",
    "EMAIL_URL": "foo://x",
    "REDIS_URL": "http://x",
    "WEBHOOK_LOOPBACK": "zz",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "zz",
    "METRICS_TOKEN": "x",
    "SECRET_KEY": "short",
    "ENCRYPTION_KEYRING": "nocolon",
    "CELERY_BROKER_URL": "http://x",
    "DATABASE_URL": "postgresql://postgres@127.0.0.1:5432",
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_setting_is_refused_in_one_line_that_names_it(place, name):
    other = Launched(place)
    other.launch(**{name: BAD[name]})
    assert other.process.wait(60) == 1
    first, refusal = other.console().splitlines()[:1], other.console().strip().splitlines()[1:]
    assert first[0].startswith("aisuru-mistral up")
    assert [line for line in refusal if line] == [line for line in refusal if name in line]
    assert not (place / "postgres").exists()
    assert not (place / "secrets.env").exists()


def test_mails_of_the_demo_lie_in_a_folder_of_their_own_and_in_no_log(place):
    environment = env.Environment({"DATA_DIR": str(place)})
    private_files.ensure_secrets(environment, print)
    instance = Instance(place)
    demo = Service("demo", environment, instance, Supervisor(instance, print))
    demo._describe_run("postgresql://somebody@127.0.0.1/name")
    assert env.Environment({"DATA_DIR": str(place)}).email_url == f"filemail://{place}/mail"
    assert (place / "mail").stat().st_mode & 0o777 == 0o700


def test_commands_find_a_running_service_by_its_files(running):
    variables = running.variables()
    made = subprocess.run(
        [sys.executable, "manage.py", "create_token", "--platform", "--name", "beside"],
        cwd=env.ROOT,
        env={name: variables[name] for name in variables if name != "PORT"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(made.stdout)["token"].startswith("aim_plat_")


def test_the_parts_know_no_password_but_the_applications(running):
    secrets = env.read_env_file(running.data_dir / "secrets.env")
    for process in psutil.Process(running.process.pid).children(recursive=True):
        try:
            values = process.environ().values()
            shown = " ".join(process.cmdline())
        except psutil.Error:
            continue
        for secret in secrets.values():
            assert not any(secret in value for value in values)
            assert secret not in shown


@pytest.mark.rehearsal
def test_a_database_of_ones_own_is_used_instead_and_ctrl_c_stops_it_too(place):
    name = f"given_{os.getpid()}"
    launched = Launched(place)
    try:
        launched.start(DATABASE_URL=new_database(name, TEMPLATE))
        assert set(launched.parts()) == {"web", "worker", "beat"}
        assert not (place / "postgres").exists()
        used = env.read_env_file(place / "run.env")["DATABASE_URL"]
        assert provision.database_of(used) == name
        assert used.startswith(f"postgresql://aim_{name}_app:")
        assert launched.end(signal.SIGINT) == 0
        assert launched.processes() == []
    finally:
        launched.end(signal.SIGKILL)


@pytest.mark.rehearsal
@pytest.mark.timeout(600)  # all migrations, on a machine that may be busy
def test_the_demo_tells_its_story_and_again_after_a_kill_and_ends_with_its_terminal(place):
    launched = Launched(place)
    try:
        launched.launch("demo")
        launched.wait_for_words("Ready on", 300)
        wait_until(lambda: _story_is_over(launched.console()), 120, launched.console)
        told = launched.console()
        assert "The story ends here" not in told, told
        assert "The demo keeps serving" in told
        assert "→ 202" in told
        assert "valid: sees" in told
        assert '"provider": "Mistral"' in told
        assert "AIsuru has “Assistente" in told
        assert "key_unknown" in told
        assert "→ 402" in told
        assert "POST /api/v1/me/terms → 204" in told
        assert list((place / "mail").iterdir())
        logs = "".join(log.read_text(errors="replace") for log in (place / "log").iterdir())
        assert "SimValid0" not in logs
        assert "Subject: " not in logs
        old = launched.parts()
        assert launched.end(signal.SIGKILL) == -signal.SIGKILL
        launched.start("demo")
        assert not any(identity.is_alive() for identity in old.values())
        launched.wait_for_words("valid: sees")
        assert "migrations and prices (nothing new)" in launched.console()
        assert launched.end(signal.SIGHUP) == 0
        assert launched.processes() == []
    finally:
        launched.end(signal.SIGKILL)
        for process in launched.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _story_is_over(told):
    return "The demo keeps serving" in told or "The story ends here" in told
