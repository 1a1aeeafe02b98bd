"""A meter of its own for every test that meters."""

import pytest

from tenants.spend.meter import Meter


@pytest.fixture
def meter():
    """A gateway process's meter; its lock goes when the test ends."""
    made = Meter()
    yield made
    made.close()
