"""Fixtures for all rooms. Databases are never rolled back: every test makes its own tenants."""

import pytest
from hypothesis import settings

from tests import factories

# How long an example takes says more about the machine than about the code.
settings.register_profile("suite", deadline=None, max_examples=50)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile("suite")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest: else one core ends up waiting for the other."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """Replace pytest-django's own: tests/postgres.py has made this worker's database."""


@pytest.fixture(scope="session", autouse=True)
def _database(django_db_setup, django_db_blocker):
    """Let every test use the database as the service does, with real transactions."""
    with django_db_blocker.unblock():
        yield


@pytest.fixture
def organization():
    """Alice's organization, with a default workspace."""
    return factories.organization()


@pytest.fixture
def workspace(organization):
    """The default workspace of Alice's organization."""
    return factories.default_workspace(organization)


@pytest.fixture
def stranger():
    """Charlie's organization: whatever is not his must look as if it were not there."""
    return factories.organization(name="Charlie & Co")
