"""What was just done is taken back by one button, where a verb can; never over others' heads."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from tenants.common import scope
from tenants.keys.models import MistralKey
from tenants.organizations.members import add_to_workspace
from tenants.organizations.models import Member, Organization, Workspace, WorkspaceMember
from tenants.organizations.roles import WorkspaceRole
from tenants.registry.models import RegisteredModel
from tenants.spend import limits
from tenants.spend.services import set_limit
from tests import people
from tests.api.world import WholeWorld, whole_world
from tests.console.html import faults, form_of
from tests.factories import ACTOR

pytestmark = pytest.mark.slow

type Sent = tuple[str, dict[str, Any]]


@pytest.fixture
def hers() -> WholeWorld:
    return whole_world()


@pytest.fixture
def admin(hers) -> Client:
    return people.visitor(hers.organization)


def undo_of(page: str) -> Sent | None:
    """Read the way back that a page offers."""
    found = re.search(
        r'<form method="post" action="([^"]+)">(?:(?!</form>).)*<button class="link">Undo</button>',
        page,
        re.DOTALL,
    )
    if found is None:
        return None
    said: dict[str, Any] = {}
    for name, value in re.findall(r'name="([^"]+)" value="([^"]*)"', found[0]):
        if name != "csrfmiddlewaretoken":
            said.setdefault(name, []).append(value)
    return found[1], said


def done(client: Client, address: str, said: dict[str, Any]) -> str:
    """Send a form and look at the page that follows."""
    answer = client.post(address, said, follow=True)
    assert answer.redirect_chain, answer.content.decode()[-3000:]
    page = answer.content.decode()
    assert faults(page) == []
    return page


def taken_back(client: Client, page: str) -> None:
    way = undo_of(page)
    assert way is not None
    after = done(client, *way)
    assert "It is as it was before." in after
    assert undo_of(after) is None


def test_a_limit_is_set_back_to_what_it_was(hers, admin):
    address = f"/models/{hers.model.pk}/limits"

    def now() -> Any:
        return limits.read_limit(organization=hers.organization, subject=hers.model)

    set_limit(
        actor=ACTOR,
        organization=hers.organization,
        subject=hers.model,
        monthly_spend=Decimal("12.50"),
        alert_thresholds=[40, 90],
    )
    said = form_of(admin.get(address).text, address)
    page = done(
        admin, address, said | {"monthly_spend": "", "alert_thresholds": "", "mode": "shadow"}
    )
    assert (now().monthly_spend, now().alert_thresholds, now().mode) == (None, [], "shadow")
    assert undo_of(admin.get(address).text) is None, "it is offered once, right after"
    taken_back(admin, page)
    assert (now().monthly_spend, now().alert_thresholds) == (Decimal("12.50"), [40, 90])
    assert now().mode == "enforce"


FACTS: list[tuple[str, type[Any], Callable[[WholeWorld], Any], str, str]] = [
    ("/keys/{0.key.pk}/edit", MistralKey, lambda found: found.key.pk, "name", "Altro nome"),
    ("/models/{0.model.pk}/edit", RegisteredModel, lambda found: found.model.pk, "name", "Altro"),
    ("/workspaces/{0.workspace.pk}/edit", Workspace, lambda found: found.workspace.pk, "name", "X"),
    (
        "/organizations/{0.organization.pk}/settings",
        Organization,
        lambda found: found.organization.pk,
        "locale",
        "en",
    ),
]


@pytest.mark.parametrize("facts", FACTS, ids=lambda facts: facts[0])
def test_facts_are_set_back_to_what_they_were(facts, hers, admin):
    address, model, which, field, value = facts
    address = address.format(hers)

    def row() -> Any:
        with scope.tenant(hers.organization.pk):
            return model.objects.values(*columns).get(pk=which(hers))

    columns = [one.attname for one in model._meta.concrete_fields if "at" not in one.name]
    before = row()
    said = form_of(admin.get(address).text, address)
    page = done(admin, address, said | {field: value})
    assert row()[field] == value
    taken_back(admin, page)
    assert row() == before


def test_nothing_is_offered_where_nothing_was_changed(hers, admin):
    address = f"/keys/{hers.key.pk}/edit"
    page = done(admin, address, form_of(admin.get(address).text, address))
    assert undo_of(page) is None


def test_what_somebody_has_changed_since_is_not_undone_unseen(hers, admin):
    address = f"/keys/{hers.key.pk}/edit"
    page = done(admin, address, form_of(admin.get(address).text, address) | {"name": "Mia"})
    with scope.tenant(hers.organization.pk):
        MistralKey.objects.filter(pk=hers.key.pk).update(name="Di Bob")
    sent = undo_of(page)
    assert sent is not None
    assert admin.post(*sent).status_code == 412
    with scope.tenant(hers.organization.pk):
        assert MistralKey.objects.get(pk=hers.key.pk).name == "Di Bob"


def test_who_was_taken_out_of_a_workspace_comes_back_with_the_same_role(hers, admin):
    bob = people.member(hers.organization)
    add_to_workspace(actor=ACTOR, workspace=hers.workspace, member=bob, role=WorkspaceRole.ADMIN)
    address = f"/workspaces/{hers.workspace.pk}/members"

    def role() -> str | None:
        with scope.tenant(hers.organization.pk):
            rows = WorkspaceMember.objects.filter(workspace=hers.workspace, member=bob)
            return rows.values_list("role", flat=True).first()

    for changed, after in (
        ({"action": "role", "role": "member"}, "member"),
        ({"action": "remove"}, None),
    ):
        page = done(admin, address, {"member_id": str(bob.pk), **changed})
        assert role() == after
        taken_back(admin, page)
        assert role() == "admin"


def test_a_role_a_switch_and_a_leave_are_set_back(hers, admin):
    place = f"/organizations/{hers.organization.pk}"
    page = done(admin, f"{place}/members/{hers.colleague.pk}", {"role": "billing"})
    with scope.tenant(hers.organization.pk):
        assert Member.objects.get(pk=hers.colleague.pk).role == "billing"
    taken_back(admin, page)
    with scope.tenant(hers.organization.pk):
        assert Member.objects.get(pk=hers.colleague.pk).role == hers.colleague.role
    page = done(admin, f"{place}/webhooks/{hers.webhook.pk}/switch", {"to": "off"})
    taken_back(admin, page)
    with scope.tenant(hers.organization.pk):
        hers.webhook.refresh_from_db()
    assert hers.webhook.is_enabled
    page = done(admin, f"{place}/support", {"hours": "4", "reason": "Guasto"})
    taken_back(admin, page)


def test_what_is_destroyed_offers_no_way_back(hers, admin):
    page = done(admin, f"/models/{hers.model.pk}/delete", {})
    assert undo_of(page) is None
    page = done(admin, f"/keys/{hers.key.pk}/delete", {})
    assert undo_of(page) is None
    page = done(admin, f"/organizations/{hers.organization.pk}/tokens/{hers.token.pk}/revoke", {})
    assert undo_of(page) is None
