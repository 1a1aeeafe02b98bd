import gc
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from aisuru_mistral.simulator.app import create_app
from aisuru_mistral.simulator.keys import WELL_KNOWN
from aisuru_mistral.simulator.server import SimulatorServer
from tests.simulator.conftest import CHAT, HELLO

pytestmark = pytest.mark.slow

STARTS = 12
ROOT = Path(__file__).parents[2]


def command(*arguments):
    """The command as a stranger's shell would run it: without any environment."""
    return subprocess.Popen(
        [sys.executable, "manage.py", "mistral_simulator", *arguments],
        cwd=ROOT,
        env={"PATH": os.defpath},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def announced(process):
    """The line that the command prints and the address in it."""
    line = process.stdout.readline()
    return line, re.findall(r"http://127\.0\.0\.1:\d+", line)[0]


def test_the_command_starts_without_environment_says_one_line_and_ends_on_sigterm():
    with command("--port", "0") as process:
        line, address = announced(process)
        assert f"valid={WELL_KNOWN['valid']}" in line
        headers = {"authorization": f"Bearer {WELL_KNOWN['valid']}"}
        deadline = time.monotonic() + 10
        while True:
            try:
                answer = httpx.post(f"{address}{CHAT}", json=HELLO, headers=headers)
                break
            except httpx.ConnectError:
                assert time.monotonic() < deadline
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        rest, errors = process.communicate(timeout=10)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_a_log_of_the_command_can_do_without_keys():
    with command("--port", "0", "--verbosity", "0") as process:
        line, _address = announced(process)
        process.send_signal(signal.SIGTERM)
    assert not any(secret in line for secret in WELL_KNOWN.values())


def test_the_command_stops_at_once_while_an_answer_hangs():
    with command("--port", "0") as process:
        _, address = announced(process)
        with SimulatorServer() as other:
            assert other.url != address
        host, port = address.removeprefix("http://").split(":")
        deadline = time.monotonic() + 10
        while True:
            try:
                connection = socket.create_connection((host, int(port)), timeout=5)
                break
            except OSError:
                assert time.monotonic() < deadline
        request = (
            f"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {WELL_KNOWN['hang']}"
        )
        connection.sendall(f"{request}\r\n\r\n".encode())
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=5)
        connection.close()
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--host", "192.0.2.1"), "no loopback address"), (("--port", "99999"), "invalid")],
)
def test_the_command_refuses_bad_addresses(arguments, words):
    with command(*arguments) as process:
        _, errors = process.communicate(timeout=10)
    assert process.returncode != 0
    assert words in errors


def test_the_command_lists_every_key():
    with command("--keys") as process:
        listed, _ = process.communicate(timeout=10)
    assert all(secret in listed for secret in WELL_KNOWN.values())


def test_it_listens_on_ipv6_too():
    with SimulatorServer(host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(f"{server.url}/sim/keys").status_code == 200


def test_a_taken_port_is_refused(simulator):
    with pytest.raises(OSError, match="in use"):
        SimulatorServer(port=simulator.port)
    assert httpx.get(f"{simulator.url}/sim/keys").status_code == 200


def open_files():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def simulator_threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "mistral-simulator"]


def test_many_simulators_start_and_stop_without_leaving_anything_behind():
    gc.collect()
    before, others = open_files(), set(simulator_threads())
    for _ in range(STARTS):
        with SimulatorServer() as server:
            assert httpx.get(f"{server.url}/sim/ledger").status_code == 200
        server.stop()
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/sim/ledger")
    gc.collect()
    # Other tests' leftovers may come and go meanwhile, but not one with each start.
    assert open_files() < before + STARTS
    assert set(simulator_threads()) <= others


def test_simulators_share_nothing(as_key, simulator):
    with SimulatorServer() as other:
        simulator.state.forget("valid")
        headers = {"authorization": f"Bearer {WELL_KNOWN['valid']}"}
        assert httpx.post(f"{other.url}{CHAT}", json=HELLO, headers=headers).status_code == 200
        assert simulator.state.ledger.lines() == []
        assert other.state.ledger.total().calls == 1


def test_stopping_breaks_answers_that_wait():
    with SimulatorServer() as server:
        headers = {"authorization": f"Bearer {WELL_KNOWN['hang']}"}
        caught: list[httpx.HTTPError | None] = []

        def wait():
            try:
                httpx.get(f"{server.url}/v1/models", headers=headers, timeout=30)
            except httpx.HTTPError as error:
                caught.append(error)
            else:
                caught.append(None)

        waiting = threading.Thread(target=wait)
        waiting.start()
        while not server.state.requests:
            time.sleep(0.01)
        began = time.monotonic()
    assert time.monotonic() - began < 2
    waiting.join(5)
    assert not waiting.is_alive()


def test_starting_leaves_the_handlers_of_the_process_alone(tmp_path):
    handler = logging.FileHandler(tmp_path / "log")
    logging.getLogger("tests.simulator").addHandler(handler)
    try:
        with SimulatorServer():
            assert handler.stream is not None
            assert not handler.stream.closed
    finally:
        logging.getLogger("tests.simulator").removeHandler(handler)
        handler.close()


async def test_the_application_is_plain_asgi():
    app = create_app()
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    headers = [(b"authorization", f"Bearer {WELL_KNOWN['valid']}".encode())]
    scope = {"type": "http", "method": "GET", "path": "/v1/users/me", "headers": headers}
    await app(scope, receive, send)
    assert sent[0]["status"] == 200
    assert app.state.requests[0].key_name == "valid"


async def test_the_application_takes_part_in_the_lifespan():
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message["type"])

    await create_app()({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
