"""Who calls, and what there is to call for."""

import pytest

from tests.api.callers import Caller, organization_caller, platform_caller
from tests.api.world import World, world


@pytest.fixture
def platform() -> Caller:
    """AIsuru's backend, with every scope."""
    return platform_caller()


@pytest.fixture
def alice(organization) -> Caller:
    """A script of Alice's organization, with every scope."""
    return organization_caller(organization)


@pytest.fixture
def charlie(stranger) -> Caller:
    """A script of another organization, with every scope."""
    return organization_caller(stranger)


@pytest.fixture
def nobody() -> Caller:
    """Somebody without a token."""
    return Caller()


@pytest.fixture
def hers(organization) -> World:
    """What Alice's organization has."""
    return world(organization)
