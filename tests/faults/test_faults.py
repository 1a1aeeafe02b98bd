"""Each fault of ``bench.faults`` is played; a scenario tells by itself what was lost.

One that the machine does not allow (no root, no mounts, no namespaces) is skipped with its reason.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from bench.faults.ground import SKIPPED

ROOT = Path(__file__).resolve().parents[2]
PLAYED = {
    "outage": (),
    "restarts": (),
    "kills": (),
    "failover": (),
    "failover, asynchronous": ("--asynchronous",),
    "connections": (),
    "full_disk": (),
    "slow_disk": (),
    "partition": (),
    "clock": (),
    "chaos": (),
    "upkeep": (),
}


@pytest.mark.rehearsal
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", PLAYED)
def test_nothing_is_sent_unmetered_and_nothing_is_lost(name):
    command = [sys.executable, "-m", f"bench.faults.{name.partition(',')[0]}", *PLAYED[name]]
    played = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=580, check=False
    )
    told = played.stdout + played.stderr
    if played.returncode == SKIPPED:
        pytest.skip(played.stdout.splitlines()[-1])
    assert played.returncode == 0, told
    assert "nothing unmetered, nothing lost" in played.stdout or PLAYED[name]


def test_every_fault_is_played():
    modules = {path.stem for path in (ROOT / "bench" / "faults").glob("*.py")}
    shared = {"__init__", "ground", "network", "play", "workers"}
    assert {name.partition(",")[0] for name in PLAYED} == modules - shared
