"""A caller who takes nothing any more loses the connection; one who reads slowly keeps it."""

import errno
import os
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from http.client import HTTPResponse
from pathlib import Path

import pytest

from aisuru_mistral.undelivered import Undelivered, _taken
from tests.shell import lavish

ROOT = Path(__file__).resolve().parents[2]
#: Seconds in which everything here has happened on any machine; none waits for them.
_AT_LAST = 60
_SMALL = 16 * 1024


class Watched:
    """A server in this process, with a time of its own."""

    def __init__(self, opened: ExitStack) -> None:
        self._opened = opened
        self._listener = opened.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.now = 0.0
        self._undelivered = Undelivered(100, lambda: self.now)

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Give both ends of a connection; the caller's is the first."""
        caller = self._opened.enter_context(small())
        caller.connect(self._listener.getsockname())
        accepted = self._opened.enter_context(self._listener.accept()[0])
        for end in (caller, accepted):
            end.settimeout(0)
        return caller, accepted

    def look(self, now: float) -> None:
        self.now = now
        self._undelivered.look()


@pytest.fixture
def watched():
    with ExitStack() as opened:
        yield Watched(opened)


def small() -> socket.socket:
    """A caller's socket that takes little before it is read."""
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
    return caller


def fill(end: socket.socket) -> None:
    """Write until the kernel takes no more, even after a moment."""
    while select.select([], [end], [], 0.05)[1]:
        end.send(bytes(64 * 1024))


def take(caller: socket.socket, accepted: socket.socket) -> None:
    """Read until the other end hears that something was taken."""
    before = _taken(accepted)
    while _taken(accepted) == before:
        if select.select([caller], [], [], 0.05)[0]:
            assert caller.recv(1024)


def is_ended(end: socket.socket) -> bool:
    poll = select.poll()
    poll.register(end, 0)
    return bool(poll.poll(0))


def test_who_takes_nothing_is_ended_and_who_takes_a_little_now_and_then_is_not(watched):
    _stuck, to_stuck = watched.connect()
    slow, to_slow = watched.connect()
    _idle, to_idle = watched.connect()
    fill(to_stuck)
    fill(to_slow)
    for now in range(0, 100, 10):
        watched.look(now)
        take(slow, to_slow)
    assert not is_ended(to_stuck)
    while not is_ended(to_stuck):
        watched.look(watched.now + 10)
        take(slow, to_slow)
    assert not is_ended(to_slow)
    assert not is_ended(to_idle), "it was told everything that there is"


def test_for_how_long_it_took_nothing_is_counted_anew_when_it_takes_something(watched):
    caller, accepted = watched.connect()
    fill(accepted)
    watched.look(0)
    watched.look(99)
    take(caller, accepted)
    watched.look(101)
    watched.look(200)
    assert not is_ended(accepted)
    while not is_ended(accepted):
        watched.look(watched.now + 10)


def test_what_this_process_has_connected_itself_is_left_alone(watched):
    ours, _theirs = watched.connect()
    fill(ours)
    for now in (0, 100, 200):
        watched.look(now)
    assert not is_ended(ours)


@pytest.fixture
def server(tmp_path):
    """A server as the launcher starts it, with an application that has much to say."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        *(sys.executable, "-m", "granian", "--interface", "asgi", "--no-ws"),
        *("--host", "127.0.0.1", "--port", str(port), "--workers-kill-timeout", "4"),
        "tests.shell.lavish:application",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(_AT_LAST)


def asked(port: int) -> socket.socket:
    """A caller who has asked, and has read nothing yet."""
    deadline = time.monotonic() + _AT_LAST
    while True:
        caller = small()
        try:
            caller.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            caller.close()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            caller.sendall(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n")
            return caller


@pytest.mark.slow
def test_granian_resets_who_takes_nothing_and_serves_who_reads_slowly(server):
    with closing(asked(server)) as stuck, closing(asked(server)) as slow:
        answer = HTTPResponse(slow)
        answer.begin()
        poll = select.poll()
        poll.register(stuck, 0)
        got, deadline = 0, time.monotonic() + _AT_LAST
        while not poll.poll(20):
            got += len(answer.read(1024))
            assert time.monotonic() < deadline
        assert stuck.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET
        assert got < lavish.LENGTH, "it was read slowly all the while"
        assert got + len(answer.read()) == lavish.LENGTH
