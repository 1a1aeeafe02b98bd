"""A simulated Mistral, and a workspace whose key is valid."""

import pytest

from tests import factories
from tests.keys.conftest import _timing, made_up, mistral
from tests.keys.keyring import checked, registered

__all__ = ["_timing", "made_up", "mistral"]


@pytest.fixture
def workspace(organization):
    """The default workspace, with its organization at hand."""
    workspace = factories.default_workspace(organization)
    workspace.organization = organization
    return workspace


@pytest.fixture
def key(workspace, made_up):
    """A valid key of Alice's default workspace."""
    return checked(registered(workspace, made_up(organization="aurora", workspace="main")))
