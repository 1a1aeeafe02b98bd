"""`python -m bench.faults.restarts`: PostgreSQL is restarted under load, in each of its three ways.

A smart stop waits for clients that never leave: while it waits, calls go on over the connections
that are there. So it is followed by a fast one, as an operator would.
"""

import argparse
import signal
import subprocess
import time

from bench.faults.ground import judge
from bench.faults.play import Scene, balance, scene

_BESIDE = 2.0
_SMART_PATIENCE = 3.0


def _restart(played: Scene, mode: str, number: signal.Signals) -> str | None:
    """Stop and start it; tell a fault."""
    process = played.postgres.process
    assert process is not None
    played.load.phase = mode
    began = time.monotonic()
    process.send_signal(number)
    if mode == "smart":
        try:
            process.wait(_SMART_PATIENCE)
        except subprocess.TimeoutExpired:
            print(f"smart: waits for its clients; {played.load.count('200', mode)} calls meanwhile")
            process.send_signal(signal.SIGINT)
    process.wait(30)
    played.postgres.stop()
    played.postgres.start()
    away = time.monotonic() - began
    pause = played.resumes(f"after {mode}")
    print(f"{mode}: {away:.1f} s until it was back; the first call {pause:.1f} s later")
    played.wait(_BESIDE)
    return f"calls went on late after a {mode} stop" if pause > 8 else None


def main() -> None:
    """Play it, print, and judge."""
    argparse.ArgumentParser(prog="bench.faults.restarts", description=__doc__).parse_args()
    with scene() as played:
        played.wait(_BESIDE)
        told = [
            _restart(played, "smart", signal.SIGTERM),
            _restart(played, "fast", signal.SIGINT),
            _restart(played, "immediate", signal.SIGQUIT),
        ]
        played.end_load()
        faults = [fault for fault in told if fault] + balance(played)
    played.load.tell()
    faults += played.load.surprises()
    judge(faults)


if __name__ == "__main__":
    main()
