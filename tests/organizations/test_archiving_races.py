"""A workspace that is being archived takes nothing any more, however exactly the two coincide."""

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection

from tenants.access.erasure import erase_organization
from tenants.common import scope
from tenants.common.problems import Conflict
from tenants.common.secrets import Secret
from tenants.keys.models import MistralKey
from tenants.keys.services import register_key, replace_secret
from tenants.organizations import audit, data_keys, workspaces
from tenants.organizations.members import add_to_workspace
from tenants.organizations.models import Workspace
from tenants.organizations.roles import WorkspaceRole
from tenants.organizations.services import archive_workspace, update_workspace
from tenants.registry.quotas import Policy as Traffic
from tenants.registry.services import set_traffic_policy
from tenants.spend.calls import UnpricedPolicy
from tenants.spend.policies import Policy
from tenants.spend.services import set_limit, set_policy
from tests import people
from tests.api import world
from tests.api.world import World
from tests.factories import ACTOR
from tests.racing import is_waited_for

Verb = Callable[[World], Any]


def registers_a_key(hers: World) -> None:
    plain = Secret(world.made_up_key())
    register_key(actor=ACTOR, workspace=hers.workspace, plain=plain)


def replaces_a_secret(hers: World) -> None:
    replace_secret(actor=ACTOR, key=hers.key, plain=Secret(world.made_up_key()))


def registers_a_model(hers: World) -> None:
    world.registered_model(hers.workspace, hers.key, "Un altro")


def sets_a_limit(hers: World) -> None:
    set_limit(
        actor=ACTOR,
        organization=hers.organization,
        subject=hers.workspace,
        monthly_spend=Decimal(5),
    )


def sets_a_policy(hers: World) -> None:
    set_policy(actor=ACTOR, workspace=hers.workspace, policy=Policy(UnpricedPolicy.ALLOW))


def sets_a_traffic_policy(hers: World) -> None:
    set_traffic_policy(
        actor=ACTOR, organization=hers.organization, workspace=hers.workspace, policy=Traffic()
    )


def adds_a_member(hers: World) -> None:
    member = people.member(hers.organization)
    add_to_workspace(
        actor=ACTOR, workspace=hers.workspace, member=member, role=WorkspaceRole.MEMBER
    )


def renames_it(hers: World) -> None:
    update_workspace(actor=ACTOR, workspace=hers.workspace, changes={"name": "Acquisti"})


VERBS = [
    registers_a_key,
    replaces_a_secret,
    registers_a_model,
    sets_a_limit,
    sets_a_policy,
    sets_a_traffic_policy,
    adds_a_member,
    renames_it,
]


@pytest.fixture
def hers() -> World:
    return world.world()


def elsewhere(pool: ThreadPoolExecutor, work: Callable[[], Any]) -> Future[Any]:
    """Do some work by a connection of its own."""

    def done() -> Any:
        try:
            return work()
        finally:
            connection.close()

    return pool.submit(done)


def can_be_archived(workspace: Workspace) -> bool:
    """Ask for what an UPDATE would wait for, without waiting."""
    try:
        with scope.tenant(workspace.organization_id):
            Workspace.objects.select_for_update(no_key=True, nowait=True).get(pk=workspace.pk)
    except OperationalError:
        return False
    return True


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_nobody_archives_a_workspace_until_what_is_put_into_it_is_there(hers, verb, monkeypatch):
    could, record = [], audit.record

    def recording(**facts: Any) -> Any:
        could.append(elsewhere(pool, lambda: can_be_archived(hers.workspace)).result())
        return record(**facts)

    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(audit, "record", recording)
        verb(hers)
    assert could
    assert not could[-1]
    assert can_be_archived(hers.workspace)


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_what_comes_while_a_workspace_is_archived_waits_and_is_refused(hers, verb):
    with ThreadPoolExecutor(1) as pool:
        coming: list[Future[Any]] = []

        def until_it_waits(_workspace: Workspace) -> None:
            coming.append(elsewhere(pool, lambda: verb(hers)))
            while not coming[0].done() and not is_waited_for():
                time.sleep(0.01)

        same = Workspace(pk=hers.workspace.pk, organization_id=hers.organization.pk)
        archive_workspace(actor=ACTOR, workspace=same, tell=until_it_waits)
        with pytest.raises(Conflict) as refusal:
            coming[0].result()
    assert refusal.value.code == "workspace_archived"


def test_two_put_something_into_a_workspace_without_waiting_for_each_other(hers, monkeypatch):
    record = audit.record

    def recording(**facts: Any) -> Any:
        if facts["verb"] == "key.registered" and not together:
            together.append(elsewhere(pool, lambda: share(hers.workspace)).result())
        return record(**facts)

    together: list[bool] = []
    with ThreadPoolExecutor(1) as pool:
        monkeypatch.setattr(audit, "record", recording)
        registers_a_key(hers)
    assert together == [True]
    with scope.tenant(hers.organization.pk):
        assert MistralKey.objects.filter(workspace=hers.workspace).count() == 2


def share(workspace: Workspace) -> bool:
    with scope.tenant(workspace.organization_id), connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM organizations_workspace WHERE id = %s FOR SHARE NOWAIT", [workspace.pk]
        )
        return cursor.fetchone() is not None


def test_who_erases_lets_those_finish_who_put_something_into_a_workspace(hers):
    """They have the workspace first and the data key then: so has who erases."""
    with ThreadPoolExecutor(1) as pool:
        with scope.tenant(hers.organization.pk):
            workspaces.active(hers.workspace.pk)
            erasing = elsewhere(
                pool, lambda: erase_organization(actor=ACTOR, organization=hers.organization)
            )
            while not erasing.done() and not is_waited_for():
                time.sleep(0.01)
            assert data_keys.newest(hers.organization.pk).version == 1
        assert erasing.result().keys_shredded == 1
