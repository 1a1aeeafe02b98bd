"""PostgreSQL is killed under load and away for ten seconds: nothing unmetered, nothing lost."""

import subprocess
import sys

import pytest

from tests.gateway.server import ROOT


@pytest.mark.rehearsal
@pytest.mark.timeout(300)
def test_while_postgresql_is_away_for_ten_seconds_nothing_is_sent_and_nothing_is_lost():
    """On a PostgreSQL of its own, which can be killed; the scenario tells by itself what failed."""
    played = subprocess.run(
        [sys.executable, "-m", "bench.outage", "--seconds", "10"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert played.returncode == 0, played.stdout + played.stderr
    assert "nothing unmetered, nothing lost" in played.stdout
