"""A place on disk for clusters, and clusters of their own, thrown away after each test."""

import shutil
import tempfile
from pathlib import Path

import pytest

from aisuru_mistral.launcher.postgres import EmbeddedPostgres


@pytest.fixture
def place():
    """A short path: pytest's own are too long for a socket, and closed to other users."""
    folder = Path(tempfile.mkdtemp(prefix="aim-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def make_cluster(place):
    """Make clusters that are stopped again, whatever the test did to them."""
    made = []

    def make(name="postgres"):
        cluster = EmbeddedPostgres(place / name, durable=False, tell=lambda _line: None)
        made.append(cluster)
        return cluster

    yield make
    for cluster in made:
        cluster.stop(patience=3)
        shutil.rmtree(cluster.socket_dir, ignore_errors=True)
