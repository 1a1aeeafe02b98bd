"""One launcher per DATA_DIR: the lock that says so, and the record of what it runs.

The record lets the next start find what a killed launcher left behind. It is a hint: every process
in it is checked before it is touched.
"""

import fcntl
import json
import os
import signal
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

from aisuru_mistral.launcher import processes
from aisuru_mistral.launcher.console import CannotStart, Say
from aisuru_mistral.launcher.private_files import write_private
from aisuru_mistral.launcher.processes import Identity

# A launcher whose `make` was killed notices within this time and begins to stop.
_PATIENCE_WITH_A_RUNNING_ONE = 1.5
_PATIENCE_WITH_A_STOPPING_ONE = 20.0


@dataclass
class Instance:
    """This launcher, as others may read it from DATA_DIR/launcher.json."""

    data_dir: Path
    address: str = "an address that is not known yet"
    pid: int = field(default_factory=os.getpid)
    stopping: bool = False
    parts: dict[str, Identity] = field(default_factory=dict)
    _lock: IO[bytes] | None = None

    @property
    def _record(self) -> Path:
        return self.data_dir / "launcher.json"

    def take(self, tell: Say) -> None:
        """Become the launcher of this DATA_DIR, once an earlier one that is stopping has gone.

        Raises:
            CannotStart: another one runs; the text says where.
        """
        self._lock = (self.data_dir / "launcher.lock").open("ab")
        started, told = time.monotonic(), False
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                other = self._read()
                waited = time.monotonic() - started
                if waited > (
                    _PATIENCE_WITH_A_STOPPING_ONE
                    if other.get("stopping")
                    else _PATIENCE_WITH_A_RUNNING_ONE
                ):
                    self._lock.close()
                    raise CannotStart(_describe(other, self.data_dir)) from None
                if other.get("stopping") and not told:
                    told = True
                    tell("  … an earlier start is still stopping")
                time.sleep(0.1)
        self._end_leftovers(tell)
        self.save()

    def describe(self, address: str) -> None:
        """Say where this launcher serves."""
        self.address = address
        self.save()

    def save(self) -> None:
        """Write the record."""
        facts = {
            "pid": self.pid,
            "address": self.address,
            "stopping": self.stopping,
            "parts": {name: asdict(identity) for name, identity in self.parts.items()},
        }
        write_private(self._record, json.dumps(facts))

    def release(self) -> None:
        """Let the next launcher in."""
        self._record.unlink(missing_ok=True)
        if self._lock:
            self._lock.close()

    def _read(self) -> dict[str, Any]:
        try:
            facts = json.loads(self._record.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return facts if isinstance(facts, dict) else {}

    def _end_leftovers(self, tell: Say) -> None:
        """End the parts of a launcher that was killed; PostgreSQL clears up after itself."""
        found: list[psutil.Process] = []
        names = []
        for name, facts in self._read().get("parts", {}).items():
            if name == "postgres":
                continue
            leftovers = processes.group_leftovers(Identity(**facts), self.data_dir)
            if leftovers:
                names.append(name)
                found += leftovers
        if not found:
            return
        tell(f"  … ending what an earlier start left behind: {', '.join(names)}")
        stubborn = processes.end(found, (signal.SIGTERM, 3), (signal.SIGKILL, 5))
        if stubborn:
            numbers = ", ".join(str(process.pid) for process in stubborn)
            raise CannotStart(f"processes of an earlier start do not end: {numbers}")


def _describe(other: dict[str, Any], data_dir: Path) -> str:
    if not other:
        return f"another start is using {data_dir}"
    return (
        f"already running from {data_dir}: process {other.get('pid')} on {other.get('address')}"
        f" (stop it with: kill {other.get('pid')})"
    )
