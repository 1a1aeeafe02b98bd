"""Lists of members and workspaces tell how many there are, find one, and lead to their form."""

import re
from collections import Counter

import pytest
from django.test import Client

from tenants.common import scope
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations.models import Invitation
from tests import factories, people
from tests.console.html import faults

NAMES = re.compile(r'data-label="Name"><(?:strong|a [^>]+)>([^<]+)<')


@pytest.fixture
def admin(organization) -> Client:
    return people.visitor(organization)


def test_members_are_counted_and_found_by_name_or_address(organization, admin):
    for name in ("Anna Bianchi", "Bruno Neri"):
        people.member(organization, who=people.person(name))
    address = f"/organizations/{organization.pk}/members"
    page = admin.get(address).text
    assert '<h1>Members <span class="soft">3</span></h1>' in page
    assert 'href="#invite"' in page
    page = admin.get(address, {"search": " bianCHI ", "sort": "name"}).text
    assert faults(page) == []
    assert NAMES.findall(page) == ["Anna Bianchi"]
    assert '<span class="soft">1</span>' in page
    assert 'name="search" value="bianCHI"' in page
    assert 'name="sort" value="name"' in page
    assert NAMES.findall(admin.get(address, {"search": "bruno.neri"}).text) == ["Bruno Neri"]
    page = admin.get(address, {"search": "Zeno"}).text
    assert "Nobody with “Zeno” in the name or the address." in page
    assert faults(page) == []
    page = people.visitor(organization, language="it").get(address, {"search": "Zeno"}).text
    assert "Mostra tutto" in page  # of people, workspaces and keys


def test_workspaces_are_counted_and_found_by_name_or_description(organization, admin):
    for number in range(3):
        factories.workspace(organization, f"Reparto {number}")
    address = f"/organizations/{organization.pk}/workspaces"
    page = admin.get(address).text
    assert '<h1>Workspaces <span class="soft">4</span></h1>' in page
    assert 'href="#new"' in page
    page = admin.get(address, {"search": "reparto 2"}).text
    assert faults(page) == []
    assert [name.strip() for name in NAMES.findall(page)] == ["Reparto 2"]
    page = admin.get(address, {"search": "Zeno"}).text
    assert "None with “Zeno” in its name or description." in page
    assert faults(page) == []


def test_an_invitation_that_is_sent_twice_is_told_to_be_sent(organization, admin):
    address = f"/organizations/{organization.pk}/members"
    page = admin.get(address).text
    (form_id,) = re.findall(r'name="form_id" value="(\w+)"', page)
    said = {"form_id": form_id, "emails": "zoe@people.example", "role": "billing"}
    assert "zoe@people.example</strong>: invited" in admin.post(address, said).text
    after = admin.post(address, said, follow=True).text
    assert "whoever was invited is among the open invitations" in after
    assert "was invited already" not in after
    with scope.tenant(organization.pk):
        assert Invitation.objects.count() == 1


def test_keys_that_do_not_work_are_a_list_that_the_overview_leads_to(organization, admin):
    workspace = factories.default_workspace(organization)
    states = [KeyStatus.INVALID] * 7 + [KeyStatus.EXPIRED, KeyStatus.VALID, KeyStatus.PENDING]
    with scope.tenant(organization.pk):
        for state in states:
            key = factories.raw_key(organization, workspace)
            MistralKey.objects.filter(pk=key.pk).update(status=state, name=state)
    page = admin.get(f"/workspaces/{workspace.pk}").text
    address = f"/workspaces/{workspace.pk}/keys?show=broken"
    assert f'<a href="{address}">API keys that do not work</a>' in page
    page = admin.get(address).text
    assert '<option value="broken" selected>' in page
    assert Counter(NAMES.findall(page)) == {"invalid": 7, "expired": 1}
