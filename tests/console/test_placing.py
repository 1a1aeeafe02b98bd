"""Members are put into a workspace by their address, however many there are."""

import re
from itertools import count

import pytest
from django.test import Client

from tenants.common import scope
from tenants.console.placing import MOST_PROPOSED
from tenants.organizations.models import Member, Organization, WorkspaceMember
from tenants.people.models import Person
from tests import factories, people
from tests.console.html import faults

_numbers = count(1)


@pytest.fixture
def admin(organization) -> Client:
    return people.visitor(organization)


@pytest.fixture
def address(organization) -> str:
    return f"/workspaces/{factories.default_workspace(organization).pk}/members"


def many(organization: Organization, number: int) -> list[Person]:
    """Make members whose names come in the order in which they are made."""
    made = Person.objects.bulk_create(
        Person(email=f"m{next(_numbers)}@many.example", name=f"Name {at:03}")
        for at in range(number)
    )
    with scope.tenant(organization.pk):
        Member.objects.bulk_create(
            Member(organization=organization, person=one, role="member") for one in made
        )
    return made


def inside(organization: Organization) -> list[tuple[str, str]]:
    with scope.tenant(organization.pk):
        return list(WorkspaceMember.objects.values_list("member__person__email", "role"))


def test_whoever_is_not_proposed_is_put_in_by_address(organization, admin, address):
    last = many(organization, MOST_PROPOSED + 3)[-1]
    page = admin.get(address).text
    assert faults(page) == []
    assert page.count("<option value=") == MOST_PROPOSED + 2  # and two roles
    assert "The first 200 are proposed" in page
    assert last.email not in page
    said = {"action": "add", "email": last.email.upper(), "role": "admin"}
    after = admin.post(address, said, follow=True).text
    assert f"{last.name} works in this workspace now." in after
    assert inside(organization) == [(last.email, "admin")]


def test_members_are_proposed_by_name_and_address(organization, admin, address):
    [one] = many(organization, 1)
    option = re.search(rf'<option value="{one.email}">([^<]+)<', admin.get(address).text)
    assert option is not None
    assert option[1] == f"Name 000 · {one.email}"


def test_an_address_of_nobody_here_is_told_at_the_field_and_stays(organization, admin, address):
    stranger = people.person("Charlie")
    answer = admin.post(address, {"action": "add", "email": stranger.email, "role": "member"})
    assert answer.status_code == 422
    assert "No member of the organization has this address." in answer.text
    assert f'value="{stranger.email}"' in answer.text
    assert faults(answer.text) == []
    assert inside(organization) == []


def test_who_is_inside_already_is_told_so_beside_the_form(organization, admin, address):
    [one] = many(organization, 1)
    said = {"action": "add", "email": one.email, "role": "member"}
    assert admin.post(address, said).status_code == 303
    answer = admin.post(address, said | {"role": "admin"})
    assert answer.status_code == 409
    assert "This member is in the workspace already." in answer.text
    assert inside(organization) == [(one.email, "member")]
