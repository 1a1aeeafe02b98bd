"""The far side of the wire for keys: a simulated Mistral, and keys made up for one test each."""

import secrets
import string

import psycopg
import pytest

from aisuru_mistral.simulator.server import SimulatorServer
from tests.keys.keyring import name_of
from tests.postgres import owner_url

_ALPHABET = string.ascii_letters + string.digits


@pytest.fixture(scope="session")
def mistral():
    """A Mistral on loopback."""
    with SimulatorServer() as server:
        yield server


@pytest.fixture(autouse=True)
def _timing(mistral, settings):
    """Ask the simulator, and give up on it soon."""
    settings.MISTRAL_API_URL = mistral.url
    settings.KEY_TIMING = {**settings.KEY_TIMING, "read": 0.5, "answer": 1}


@pytest.fixture
def made_up(mistral):
    """Return a function that makes Mistral know a new key, and gives its plaintext."""

    def make(**row) -> str:
        plain = "".join(secrets.choice(_ALPHABET) for _ in range(32))
        mistral.state.register(key=plain, name=name_of(plain), **row)
        return plain

    return make


@pytest.fixture
def alone():
    """Let no key of another test be due, and no trouble of another test slow the lanes."""
    with psycopg.connect(owner_url()) as owner:
        owner.execute("DELETE FROM keys_lane")
        owner.execute("UPDATE keys_mistralkey SET next_check_at = now() + interval '1 day'")
