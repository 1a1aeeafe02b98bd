"""What the launcher says at the console; it prints no secret and survives a closed terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

LOG_BYTES = 5_000_000
TAIL_LINES = 20

Say = Callable[[str], None]


class CannotStart(Exception):  # noqa: N818 - reads as the sentence it is printed as
    """Why the service cannot run and what to do; its text is for the console."""


def say(line: str = "") -> None:
    """Print one line at once; a terminal that is gone is no reason to stop serving."""
    try:
        print(line, flush=True)
    except OSError:
        sys.stdout = sys.__stderr__  # the next lines go where they may still be read


@contextmanager
def step(words: str, tell: Say = say) -> Iterator[None]:
    """Print `words` with a tick and the seconds it took, or a cross when it fails."""
    started = time.monotonic()
    try:
        yield
    except BaseException:
        tell(f"  ✗ {words}")
        raise
    tell(f"  ✓ {words} ({time.monotonic() - started:.1f} s)")


def rotate(path: Path, limit: int = LOG_BYTES) -> int:
    """Keep a log and one predecessor, each about `limit` bytes, when a part starts.

    Returns:
        Where in the log the part's own lines will begin.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > limit:
        path.replace(path.with_suffix(path.suffix + ".1"))
    return path.stat().st_size if path.exists() else 0


def tail(path: Path, begins: int = 0, lines: int = TAIL_LINES) -> str:
    """Return the last lines of a log, indented, or a word that there are none.

    Args:
        path: of the log.
        begins: where the lines of this run do: what stands before them was said by an earlier one.
        lines: how many at most.
    """
    try:
        with path.open("rb") as log:
            log.seek(max(begins, path.stat().st_size - 200 * lines))
            text = log.read().decode("utf-8", "replace")
    except OSError as error:
        return f"    (no log: {error})"
    last = text.splitlines()[-lines:]
    return "\n".join(f"    {line}" for line in last) or "    (the log is empty)"
