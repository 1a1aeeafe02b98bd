"""The launcher's processes: who they are, that they do not outlive it, how leftovers are ended.

It never signals a process that it cannot prove to be its own: process numbers are used again.
"""

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# The create time is derived from the boot time, which moves a little when the clock is set.
_SAME_MOMENT = 2.0
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Identity:
    """One process, told apart from a later one with the same number by when it was created."""

    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Return the identity of a running process, or None."""
        try:
            return cls(pid, psutil.Process(pid).create_time())
        except psutil.Error:
            return None

    def is_alive(self) -> bool:
        """Tell whether this very process still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < _SAME_MOMENT
            return same and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False


def die_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return a `preexec_fn` that has Linux send `number` to the child when the launcher is killed.

    The thread that forks counts as the parent. Elsewhere than on Linux there is no such thing: the
    next start finds the leftovers.
    """
    if _libc is None:
        return None
    libc, parent = _libc, os.getpid()

    def before_exec() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return before_exec


def signal_group(leader: int, number: signal.Signals) -> None:
    """Signal a whole process group of ours; one that is gone is no error."""
    try:
        os.killpg(leader, number)
    except (ProcessLookupError, PermissionError):
        return


def reap(process: "subprocess.Popen[bytes]") -> bool:
    """Return whether a child has ended; whatever it started in its group is ended with it.

    The group is signalled before the leader is reaped, while no other process can have its number.
    """
    if process.returncode is None and sys.platform == "linux":
        if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            return False
        signal_group(process.pid, signal.SIGKILL)
    return process.poll() is not None


def group_leftovers(leader: Identity, data_dir: Path) -> list[psutil.Process]:
    """Return what still runs of a part that an earlier launcher started for this DATA_DIR.

    Members outlive a killed leader, and an emptied group's number may be another's by now: a member
    counts only when it is the recorded leader itself or carries our DATA_DIR in its environment.
    """
    return [process for process in _processes() if _belongs(process, leader, data_dir)]


def _belongs(process: psutil.Process, leader: Identity, data_dir: Path) -> bool:
    try:
        if os.getpgid(process.pid) != leader.pid:
            return False
        if process.pid == leader.pid:
            return leader.is_alive()
        if process.create_time() < leader.created - _SAME_MOMENT:
            return False
        return process.environ().get("DATA_DIR") == str(data_dir)
    except (OSError, psutil.Error):
        return False


def postgres_leftovers(data_dir: Path) -> list[psutil.Process]:
    """Return the PostgreSQL processes, backends too, that work in this data directory."""
    return [process for process in _processes() if _works_in(process, data_dir)]


def _works_in(process: psutil.Process, data_dir: Path) -> bool:
    try:
        return process.name().startswith("postgres") and Path(process.cwd()) == data_dir
    except (OSError, psutil.Error):
        return False


def _processes() -> Iterator[psutil.Process]:
    own = os.getpid()
    return (process for process in psutil.process_iter() if process.pid != own)


def end(
    processes: Sequence[psutil.Process], *steps: tuple[signal.Signals, float]
) -> list[psutil.Process]:
    """Send each signal in turn, waiting its seconds in between; return what survived them all."""
    alive = list(processes)
    for number, patience in steps:
        for process in alive:
            try:
                process.send_signal(number)
            except psutil.Error:
                continue
        _, alive = psutil.wait_procs(alive, timeout=patience)
        if not alive:
            break
    return alive
