"""Parts are kept running, ended in order within their time, and never left behind."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from aisuru_mistral import env
from aisuru_mistral.launcher import ports
from aisuru_mistral.launcher.console import CannotStart
from aisuru_mistral.launcher.instance import Instance
from aisuru_mistral.launcher.processes import Identity
from aisuru_mistral.launcher.supervisor import Part, Stopping, Supervisor, spawner

SLEEP = "import time; time.sleep(60)"
DEAF = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
    " print('deaf', flush=True); time.sleep(60)"
)


@pytest.fixture
def said():
    return []


@pytest.fixture
def instance(tmp_path, said):
    instance = Instance(tmp_path, "http://127.0.0.1:8000")
    instance.take(said.append)
    yield instance
    instance.release()


@pytest.fixture
def supervisor(instance, said):
    supervisor = Supervisor(instance, said.append)
    yield supervisor
    for part in supervisor.parts:
        if part.process and part.process.poll() is None:
            os.killpg(part.process.pid, signal.SIGKILL)
            part.process.wait()


@pytest.fixture
def make_part(tmp_path):
    def make(name, code=SLEEP, **options):
        log = tmp_path / "log" / f"{name}.log"
        environment = {**env.load().variables, "DATA_DIR": str(tmp_path)}
        command = [sys.executable, "-c", code]
        spawn = spawner(command, environment=environment, folder=tmp_path, log=log)
        return Part(name, spawn, log, **options)

    return make


def _asked_to_stop(after):
    timer = threading.Timer(after, os.kill, (os.getpid(), signal.SIGTERM))
    timer.start()
    return timer


def _identity(pid):
    identity = Identity.of(pid)
    assert identity is not None
    return identity


def _wait_for(check, seconds=10):
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_killed_part_is_started_again_and_it_is_said(supervisor, make_part, said):
    with supervisor.signals():
        part = make_part("worker")
        supervisor.launch(part)
        first = part.process.pid
        os.kill(first, signal.SIGKILL)
        timer = _asked_to_stop(1.0)
        with pytest.raises(Stopping):
            supervisor.watch()
        timer.join()
        assert part.process.pid != first
        assert part.process.poll() is None
        supervisor.stop_all([["worker"]])
    assert any("worker was killed by SIGKILL" in line for line in said)
    assert any("worker runs again" in line for line in said)


def test_a_part_that_keeps_dying_is_tried_less_and_less_often(supervisor, make_part, said):
    with supervisor.signals():
        supervisor.launch(make_part("worker", "raise SystemExit(3)"))
        timer = _asked_to_stop(2.5)
        with pytest.raises(Stopping):
            supervisor.watch()
        timer.join()
    deaths = [line for line in said if "ended with code 3" in line]
    assert 2 <= len(deaths) <= 4
    assert "now" in deaths[0]
    assert "in 1 s" in deaths[1]


def test_what_a_killed_part_had_started_dies_with_it(supervisor, make_part, tmp_path):
    code = (
        "import subprocess, sys, time;"
        f"p = subprocess.Popen([sys.executable, '-c', {SLEEP!r}]);"
        "open('child', 'w').write(str(p.pid)); time.sleep(60)"
    )
    with supervisor.signals():
        part = make_part("web", code)
        supervisor.launch(part)
        _wait_for(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
        child = _identity(int((tmp_path / "child").read_text()))
        os.kill(part.process.pid, signal.SIGKILL)
        timer = _asked_to_stop(0.7)
        with pytest.raises(Stopping):
            supervisor.watch()
        timer.join()
        supervisor.stop_all([["web"]])
    assert not child.is_alive()


def test_parts_end_in_the_order_asked_for_and_a_deaf_one_is_killed(supervisor, make_part, said):
    with supervisor.signals():
        for name, code in (("postgres", SLEEP), ("worker", DEAF), ("web", SLEEP)):
            supervisor.launch(make_part(name, code, patience=1.0))
        worker = supervisor.parts[1]
        _wait_for(lambda: "deaf" in worker.log.read_text())
        started = time.monotonic()
        supervisor.stop_all([["web", "worker"], ["postgres"]])
    stopped = [line.split()[1] for line in said if "stopped" in line]
    assert stopped == ["web", "worker", "postgres"]
    assert 1.0 <= time.monotonic() - started < 4
    assert worker.process.returncode == -signal.SIGKILL


def test_asking_twice_hurries(supervisor, make_part):
    with supervisor.signals():
        part = make_part("worker", DEAF, patience=30)
        supervisor.launch(part)
        _wait_for(lambda: "deaf" in part.log.read_text())
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(Stopping):
            supervisor.watch()
        timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        timer.start()
        started = time.monotonic()
        supervisor.stop_all([["worker"]])
        timer.join()
    assert time.monotonic() - started < 5


def test_a_part_that_ends_at_once_shows_the_end_of_its_log(supervisor, make_part):
    part = make_part("web", "raise SystemExit('the port is on holiday')")
    supervisor.launch(part)
    with pytest.raises(CannotStart, match="the port is on holiday"):
        supervisor.wait_until(lambda: False, part, 10)


def test_a_part_that_never_gets_ready_is_given_up(supervisor, make_part):
    part = make_part("web")
    supervisor.launch(part)
    with pytest.raises(CannotStart, match="not ready after 0 s"):
        supervisor.wait_until(lambda: False, part, 0.2)


def test_a_failed_step_shows_the_end_of_its_log(supervisor, make_part):
    part = make_part("migrate", "raise SystemExit('no such table')")
    with pytest.raises(CannotStart, match="no such table"):
        supervisor.run("the migration", part.spawn, part.log)


def test_a_step_does_not_survive_a_request_to_stop(supervisor, make_part):
    part = make_part("migrate")
    with supervisor.signals():
        timer = _asked_to_stop(0.3)
        with pytest.raises(Stopping):
            supervisor.run("the migration", part.spawn, part.log)
        timer.join()
    assert not [
        child for child in psutil.Process().children() if "time.sleep(60)" in child.cmdline()
    ]


def test_the_handlers_of_signals_are_given_back(supervisor):
    before = [
        signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
    ]
    with supervisor.signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    after = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)]
    assert after == before


def test_it_stops_when_the_process_it_follows_is_gone(instance, said):
    supervisor = Supervisor(instance, said.append, parent=os.getppid() + 1)
    with pytest.raises(Stopping):
        supervisor.watch()


def test_a_second_start_in_one_data_dir_is_refused_with_the_address_of_the_first(instance, said):
    with pytest.raises(CannotStart, match=r"127\.0\.0\.1:8000") as refusal:
        Instance(instance.data_dir, "http://127.0.0.1:9000").take(said.append)
    assert f"process {os.getpid()}" in str(refusal.value)
    assert Instance(instance.data_dir, "")._read()["address"] == "http://127.0.0.1:8000"


def test_a_start_waits_for_an_earlier_one_that_is_stopping(instance, said):
    instance.stopping = True
    instance.save()
    timer = threading.Timer(2.0, instance.release)
    timer.start()
    other = Instance(instance.data_dir, "http://127.0.0.1:9000")
    other.take(said.append)
    timer.join()
    assert any("still stopping" in line for line in said)
    other.release()


def test_parts_of_a_killed_launcher_are_ended_and_nothing_else_is(tmp_path, said):
    ours = {**env.load().variables, "DATA_DIR": str(tmp_path)}
    theirs = ours | {"DATA_DIR": str(tmp_path / "other")}
    sleep = [sys.executable, "-c", SLEEP]
    with (
        subprocess.Popen(sleep, env=ours, start_new_session=True) as leftover,
        subprocess.Popen(sleep, env=theirs, start_new_session=True) as stranger,
    ):
        try:
            left, other = _identity(leftover.pid), _identity(stranger.pid)
            killed = Instance(tmp_path, "http://127.0.0.1:8000")
            # The stranger has a number that once was a part's: it was created at another time.
            killed.parts = {"web": left, "worker": Identity(other.pid, other.created - 1000)}
            killed.save()
            instance = Instance(tmp_path, "http://127.0.0.1:8000")
            instance.take(said.append)
            instance.release()
            assert not left.is_alive()
            assert other.is_alive()
        finally:
            for process in (leftover, stranger):
                process.kill()
    assert any("left behind: web" in line for line in said)


def test_a_taken_port_is_refused_with_the_name_of_who_has_it():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {port} is taken by .*process {os.getpid()}"):
            ports.refuse_taken(port)
    ports.refuse_taken(port)


def test_a_port_is_remembered_unless_somebody_else_took_it(tmp_path):
    path = Path(tmp_path / "port")
    port = ports.remembered_port(path)
    assert ports.remembered_port(path) == port
    with socket.create_server(("127.0.0.1", port)):
        assert ports.remembered_port(path) != port


def test_a_closed_console_does_not_stop_the_service():
    code = (
        "from aisuru_mistral.launcher.console import say\n"
        "import sys, time\n"
        "sys.stdin.readline()\n"
        "for _ in range(3): say('hello')\n"
        "raise SystemExit(7)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert process.stdout
    assert process.stdin
    process.stdout.close()
    process.stdin.write(b"\n")
    process.stdin.close()
    assert process.wait(20) == 7


def test_what_an_earlier_run_said_is_not_shown_as_the_end_of_this_one(make_part, supervisor):
    part = make_part("web", "print('this run'); raise SystemExit(1)")
    part.log.parent.mkdir()
    part.log.write_text("an earlier run\n")
    supervisor.launch(part)
    with pytest.raises(CannotStart) as refusal:
        supervisor.wait_until(lambda: False, part, 30)
    assert "this run" in str(refusal.value)
    assert "an earlier run" not in str(refusal.value)
    with pytest.raises(CannotStart) as refusal:
        supervisor.run("migrate", part.spawn, part.log)
    assert str(refusal.value).count("this run") == 1
    assert part.log.read_text().count("this run") == 2
