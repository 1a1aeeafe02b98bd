"""The same on every broker: a worker that is told to stop ends, and its long work goes on."""

import os
import subprocess
import time
from collections import Counter

import pytest

from tests.stores import walk
from tests.stores.deployment import ROOT
from tests.stores.poisoner import Poisoner

pytestmark = [pytest.mark.rehearsal, pytest.mark.timeout(400)]


def test_long_work_is_a_sign_of_life_and_goes_on_elsewhere_when_its_worker_stops(deployment):
    folder = deployment.folder
    steps, pulse = folder / "steps", folder / "worker-alive"

    def done():
        return Counter(map(int, steps.read_text().split())) if steps.exists() else Counter()

    def is_alive():
        probe = [str(ROOT / "docker/entrypoint.sh"), "alive", "worker"]
        return subprocess.run(probe, env=deployment.environment, check=False).returncode == 0

    poisoner = Poisoner(deployment)
    for _ in range(int(deployment.environment["WORKER_CONCURRENCY"])):
        poisoner.send("tests.walk")
    deployment.wait_for(lambda: done() == {walk.WATCHED: 2})  # no place is left for other tasks
    long_ago = time.time() - 11 * 60
    os.utime(pulse, (long_ago, long_ago))
    assert not is_alive()
    (folder / "seen").touch()
    deployment.wait_for(lambda: done()[walk.TOLD] == 2)
    assert is_alive(), "no task has ended, but a step has"
    assert deployment.end("worker") == 0
    assert done() == {walk.WATCHED: 2, walk.TOLD: 2}, "it ended between two steps"
    deployment.start("worker")
    deployment.wait_for(lambda: done()[walk.STEPS] == 2)
    assert done() == dict.fromkeys(range(1, walk.STEPS + 1), 2), "each step once"
