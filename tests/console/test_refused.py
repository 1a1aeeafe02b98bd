"""What a member is refused keeps the navigation around it; a stranger learns of no organization."""

from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from tenants.common import scope
from tenants.organizations.models import Organization
from tenants.organizations.roles import Role, WorkspaceRole
from tests import factories, people
from tests.api.world import WholeWorld, whole_world
from tests.console.html import faults
from tests.people import session_caller
from tests.spend import made

pytestmark = pytest.mark.slow

HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    """What the pages are about: nothing here changes it."""
    return whole_world()


@pytest.fixture(scope="module")
def admin(hers) -> Client:
    return session_caller(people.member(hers.organization, Role.ADMIN).person).client


def stands_inside(answer: Any, found: Organization, status: int) -> str:
    """Check that a refusal has switcher and navigation, and is sound; give its text."""
    page: str = answer.content.decode()
    assert answer.status_code == status
    assert f'<span class="menu-label">{found.name}</span>' in page
    assert f'href="/organizations/{found.pk}"' in page
    assert '<nav class="side"' in page
    assert page.count("<h1") == 1
    assert faults(page) == []
    return page


def stands_outside(answer: Any, found: Organization) -> None:
    page = answer.content.decode()
    assert answer.status_code == 404
    assert '<nav class="side"' not in page
    assert found.name not in page


def test_a_conflict_of_publishing_keeps_the_navigation(organization, workspace):
    client = session_caller(people.member(organization, Role.ADMIN).person).client
    with scope.tenant(organization.pk):
        model = made.registered_model(organization, workspace)
    answer = client.post(f"/models/{model.pk}/publish", headers=HTML)
    page = stands_inside(answer, organization, 409)
    assert "aisuru_connection_missing" in page
    assert f'href="/workspaces/{workspace.pk}/models"' in page


@pytest.mark.parametrize("path", ["audit", "tokens", "settings"])
def test_what_a_role_does_not_allow_keeps_the_navigation(path, hers):
    bob = people.member(hers.organization, workspaces={hers.workspace: WorkspaceRole.MEMBER})
    client = session_caller(bob.person).client
    page = stands_inside(
        client.get(f"/organizations/{hers.organization.pk}/{path}", headers=HTML),
        hers.organization,
        403,
    )
    assert "role_missing" in page
    assert f'href="/organizations/{hers.organization.pk}/{path}"' not in page, "no way is shown"


def test_what_is_not_there_keeps_the_navigation_of_where_it_was_looked_for(hers, admin):
    path = f"/organizations/{hers.organization.pk}/webhooks/{uuid4()}"
    stands_inside(admin.get(path, headers=HTML), hers.organization, 404)


def test_a_method_that_an_address_does_not_have_keeps_the_navigation(hers, admin):
    answer = admin.get(f"/models/{hers.model.pk}/publish", headers=HTML)
    stands_inside(answer, hers.organization, 405)
    assert answer["Allow"] == "POST"


def test_strangers_and_what_belongs_to_nobody_show_no_organization(hers, admin):
    charlie = people.member(factories.organization(name="Charlie & Co"), Role.ADMIN)
    client = session_caller(charlie.person).client
    nowhere = f"/keys/{uuid4()}"
    for path in (f"/organizations/{hers.organization.pk}/audit", f"/keys/{hers.key.pk}", nowhere):
        stands_outside(client.get(path, headers=HTML), hers.organization)
    stands_outside(admin.get(nowhere, headers=HTML), hers.organization)
    answer = client.get(f"/models/{hers.model.pk}/publish", headers=HTML)
    assert (answer.status_code, hers.organization.name in answer.text) == (405, False)
    answer = Client().get(f"/models/{hers.model.pk}/publish", headers=HTML)
    assert answer.status_code == 405
