"""`python -m bench.faults.full_disk`: the disk of PostgreSQL and of the service is full.

Both lie on one small disk. It is filled to the last byte under load; then PostgreSQL is made to
need its next WAL segment, which ends it, and it cannot come back until there is room. The doctor is
asked meanwhile. A supervisor, as every deployment has one, starts PostgreSQL again and again.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import closing, suppress
from pathlib import Path

import psycopg

from aisuru_mistral.launcher.console import CannotStart
from bench.faults import ground
from bench.faults.play import APPLICATION, Mistral, Scene, balance, scene, until
from bench.servers import ROOT, Server

_MEGABYTES = 700
_FULL = 6.0
_SEGMENTS = 200


def _doctor(played: Scene) -> list[str]:
    """Ask the doctor; give what it finds wrong."""
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"],
        cwd=ROOT,
        env=played.set_up.environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = [line.strip() for line in done.stdout.splitlines()]
    return [line for line in lines if " disk" in line or "database" in line.split(":")[0]]


def _end_postgres(played: Scene, superuser: psycopg.Connection) -> bool:
    """Have it need new WAL segments until it cannot make one; tell whether that ended it."""
    process = played.postgres.process
    assert process is not None
    with suppress(psycopg.Error), closing(superuser):
        for _ in range(_SEGMENTS):
            superuser.execute("SELECT pg_logical_emit_message(false, 'full', repeat('x', 1000))")
            superuser.execute("SELECT pg_switch_wal()")
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    return process.poll() is not None


def _starts(played: Scene) -> bool:
    try:
        played.postgres.start(patience=20)
    except CannotStart:
        return False
    return True


def _play(played: Scene, disk: Path) -> list[str]:
    faults = []
    ballast = ground.Ballast(disk)
    # Before the disk is full: a session may have to write a file to begin.
    superuser = psycopg.connect(played.postgres.superuser_url(), autocommit=True)
    played.wait(3)
    played.load.phase = "full"
    ballast.load()
    end = time.monotonic() + _FULL
    while time.monotonic() < end:
        ballast.load()
        time.sleep(0.2)
    late = {**played.set_up.environment, "PROMETHEUS_MULTIPROC_DIR": str(disk / "stage/metrics")}
    with Server.granian("a gateway on a full disk", APPLICATION, late) as server:
        played.load.ports.append(server.port)
        print(f"a gateway that starts meanwhile: {server.seconds_to_start:.1f} s")
        time.sleep(2)
        played.load.ports.pop()
        played.wait(2)
    said = _doctor(played)
    print("the doctor, disk full:", *said, sep="\n  ")
    if not any("disk: DATA_DIR" in line and "takes no file" in line for line in said):
        faults.append("the doctor does not say that the disk is full")

    played.load.phase = "ended"
    if not _end_postgres(played, superuser):
        faults.append("PostgreSQL did not end")
    played.postgres.stop()
    ballast.load()
    reached = Mistral.reached
    refused = sum(not _starts(played) for _ in range(2))
    print(f"PostgreSQL ended; started {refused} times in vain while there was no room")
    said = _doctor(played)
    print("the doctor, PostgreSQL gone:", *said, sep="\n  ")
    if not any("disk: DATA_DIR" in line and "takes no file" in line for line in said):
        faults.append("the doctor does not say why PostgreSQL is gone")
    if Mistral.reached != reached:
        faults.append("calls reached Mistral without a ledger")

    ballast.throw()
    until(lambda: _starts(played), "PostgreSQL does not start with room on its disk")
    print(f"the first call got through {played.resumes('after'):.1f} s after it was back")
    played.wait(3)
    return faults


def main() -> None:
    """Play it, print, and judge."""
    argparse.ArgumentParser(prog="bench.faults.full_disk", description=__doc__).parse_args()
    ground.own_mounts()
    with tempfile.TemporaryDirectory(prefix="aim-disk-") as folder:
        disk = Path(folder) / "disk"
        with ground.small_disk(disk, _MEGABYTES):
            metrics = disk / "stage" / "metrics"
            environment = {"PROMETHEUS_MULTIPROC_DIR": str(metrics)}

            def change(_stage: object) -> dict[str, str]:
                metrics.mkdir()
                return environment

            with scene(folder=disk / "stage", change=change) as played:
                faults = _play(played, disk)
                played.end_load()
                faults += balance(played)
    played.load.tell()
    faults += played.load.surprises()
    ground.judge(faults)


if __name__ == "__main__":
    main()
