"""A place on disk for clusters, and clusters of their own, thrown away after each test."""

import shutil
import tempfile
from pathlib import Path

import pytest

from aisuru_mistral.launcher.postgres import EmbeddedPostgres


@pytest.fixture(scope="session")
def make_place():
    """Make folders with short paths that another user may be let into.

    pytest's own are long, and every start of pytest closes them to other users again.
    """
    made = []

    def make() -> Path:
        made.append(Path(tempfile.mkdtemp(prefix="aim-")))
        return made[-1]

    yield make
    for folder in made:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def place(make_place):
    """One such folder."""
    return make_place()


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
