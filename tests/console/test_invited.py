"""Who is invited: what the link says, to whom, and what inviting asks about."""

from typing import Any

import pytest
from django.test import Client

from tenants.common import scope
from tenants.organizations import invitations
from tenants.organizations.invitation_mail import token_of
from tenants.organizations.models import Invitation, Member
from tenants.organizations.roles import Role
from tests import people
from tests.api.world import WholeWorld, whole_world
from tests.console.html import faults
from tests.factories import ACTOR
from tests.people import session_caller

HTML = {"Accept": "text/html"}
MADE_UP = "aim_inv_none"


@pytest.fixture
def hers() -> WholeWorld:
    return whole_world(has_statement=False)


def english(person: Any) -> Client:
    client = session_caller(person).client
    client.cookies["aim_language"] = "en"
    return client


def read(answer: Any, status: int = 200) -> str:
    page: str = answer.content.decode()
    assert answer.status_code == status
    assert faults(page) == []
    return page


def link(found: WholeWorld) -> str:
    return f"/invitations/{token_of(found.invitation).reveal()}"


def reader_of(found: WholeWorld, **facts: Any) -> Any:
    return people.person("Dario", email=found.invitation.email, **facts)


def test_the_link_names_organization_inviter_and_role_to_who_is_invited(hers):
    page = read(english(reader_of(hers)).get(link(hers), headers=HTML))
    assert f"You are invited to {hers.organization.name}" in page
    assert "Alice invites you." in page
    assert "<dd>Member</dd>" in page
    assert f"Join as {hers.invitation.email}?" in page


def test_who_is_not_invited_learns_as_little_from_a_link_as_from_one_that_was_made_up(hers):
    stranger = people.person("Charlie")
    unproven = reader_of(hers, is_verified=False)
    for person in (stranger, unproven):
        for method in ("get", "post"):
            client = english(person)
            real, none = (
                getattr(client, method)(path, headers=HTML)
                for path in (link(hers), f"/invitations/{MADE_UP}")
            )
            page = read(real, 404)
            assert hers.organization.name not in page
            assert "Alice" not in page
            assert f"You are signed in as {person.email}." in page
            assert 'method="post"' not in page.partition("<main")[2].partition("</main")[0]
            assert "does not work here" in read(none, 404)
    with scope.tenant(hers.organization.pk):
        assert Invitation.objects.get(pk=hers.invitation.pk).closed_at is None


def test_a_link_that_was_used_says_so_and_leads_in(hers):
    client = english(reader_of(hers))
    into = f"/organizations/{hers.organization.pk}"
    assert client.post(link(hers), headers=HTML)["Location"] == into
    page = read(client.get(link(hers), headers=HTML))
    assert f"You are a member of {hers.organization.name}" in page
    assert "was used already" in page
    assert f'href="{into}"' in page
    assert client.post(link(hers), headers=HTML)["Location"] == into  # a second click


def test_a_link_that_was_taken_back_says_so_to_its_reader(hers):
    client = english(reader_of(hers))
    invitations.revoke(actor=ACTOR, invitation=hers.invitation)
    assert "It was taken back." in read(client.get(link(hers), headers=HTML))
    assert "It was taken back." in read(client.post(link(hers), headers=HTML), 404)


def inviting(found: WholeWorld, **facts: Any) -> Any:
    client = english(people.member(found.organization, Role.ADMIN).person)
    path = f"/organizations/{found.organization.pk}/members"
    return client.post(path, {"role": "member"} | facts, headers=HTML)


def invited(found: WholeWorld) -> set[str]:
    with scope.tenant(found.organization.pk):
        return set(Invitation.objects.values_list("email", flat=True))


def test_a_member_is_not_invited_into_nothing_without_a_question(hers):
    question, box = "sees nothing after joining", 'name="nowhere"'
    page = read(inviting(hers, emails="anna@x.example"), 422)
    assert question in page
    assert box in page
    assert "anna@x.example" in page
    assert "anna@x.example" not in invited(hers)
    assert box not in read(inviting(hers, emails="anna@x.example", nowhere="on"))
    assert "anna@x.example" in invited(hers)
    read(inviting(hers, emails="vera@x.example", role="billing"))  # sees all of them anyway
    read(inviting(hers, emails="bruno@x.example", workspaces=str(hers.workspace.pk)))
    assert {"vera@x.example", "bruno@x.example"} <= invited(hers)


def test_addresses_that_are_none_stay_in_the_form_with_what_was_chosen(hers):
    emails, chosen = "anna@x.example, no-address\nnor-this", str(hers.workspace.pk)
    page = read(inviting(hers, emails=emails, workspaces=chosen))
    typed = page.partition("<textarea")[2].partition(">")[2].partition("</textarea")[0]
    assert typed.split() == ["no-address", "nor-this"]
    box = page.partition(f'value="{chosen}"')[2].partition(">")[0]
    assert "checked" in box


def test_a_member_is_removed_from_the_organization_only_after_a_question(hers):
    bob = people.member(hers.organization)
    client = english(people.member(hers.organization, Role.ADMIN).person)
    path = f"/organizations/{hers.organization.pk}/members/{bob.pk}"

    def is_there() -> bool:
        with scope.tenant(hers.organization.pk):
            return Member.objects.filter(pk=bob.pk).exists()

    page = read(client.post(path, {"action": "remove"}, headers=HTML))
    assert "This cannot be undone" in page
    assert bob.person.email in page
    assert is_there()
    client.post(path, {"action": "remove", "sure": "yes"})
    assert not is_there()
