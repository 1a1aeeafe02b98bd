"""`python -m bench.faults.kills`: web processes are killed under load, again and again.

Two gateways of two processes each, before one ledger. Their supervisors start new ones. What a
process had not settled becomes an estimate, once; nothing that was answered is missing.
"""

import argparse
import random
import time
from contextlib import suppress
from datetime import timedelta

import psutil

from bench.faults.ground import judge
from bench.faults.play import Scene, balance, scene, until
from bench.servers import Server

_KILLS = 4
#: granian ends altogether where it sees a loop of crashes; the orchestrator, here we, starts it.
_BETWEEN = 8.0


def _kill_one(played: Scene) -> None:
    server = random.choice(played.servers)
    serving = _serving(server)
    victim = random.choice(serving)
    victim.kill()

    def is_whole() -> bool:
        return not server.is_running or len(_serving(server)) >= len(serving)

    until(lambda: victim not in _serving(server), "the process did not end")
    until(is_whole, "no new process was started")
    time.sleep(_BETWEEN)
    if not server.is_running:
        print(f"{server.name} has ended altogether, and is started anew")
        server.__enter__()


def _serving(server: Server) -> list[psutil.Process]:
    """Find its processes that serve, without the one that keeps track of resources."""
    found: list[psutil.Process] = []
    for child in server.children if server.is_running else ():
        with suppress(psutil.Error):
            if child.status() != psutil.STATUS_ZOMBIE and "resource_tracker" not in str(
                child.cmdline()
            ):
                found.append(child)
    return found


def main() -> None:
    """Play it, print, and judge."""
    argparse.ArgumentParser(prog="bench.faults.kills", description=__doc__).parse_args()
    with scene(gateways=2, workers=2, callers=24) as played:
        played.wait(2)
        for number in range(1, _KILLS + 1):
            played.load.phase = f"kill {number}"
            _kill_one(played)
        played.wait(2, "after")
        played.end_load()
        from tenants.spend import recovery  # noqa: PLC0415 - Django is set up by the stage

        recovered = recovery.recover_orphans(grace=timedelta())
        print(f"{_KILLS} processes killed; the last recovery found {recovered} holds")
        faults = balance(played, may_estimate=True)
    played.load.tell()
    faults += played.load.surprises(may_break=True)
    if played.load.count("no connection", "after") or played.load.count("broken off", "after"):
        faults.append("connections break after the last kill")
    judge(faults)


if __name__ == "__main__":
    main()
