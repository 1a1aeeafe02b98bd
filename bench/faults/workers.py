"""A worker and beat beside the gateways of a scene."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench.faults.play import Scene
from bench.servers import ROOT, Place

_WORKER = "worker --concurrency 2 -Q aisuru --without-gossip --without-mingle"
_SEEN = "SELECT max(seen_at) > now() - make_interval(secs => %s) FROM assistance_workerseen"


@contextmanager
def work(environment: Mapping[str, str], inside: Place | None = None) -> Iterator[None]:
    """Run them."""
    enter = inside.enter if inside else ()
    beat = f"beat --pidfile= --schedule {environment['DATA_DIR']}/beat-schedule"
    parts = []
    try:
        for part in (_WORKER, beat):
            command = f"-m celery -A aisuru_mistral.celery {part} --loglevel WARNING"
            with Path(environment["DATA_DIR"], "work.log").open("ab") as log:
                parts.append(
                    subprocess.Popen(
                        [*enter, sys.executable, *command.split()],
                        cwd=ROOT,
                        env=dict(environment),
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )
        yield
    finally:
        for process in parts:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_heard(played: Scene, seconds: float) -> bool:
    """Tell whether a worker has finished a task lately, by the database's clock."""
    with psycopg.connect(played.set_up.owner_url, autocommit=True) as owner:
        return owner.execute(_SEEN, [seconds]).fetchone() == (True,)
