"""What a fault needs of the machine: namespaces and mounts of this process alone, and a way out.

Namespaces end with the processes in them, so nothing stays behind, not even after a kill -9.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Never

SKIPPED = 77  # as automake's test drivers have it


def skip(reason: str) -> Never:
    """End: this machine does not allow what is to be played."""
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def judge(faults: list[str], otherwise: str = "nothing unmetered, nothing lost") -> Never:
    """Print the verdict and end with it."""
    print("; ".join(faults) or otherwise)
    sys.exit(bool(faults))


def own_mounts() -> None:
    """Have mounts that nobody else sees; before the first thread starts."""
    try:
        os.unshare(os.CLONE_NEWNS)
        run("mount", "--make-rprivate", "/")
    except OSError as error:
        skip(f"no mounts of our own here ({error.strerror})")


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mount so much memory as a disk."""
    folder.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder))
    try:
        yield
    finally:
        run("umount", "--lazy", str(folder))


class Ballast:
    """A file that takes all the room a disk has left, until it is thrown off."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ballast"

    def load(self) -> None:
        """Take what is free; again if something was freed since."""
        with self._path.open("ab", buffering=0) as file:
            for size in (2**20, 4096):
                try:
                    while file.write(bytes(size)):
                        pass
                except OSError:
                    continue

    def throw(self) -> None:
        """Give the room back."""
        self._path.unlink(missing_ok=True)


def run(*command: str) -> str:
    """Run a program of the system; return what it prints.

    Raises:
        OSError: there is none, or it failed; with what it said.
    """
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(done.returncode, f"{command[0]}: {done.stderr.strip()}")
    return done.stdout
