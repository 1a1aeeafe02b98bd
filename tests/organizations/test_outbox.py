"""The outbox: announced exactly when committed, and once where it may happen once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from django.db import connection

from tenants.common import scope
from tenants.organizations.models import Announcement
from tenants.organizations.outbox import announce
from tests import factories


def kinds(organization) -> list[str]:
    with scope.tenant(organization.id):
        return list(Announcement.objects.order_by("id").values_list("kind", flat=True))


def test_what_is_rolled_back_is_not_announced(organization):
    def announce_and_fail() -> None:
        with scope.tenant(organization.id):
            announce(organization_id=organization.id, kind="key.validated", data={})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        announce_and_fail()
    assert kinds(organization) == []


def test_what_is_committed_is_announced_with_its_facts(organization):
    workspace = factories.default_workspace(organization)
    with scope.tenant(organization.id):
        assert announce(
            organization_id=organization.id,
            kind="key.validated",
            data={"key_id": "k"},
            workspace_id=workspace.id,
        )
        row = Announcement.objects.get()
    assert (row.kind, row.data, row.workspace_id) == (
        "key.validated",
        {"key_id": "k"},
        workspace.id,
    )
    assert row.published_at is None


def test_what_may_happen_once_is_announced_once_in_each_organization(organization, stranger):
    for whose, expected in ((organization, True), (organization, False), (stranger, True)):
        with scope.tenant(whose.id):
            first = announce(
                organization_id=whose.id, kind="key.expiring", data={}, once="key.expiring:k:14"
            )
        assert first is expected
    assert kinds(organization) == kinds(stranger) == ["key.expiring"]


def test_of_two_at_once_only_one_is_first(organization):
    together = Barrier(2, timeout=30)

    def tell(_number: int) -> bool:
        try:
            with scope.tenant(organization.id):
                together.wait(5)
                return announce(organization_id=organization.id, kind="k", data={}, once="x")
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(tell, range(2))) == [False, True]
    assert kinds(organization) == ["k"]
