"""`python -m bench.faults.outage`: PostgreSQL is killed under load, and is away for ten seconds.

One gateway process, callers for JSON and streams who never stop asking. It fails if a call reached
Mistral while there was no ledger, if a refusal was slow or unlike what is documented, if calls do
not go on soon afterwards, or if the ledger is not exact.
"""

import argparse
import os
import signal
import time

from bench.faults.ground import judge
from bench.faults.play import Mistral, Scene, balance, scene

_BESIDE = 4.0  # seconds of load before and after
#: What was sent just before is still under way.
_GRACE = 1.0
_SLOWEST_REFUSAL = 6.0
_LONGEST_PAUSE = 8.0


def kill_postgres(played: Scene) -> None:
    """Kill the whole of it, as the kernel does when memory is short."""
    postgres = played.postgres
    assert postgres.process is not None
    os.killpg(postgres.process.pid, signal.SIGKILL)
    postgres.process.wait()
    postgres.stop()


def _play(played: Scene, away: float) -> list[str]:
    """Run the scenes; tell what was wrong."""
    played.wait(_BESIDE)
    played.load.phase = "away"
    kill_postgres(played)
    killed = time.monotonic()
    time.sleep(_GRACE)
    reached = Mistral.reached
    time.sleep(max(away - (time.monotonic() - killed), 0))
    leaked = Mistral.reached - reached
    played.postgres.start()
    print(f"PostgreSQL was away for {time.monotonic() - killed:.1f} s")
    pause = played.resumes("after")
    print(f"the first call got through {pause:.1f} s after it was back")
    played.wait(_BESIDE)
    return [
        *([f"{leaked} calls reached Mistral without a ledger"] if leaked else []),
        *(["calls went on late"] if pause > _LONGEST_PAUSE else []),
    ]


def main() -> None:
    """Play it, print, and judge."""
    parser = argparse.ArgumentParser(prog="bench.faults.outage", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="without PostgreSQL")
    arguments = parser.parse_args()
    with scene() as played:
        faults = _play(played, arguments.seconds)
        played.end_load()
        faults += balance(played)
    load = played.load
    load.tell()
    if load.slowest("away") > _SLOWEST_REFUSAL or load.unlike:
        faults.append(f"refusals were slow, or not as documented: {load.unlike[:1]}")
    faults += load.surprises()
    judge(faults)


if __name__ == "__main__":
    main()
