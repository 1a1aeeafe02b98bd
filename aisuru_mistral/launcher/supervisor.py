"""Starts, watches and stops processes, in one thread that any signal wakes.

A part that dies is started again with growing pauses, and it is said. Nothing here knows what the
parts are for.
"""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aisuru_mistral.launcher import processes
from aisuru_mistral.launcher.console import CannotStart, Say, rotate, tail
from aisuru_mistral.launcher.instance import Instance
from aisuru_mistral.launcher.processes import Identity

STABLE_AFTER = 60.0  # seconds after which an earlier death of a part is forgiven
LONGEST_PAUSE = 30.0
_HURRIED_PATIENCE = 0.3
_FORCE_PATIENCE = 2.0
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopping(Exception):  # noqa: N818 - not an error: somebody asked
    """Somebody asked the launcher to stop while it was waiting for something."""


@dataclass
class Part:
    """One long-running process.

    Attributes:
        name: what people call it.
        spawn: starts it as the leader of a group of its own.
        log: where its output goes.
        stop_signal: asks it to end.
        force_signal: ends it when it does not.
        patience: seconds between the two.
        before_restart: clears the way when it died.
        once: it may end by itself, and is not started again.
    """

    name: str
    spawn: Callable[[], "subprocess.Popen[bytes]"]
    log: Path
    stop_signal: signal.Signals = signal.SIGTERM
    force_signal: signal.Signals = signal.SIGKILL
    patience: float = 2.0
    before_restart: Callable[[], None] = lambda: None
    once: bool = False
    process: "subprocess.Popen[bytes] | None" = None
    log_begins: int = 0
    started: float = 0.0
    deaths: int = 0
    restart_at: float | None = None


def spawner(
    command: Sequence[str], *, environment: Mapping[str, str], folder: Path, log: Path
) -> Callable[[], "subprocess.Popen[bytes]"]:
    """Return what starts a command with its output in a log, in a session of its own."""

    def spawn() -> "subprocess.Popen[bytes]":
        with log.open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=processes.die_with_parent(signal.SIGTERM),  # noqa: PLW1509 - one system call
            )

    return spawn


