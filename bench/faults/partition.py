"""`python -m bench.faults.partition`: packets between the service and its neighbours are swallowed.

Web to PostgreSQL, web to Redis, web to Mistral, worker to broker; each for a while, then healed.
While the way to PostgreSQL is cut its connections are ended there too, as a failover does, so that
nothing comes back by itself.
"""

import argparse
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg
import redis

from aisuru_mistral.launcher.postgres import EmbeddedPostgres
from bench.faults import ground
from bench.faults.network import BROKER, MISTRAL, POSTGRES, REDIS, Network, network
from bench.faults.play import Mistral, Scene, balance, scene, until
from bench.faults.workers import is_heard, work
from bench.servers import free_port
from bench.stage import Stage

_CUT = 15.0
_BESIDE = 3.0
_SLOWEST = 8.0


class _Reachable(EmbeddedPostgres):
    """Listens on its address, and lets in whoever has a password."""

    def prepare(self) -> None:
        """Allow the network of the service."""
        super().prepare()
        with (self.data_dir / "pg_hba.conf").open("a", encoding="ascii") as rules:
            rules.write("host all all 10.99.0.0/16 scram-sha-256\n")


def _postgres(data_dir: Path) -> EmbeddedPostgres:
    settings = {"listen_addresses": POSTGRES, "port": "5432"}
    return _Reachable(data_dir, settings=settings, tell=lambda _line: None)


@contextmanager
def _redis() -> Iterator[int]:
    program, port = shutil.which("redis-server"), free_port()
    if program is None:
        ground.skip("no redis-server on this machine")
    options = ("--port", str(port), "--bind", REDIS, BROKER, "--save", "", "--protected-mode", "no")
    process = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(host=REDIS, port=port) as client:
            until(lambda: _pings(client), "Redis did not start")
        yield port
    finally:
        process.kill()
        process.wait()


def _pings(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def _away_from(played: Scene, where: Network, name: str, address: str) -> float:
    """Swallow for a while; give the seconds until calls got through afterwards."""
    with where.swallowing(address):
        played.wait(_CUT, f"no {name}")
        if address == POSTGRES:
            with psycopg.connect(played.postgres.superuser_url(), autocommit=True) as superuser:
                superuser.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'aim_bench_app'"
                )
    pause = played.resumes(f"{name} again")
    print(f"{name}: swallowed for {_CUT:.0f} s; the first call {pause:.1f} s after it was healed")
    played.wait(_BESIDE)
    return pause


def _play(played: Scene, where: Network) -> list[str]:
    faults = []
    played.wait(_BESIDE)
    reached = Mistral.reached
    for name, address in (("PostgreSQL", POSTGRES), ("Redis", REDIS), ("Mistral", MISTRAL)):
        pause = _away_from(played, where, name, address)
        # A packet to Mistral that was swallowed is sent again by TCP, after pauses that double.
        if pause > (_CUT if name == "Mistral" else _SLOWEST):
            faults.append(f"calls went on late after {name} was away")
        load = played.load
        if name == "PostgreSQL" and load.count("200", "no PostgreSQL") > 3 * load.callers:
            faults.append("calls were answered without a ledger")
        if name == "Redis" and not load.count("200", "no Redis"):
            faults.append("calls were refused without Redis")
    assert Mistral.reached > reached

    until(lambda: is_heard(played, 60), "the worker did not work at all")
    began = time.monotonic()
    with where.swallowing(BROKER):
        played.wait(75, "no broker")
        is_silent = not is_heard(played, 40)
    until(lambda: is_heard(played, 5), "the worker did not come back", 120)
    pause = time.monotonic() - began - 75
    print(f"broker: swallowed for 75 s; the worker is heard of {pause:.0f} s after it was healed")
    return faults + ([] if is_silent else ["the worker worked without a broker: nothing was shown"])


def main() -> None:
    """Play it, print, and judge."""
    argparse.ArgumentParser(prog="bench.faults.partition", description=__doc__).parse_args()
    with ExitStack() as stack:
        where = stack.enter_context(network())
        port = stack.enter_context(_redis())

        def change(set_up: Stage) -> dict[str, str]:
            parts = urlsplit(set_up.environment["DATABASE_URL"])
            login = parts.netloc.rpartition("@")[0]
            url = urlunsplit(parts._replace(netloc=f"{login}@{POSTGRES}:5432", query=""))
            environment = {
                "DATABASE_URL": url,
                "REDIS_URL": f"redis://{REDIS}:{port}/0",
                "CELERY_BROKER_URL": f"redis://{BROKER}:{port}/1",
                "ALLOWED_HOSTS": where.service.host,
            }
            stack.enter_context(work(set_up.environment | environment, where.service))
            return environment

        with scene(
            make_postgres=_postgres, change=change, inside=where.service, mistral_host=MISTRAL
        ) as played:
            faults = _play(played, where)
            played.end_load()
            faults += balance(played, may_estimate=True)
    load = played.load
    load.tell()
    fine = {"502 mistral_unreachable", "504 mistral_timeout"}
    faults += load.surprises(fine=fine)
    ground.judge(faults)


if __name__ == "__main__":
    main()
