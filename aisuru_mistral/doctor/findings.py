"""What the doctor says: one sentence about one thing, and what to do about it."""

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """``fail`` means that something does not work, ``warn`` that it works and should not stay."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at.

    Attributes:
        code: what was looked at, the same in every version; for monitoring.
        said: what was found, without a secret.
        remedy: what to do; empty where all is well.
    """

    state: State
    code: str
    said: str
    remedy: str = ""


type Look = Callable[[], Iterable[Finding]]


def ok(code: str, said: str) -> Finding:
    """All is well."""
    return Finding(State.OK, code, said)


def warn(code: str, said: str, remedy: str) -> Finding:
    """It works, and should not stay like this."""
    return Finding(State.WARN, code, said, remedy)


def fail(code: str, said: str, remedy: str) -> Finding:
    """It does not work, or is not safe."""
    return Finding(State.FAIL, code, said, remedy)


@contextmanager
def unheard(*loggers: str) -> Iterator[None]:
    """Keep from the log, for a while, what is told as a finding."""
    before = {name: logging.getLogger(name).level for name in loggers}
    for name in loggers:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def examine(looks: dict[str, Look]) -> Iterator[Finding]:
    """Take every look; what breaks off is told under the look's own name.

    Only the kind of an unexpected error is told: its text may quote an address with a password.
    """
    for code, look in looks.items():
        try:
            yield from look()
        except Exception as error:  # noqa: BLE001 - a doctor does not fall ill with the patient
            yield fail(code, f"cannot be looked at ({type(error).__name__})", "see the log")
