"""What takes something away is asked about first, in words that name what breaks."""

from typing import Any

import pytest
from django.test import Client

from tenants.common import scope
from tenants.organizations.models import Member, WorkspaceMember
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.registry import publications
from tenants.registry.models import Publication
from tests import people
from tests.api.world import World, with_login, world
from tests.console.html import faults
from tests.factories import ACTOR
from tests.people import session_caller

HTML = {"Accept": "text/html"}


@pytest.fixture
def hers() -> World:
    return with_login(world())


def english(member: Member) -> Client:
    client = session_caller(member.person).client
    client.cookies["aim_language"] = "en"
    return client


def asked(answer: Any) -> str:
    assert answer.status_code == 200
    page: str = answer.content.decode()
    assert faults(page) == []
    return page


def role_of(found: World, member: Member) -> str | None:
    with scope.tenant(found.organization.pk):
        row = WorkspaceMember.objects.filter(member=member, workspace=found.workspace).first()
    return row.role if row else None


def test_leaving_an_organization_is_asked_about_and_refused_on_the_same_page(hers):
    alice = people.member(hers.organization, Role.ADMIN)
    bob = people.member(hers.organization)
    address = f"/organizations/{hers.organization.pk}/leave"
    for member in (alice, bob):
        listed = english(member).get("/organizations", headers=HTML).content.decode()
        assert f'href="{address}"' in listed
        assert "lost at once" in asked(english(member).get(address, headers=HTML))
    refused = english(alice).post(address, headers=HTML)
    assert refused.status_code == 409
    assert 'role="alert"' in refused.content.decode()
    assert "Leave the organization" in refused.content.decode()
    assert english(bob).post(address)["Location"] == "/organizations"
    with scope.tenant(hers.organization.pk):
        assert list(Member.objects.all()) == [alice]


def test_who_administers_a_workspace_does_not_give_that_up_by_one_click(hers):
    wilma = people.member(hers.organization, workspaces={hers.workspace: WorkspaceRole.ADMIN})
    bob = people.member(hers.organization, workspaces={hers.workspace: WorkspaceRole.ADMIN})
    client, address = english(wilma), f"/workspaces/{hers.workspace.pk}/members"
    own = {"member_id": str(wilma.pk), "role": "member", "action": "role"}
    assert "Only another administrator" in asked(client.post(address, own, headers=HTML))
    assert role_of(hers, wilma) == WorkspaceRole.ADMIN
    client.post(address, own | {"member_id": str(bob.pk)})  # she can make him one again
    assert role_of(hers, bob) == WorkspaceRole.MEMBER
    client.post(address, own | {"sure": "yes"})
    assert role_of(hers, wilma) == WorkspaceRole.MEMBER


def test_who_leaves_a_workspace_is_led_where_something_is(hers):
    wilma = people.member(hers.organization, workspaces={hers.workspace: WorkspaceRole.ADMIN})
    client, address = english(wilma), f"/workspaces/{hers.workspace.pk}/members"
    said = {"member_id": str(wilma.pk), "role": "member", "action": "remove"}
    assert "lost from sight" in asked(client.post(address, said, headers=HTML))
    there = client.post(address, said | {"sure": "yes"})["Location"]
    assert client.get(there, headers=HTML).status_code == 200


def test_a_model_is_taken_away_from_aisuru_only_after_a_question(hers):
    client = english(people.member(hers.organization, Role.ADMIN))
    publications.publish_model(actor=ACTOR, model=hers.model)
    address = f"/models/{hers.model.pk}/publish"

    def is_wanted() -> bool:
        with scope.tenant(hers.organization.pk):
            return Publication.objects.get(model=hers.model).is_wanted

    page = asked(client.post(address, {"action": "withdraw"}, headers=HTML))
    assert "agents that answer with it need another model" in page
    assert is_wanted()
    client.post(address, {"action": "withdraw", "sure": "yes"})
    assert not is_wanted()


def test_the_models_that_a_deleted_key_would_stop_are_led_to(hers):
    page = asked(
        english(people.member(hers.organization, Role.ADMIN)).get(f"/keys/{hers.key.pk}/delete")
    )
    assert f'href="/models/{hers.model.pk}"' in page


def test_who_gets_no_link_for_a_new_password_can_ask_for_another():
    client = Client(headers={"accept-language": "en"})
    page = client.get("/reset-password/sent").text
    assert "Ask for another link" in page
