"""`python -m bench.faults.connections`: others take every connection that PostgreSQL gives.

First a gateway works on over the connections it has; then those are ended, so that it needs new
ones and gets none; a gateway that starts meanwhile has none at all.
"""

import argparse
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import orjson
import psycopg

from aisuru_mistral.launcher.postgres import EmbeddedPostgres
from bench.faults.ground import judge
from bench.faults.play import APPLICATION, Mistral, Scene, balance, scene
from bench.servers import ROOT, Server
from bench.stage import Stage

_MOST = 40
_EXHAUSTED = 5.0
_ROUNDS = 200
_END = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'aim_bench_app'"


def _small(data_dir: Path) -> EmbeddedPostgres:
    return EmbeddedPostgres(data_dir, connections=_MOST, tell=lambda _line: None)


def _take_all(url: str, stack: ExitStack) -> int:
    """Take what is left, until PostgreSQL gives no more; tell how many that were."""
    taken = 0
    with suppress(psycopg.OperationalError):
        while True:
            stack.enter_context(psycopg.connect(url, autocommit=True))
            taken += 1
    return taken


def _take_theirs(played: Scene, stack: ExitStack) -> int:
    """End the connections of the service, and take each place before it can; tell how many."""
    taken = 0
    with psycopg.connect(played.postgres.superuser_url(), autocommit=True) as superuser:
        for _ in range(_ROUNDS):
            if not superuser.execute(_END).fetchall():
                return taken
            taken += _take_all(played.set_up.owner_url, stack)
    raise SystemExit("the service was quicker each time")


def _statuses(port: int, token: str) -> list[str]:
    """Ask the management API and readiness, which need a connection, how they are."""
    told = []
    for path, headers in (
        ("/health/ready", {}),
        ("/health/live", {}),
        ("/api/v1/organizations", {"authorization": f"Bearer {token}"}),
    ):
        answer = httpx.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=30)
        code = answer.json().get("code", answer.json().get("status"))
        told.append(f"{path} {answer.status_code} {code}")
    return told


def _platform_token(set_up: Stage) -> str:
    made = subprocess.run(
        [sys.executable, "manage.py", "create_token", "--platform", "--name", "bench"],
        cwd=ROOT,
        env=set_up.environment,
        capture_output=True,
        check=True,
    )
    token: str = orjson.loads(made.stdout)["token"]
    return token


def _play(played: Scene) -> list[str]:
    faults = []
    token = _platform_token(played.set_up)
    played.wait(2)
    server = played.servers[0]
    with ExitStack() as hogs:
        played.load.phase = "others took the rest"
        taken = _take_all(played.set_up.owner_url, hogs)
        time.sleep(_EXHAUSTED)
        played.load.phase = "exhausted"
        taken += _take_theirs(played, hogs)
        print(f"others took {taken} of {_MOST} connections")
        time.sleep(1)
        reached = Mistral.reached
        told = _statuses(server.port, token)
        print("meanwhile:", *told, sep="\n  ")
        if any(" 500 " in line for line in told):
            faults.append("an answer is not defined")
        with Server.granian("late", APPLICATION, played.set_up.environment) as late:
            told = _statuses(late.port, token)
            print("one that started meanwhile:", *told, sep="\n  ")
        time.sleep(_EXHAUSTED)
        if Mistral.reached != reached:
            faults.append("calls reached Mistral without a ledger")
    print(f"the first call got through {played.resumes('after'):.1f} s after they let go")
    played.wait(2)
    told = _statuses(server.port, token)
    print("after:", *told, sep="\n  ")
    return faults


def main() -> None:
    """Play it, print, and judge."""
    argparse.ArgumentParser(prog="bench.faults.connections", description=__doc__).parse_args()
    with scene(make_postgres=_small) as played:
        faults = _play(played)
        played.end_load()
        faults += balance(played)
    played.load.tell()
    faults += played.load.surprises()
    judge(faults)


if __name__ == "__main__":
    main()