class Supervisor:
    """The processes of one launcher.

    Args:
        instance: where the parts are recorded.
        tell: hears what happens.
        parent: stop when this process is no longer our parent.
    """

    def __init__(self, instance: Instance, tell: Say, *, parent: int | None = None) -> None:
        self.parts: list[Part] = []
        self._instance = instance
        self._tell = tell
        self._parent = parent
        self._requests = 0
        self._stop_begun = False
        self._wakeup, self._wakeup_end = os.pipe()
        for end in (self._wakeup, self._wakeup_end):
            os.set_blocking(end, False)

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take SIGTERM, SIGINT and SIGHUP as requests to stop; `nohup` keeps SIGHUP ignored."""
        before = {}
        for number in _STOP_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN or number is signal.SIGTERM:
                before[number] = signal.signal(number, self._request_stop)
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda *_: None)
        wakeup_before = signal.set_wakeup_fd(self._wakeup_end, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _request_stop(self, *_: object) -> None:
        self._requests += 1

    def pause(self, seconds: float) -> None:
        """Wait, or less when a signal comes.

        Raises:
            Stopping: we were asked to stop.
        """
        if not self._requests:
            select.select([self._wakeup], [], [], seconds)
            self._drain()
        if self._parent is not None and os.getppid() != self._parent:
            self._requests += 1
        if self._requests and not self._stop_begun:
            raise Stopping

    def _drain(self) -> None:
        try:
            while os.read(self._wakeup, 512):
                pass
        except BlockingIOError:
            return

    # ── start ────────────────────────────────────────────────────────────────────────────────────

    def launch(self, part: Part) -> None:
        """Start a part and keep it from now on."""
        self.parts.append(part)
        self._spawn(part)

    def _spawn(self, part: Part) -> None:
        part.log_begins = rotate(part.log)
        part.process = part.spawn()
        part.started = time.monotonic()
        part.restart_at = None
        identity = Identity.of(part.process.pid)
        if identity:
            self._instance.parts[part.name] = identity
            self._instance.save()

    def wait_until(self, check: Callable[[], bool], part: Part, patience: float) -> None:
        """Wait until `check` holds, which `part` is to bring about; no part may end meanwhile.

        Raises:
            CannotStart: a part ended, or the time is over; the text shows the end of its log.
        """
        deadline = time.monotonic() + patience
        while not check():
            for each in self.parts:
                if each.process and processes.reap(each.process):
                    raise CannotStart(
                        f"{each.name} ended at once: {_log_of(each.log, each.log_begins)}"
                    )
            if time.monotonic() > deadline:
                said = _log_of(part.log, part.log_begins)
                raise CannotStart(f"{part.name} is not ready after {patience:.0f} s: {said}")
            self.pause(0.05)

    def run(self, name: str, spawn: Callable[[], "subprocess.Popen[bytes]"], log: Path) -> None:
        """Run something to its end.

        Raises:
            CannotStart: it failed; the text shows the end of its log.
        """
        begins = rotate(log)
        process = spawn()
        try:
            while not processes.reap(process):
                self.pause(1)
        finally:
            if process.returncode is None:
                processes.signal_group(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            raise CannotStart(f"{name} failed: {_log_of(log, begins)}")

    # ── watch ────────────────────────────────────────────────────────────────────────────────────

    def watch(self) -> None:
        """Keep all parts running until somebody asks to stop.

        Raises:
            Stopping: somebody did.
        """
        while True:
            for part in self.parts:
                self._care_for(part)
            self.pause(0.5)

    def _care_for(self, part: Part) -> None:
        if part.process and processes.reap(part.process):
            self._bury(part)
        if part.restart_at is None or time.monotonic() < part.restart_at:
            return
        try:
            part.before_restart()
            self._spawn(part)
        except (CannotStart, OSError) as error:
            part.deaths += 1
            part.restart_at = time.monotonic() + _pause_after(part.deaths)
            self._tell(f"  ✗ {part.name} cannot be started again: {error}")
        else:
            self._tell(f"  ✓ {part.name} runs again")

    def _bury(self, part: Part) -> None:
        process, part.process = part.process, None
        if process is None:
            return
        if part.once:
            if process.returncode:
                self._tell(f"  ✗ {part.name} {_how_it_ended(process.returncode)}")
            return
        lived = time.monotonic() - part.started
        part.deaths = 1 if lived > STABLE_AFTER else part.deaths + 1
        pause = _pause_after(part.deaths)
        part.restart_at = time.monotonic() + pause
        when = f"in {pause:.0f} s" if pause else "now"
        how = _how_it_ended(process.returncode)
        self._tell(f"  ✗ {part.name} {how}: starting it again {when} (log: {part.log})")
        if process.returncode > 0 and part.deaths == 1:  # it has something to say
            self._tell(tail(part.log, part.log_begins))

    # ── stop ─────────────────────────────────────────────────────────────────────────────────────

    def stop_all(self, order: Sequence[Sequence[str]]) -> None:
        """End the parts, one group after the other, each part within its patience.

        The parts of a group are asked together. Asked to stop once more, it hurries.
        """
        self._stop_begun = True
        requests_before = self._requests
        self._instance.stopping = True
        self._instance.save()
        by_name = {part.name: part for part in self.parts}
        for names in order:
            asked = time.monotonic()
            running = [
                (part, part.process)
                for part in (by_name[name] for name in names if name in by_name)
                if part.process and not processes.reap(part.process)
            ]
            for part, process in running:
                process.send_signal(part.stop_signal)
            for part, process in running:
                self._see_off(part, process, asked, requests_before)

    def _see_off(
        self, part: Part, process: "subprocess.Popen[bytes]", asked: float, requests_before: int
    ) -> None:
        while not processes.reap(process):
            hurried = self._requests > max(requests_before, 1)
            if time.monotonic() - asked > (_HURRIED_PATIENCE if hurried else part.patience):
                self._force(part, process)
                break
            self.pause(0.1)
        self._tell(f"  ✓ {part.name} stopped ({time.monotonic() - asked:.1f} s)")

    def _force(self, part: Part, process: "subprocess.Popen[bytes]") -> None:
        for number in (part.force_signal, signal.SIGKILL):
            processes.signal_group(process.pid, number)
            deadline = time.monotonic() + _FORCE_PATIENCE
            while time.monotonic() < deadline:
                if processes.reap(process):
                    return
                time.sleep(0.02)


def _pause_after(deaths: int) -> float:
    """Return 0, 1, 2, 4 … seconds: a first death may be an accident."""
    return 0.0 if deaths <= 1 else min(2.0 ** (deaths - 2), LONGEST_PAUSE)


def _how_it_ended(code: int) -> str:
    if code < 0:
        return f"was killed by {signal.Signals(-code).name}"
    return f"ended with code {code}"


def _log_of(log: Path, begins: int) -> str:
    return f"the end of {log}:\n{tail(log, begins)}"
