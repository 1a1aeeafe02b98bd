"""Look-ups of whose things are whose while the database is away: tried again, and then told."""

import pytest
from django.db import InterfaceError, OperationalError, connection

from tenants.common import scope
from tenants.common.models import new_id
from tenants.common.problems import NotFound, Unavailable
from tenants.gateway import shelf as module
from tenants.gateway.shelf import Shelf
from tenants.registry.models import ResourceKind
from tenants.registry.resources import Owner
from tests.spend import made


@pytest.fixture
def shelf(monkeypatch):
    """A shelf that does not wait long between its attempts."""
    monkeypatch.setattr(module, "_PAUSE", 0.01)
    made_here = Shelf()
    yield made_here
    made_here.close()


class Work:
    """Work that fails so many times; it counts its attempts."""

    def __init__(self, faults: int, fault: Exception | type[Exception] = OperationalError) -> None:
        self.attempts = 0
        self._faults, self._fault = faults, fault

    def __call__(self, answer: str, *, more: str = "") -> str:
        self.attempts += 1
        if self.attempts <= self._faults:
            raise self._fault
        return answer + more


@pytest.mark.parametrize("fault", [OperationalError, InterfaceError])
async def test_work_is_repeated_until_the_database_answers(shelf, fault):
    work = Work(3, fault)
    assert await shelf.run(work, "found", more=" here") == "found here"
    assert work.attempts == 4


async def test_a_database_that_stays_away_is_told_after_four_attempts(shelf):
    work = Work(4)
    with pytest.raises(Unavailable) as told:
        await shelf.run(work, "found")
    assert (told.value.code, told.value.retry_after) == ("metering_unavailable", 1)
    assert work.attempts == 4


async def test_what_is_no_fault_of_the_database_is_not_repeated(shelf):
    work = Work(1, NotFound("not_found", "It is not there."))
    with pytest.raises(NotFound):
        await shelf.run(work, "found")
    assert work.attempts == 1


async def test_a_broken_connection_is_given_up_and_the_next_attempt_has_a_new_one(shelf):
    backends: list[int] = []

    def ask() -> int:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            backends.append(cursor.fetchone()[0])
            if len(backends) == 1:
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        return backends[-1]

    assert await shelf.run(ask) == backends[1]
    assert len(set(backends)) == 2


@pytest.fixture
def owner(organization, workspace):
    """A model token that things are made through."""
    with scope.tenant(organization.id):
        model = made.registered_model(organization, workspace)
    return Owner(organization.id, workspace.id, model.id, new_id())


async def test_a_thing_that_is_kept_again_is_kept_once_as_it_was(shelf, owner):
    for size in (1, 2):  # as if the answer to the first had been lost
        assert await shelf.keep(owner, ResourceKind.FILE, {"f": {"size": size}})
    found = await shelf.require(owner, ResourceKind.FILE, ["f"])
    assert found["f"].facts == {"size": 1}
    await shelf.forget(owner, ResourceKind.FILE, "f")
    await shelf.forget(owner, ResourceKind.FILE, "f")
    assert not await shelf.keep(owner, ResourceKind.FILE, {"f": {"size": 3}})
    with pytest.raises(NotFound):
        await shelf.require(owner, ResourceKind.FILE, ["f"])
    assert await shelf.keep(owner, ResourceKind.FILE, {})
    assert await shelf.among(owner, ResourceKind.FILE, []) == {}
