"""`python -m bench.faults.failover`: PostgreSQL is killed under load and its standby takes over.

Clients find the one that takes writes by `host=a,b` and `target_session_attrs=read-write`. Played
with synchronous replication, where nothing that was confirmed may be lost, and with asynchronous
replication, where it tells how much was: what the standby had not received yet.
"""

import argparse
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import urlsplit, urlunsplit

import psycopg

from aisuru_mistral.launcher import provision
from aisuru_mistral.launcher.postgres import EmbeddedPostgres, program
from bench.faults.ground import judge
from bench.faults.outage import kill_postgres
from bench.faults.play import Mistral, Scene, balance, scene, until
from bench.stage import Stage

_BESIDE = 4.0
_LAG = 2.0


@contextmanager
def standby_of(primary: EmbeddedPostgres) -> Iterator[EmbeddedPostgres]:
    """Copy a running server, and have the copy follow it."""
    data_dir = primary.data_dir.with_name("standby")
    command = [
        str(program("pg_basebackup")),
        "-D",
        str(data_dir),
        "-R",
        "-X",
        "stream",
        "-c",
        "fast",
    ]
    subprocess.run(
        [*command, "-h", str(primary.socket_dir), "-U", "postgres"],
        env={"PATH": os.defpath, "PGPASSWORD": primary.password},
        check=True,
        capture_output=True,
    )
    owner = primary.data_dir.stat()
    for path in (data_dir, *data_dir.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
    standby = EmbeddedPostgres(data_dir, tell=lambda _line: None)
    standby.start()
    try:
        yield standby
    finally:
        standby.stop()
        shutil.rmtree(data_dir, ignore_errors=True)


def both(url: str, *servers: EmbeddedPostgres) -> str:
    """Address several servers at once: whoever takes writes."""
    hosts = ",".join(str(server.socket_dir) for server in servers)
    query = f"host={hosts}&target_session_attrs=read-write"
    return urlunsplit(urlsplit(url)._replace(query=query))


def _replicate(primary: EmbeddedPostgres, *, synchronous: bool) -> None:
    with psycopg.connect(primary.superuser_url(), autocommit=True) as superuser:
        if synchronous:
            superuser.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            superuser.execute("SELECT pg_reload_conf()")
        wanted = "sync" if synchronous else "async"

        def follows() -> bool:
            found = superuser.execute("SELECT sync_state FROM pg_stat_replication").fetchall()
            return (wanted,) in found

        until(follows, f"the standby does not follow ({wanted})")


def _promote(standby: EmbeddedPostgres) -> None:
    with psycopg.connect(standby.superuser_url(), autocommit=True) as superuser:
        superuser.execute("SELECT pg_promote()")


def _cut_line(played: Scene, standby: EmbeddedPostgres) -> None:
    """Have the standby fall behind: it hears nothing of its primary any more."""
    with psycopg.connect(standby.superuser_url(), autocommit=True) as superuser:
        superuser.execute("ALTER SYSTEM SET primary_conninfo = ''")
        superuser.execute("SELECT pg_reload_conf()")
    played.wait(_LAG, "behind")


def _play(played: Scene, standby: EmbeddedPostgres, *, synchronous: bool) -> list[str]:
    played.wait(_BESIDE)
    if not synchronous:
        _cut_line(played, standby)
    played.load.phase = "away"
    began = time.monotonic()
    kill_postgres(played)
    time.sleep(1)
    reached = Mistral.reached
    time.sleep(2)
    leaked = Mistral.reached - reached
    _promote(standby)
    print(f"promoted {time.monotonic() - began:.1f} s after the primary was killed")
    pause = played.resumes("after")
    print(f"the first call got through {pause:.1f} s later")
    played.wait(_BESIDE)
    return [f"{leaked} calls reached Mistral without a ledger"] if leaked else []


def _lost(played: Scene, owner_url: str) -> list[str]:
    """Say what the standby never heard of; only that may be missing."""
    with psycopg.connect(owner_url, autocommit=True) as owner:
        found = owner.execute(
            "SELECT (SELECT count(*) FROM spend_usageevent WHERE outcome = 'completed'),"
            " (SELECT count(*) FROM spend_hold)"
        ).fetchone()
    assert found is not None
    events, holds = found
    behind = played.load.count("200", "behind")
    missing = Mistral.reached - events
    print(
        f"asynchronous: the standby was {_LAG:.0f} s behind, and {behind:,} calls were answered;"
        f" {missing:,} events are missing, {holds:,} of them are held and become estimates"
    )
    return ["more is missing than the standby was behind"] if missing > behind + 50 else []


def main() -> None:
    """Play it, print, and judge."""
    parser = argparse.ArgumentParser(prog="bench.faults.failover", description=__doc__)
    parser.add_argument("--asynchronous", action="store_true")
    arguments = parser.parse_args()
    synchronous = not arguments.asynchronous
    with ExitStack() as stack:
        standbys: list[EmbeddedPostgres] = []

        def change(set_up: Stage) -> dict[str, str]:
            standbys.append(stack.enter_context(standby_of(set_up.postgres)))
            _replicate(set_up.postgres, synchronous=synchronous)
            url = both(set_up.environment["DATABASE_URL"], set_up.postgres, standbys[0])
            return {"DATABASE_URL": url}

        with scene(change=change) as played:
            standby = standbys[0]
            faults = _play(played, standby, synchronous=synchronous)
            played.end_load()
            owner_url = provision.with_database(standby.owner_url(), "bench")
            faults += balance(played, owner_url) if synchronous else _lost(played, owner_url)
    played.load.tell()
    faults += played.load.surprises()
    judge(faults, *([] if synchronous else ["nothing lost but what the standby never heard of"]))


if __name__ == "__main__":
    main()
