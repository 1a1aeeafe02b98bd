"""Models that stop or come back by what happens around them are announced, once each."""

import pytest

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.keys import services as keys
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations.models import Announcement
from tenants.organizations.roles import Role
from tenants.organizations.services import set_suspended
from tenants.registry import announcing, services
from tests import factories, people
from tests.factories import ACTOR
from tests.keys.keyring import checked, registered, set_back
from tests.people import session_caller
from tests.registry.steps import create

BLOCKED, READY = "model.blocked", "model.ready"


@pytest.fixture
def make(organization, made_up):
    """Make a model of that name behind a valid key, in a workspace."""

    def made(name: str, workspace):
        workspace.organization = organization
        key = checked(registered(workspace, made_up(organization="aurora", workspace="main")))
        return create(workspace, key=key, name=name)[0]

    return made


def told(organization) -> list[tuple[str, str, str]]:
    """What was announced of models: kind, name and reason."""
    with scope.tenant(organization.pk):
        rows = Announcement.objects.filter(kind__in=[BLOCKED, READY]).order_by("created_at", "id")
        return [(row.kind, row.data["name"], row.data.get("reason", "")) for row in rows]


def spoil(model) -> None:
    """Have the model's key be known as refused."""
    with scope.tenant(model.organization_id):
        MistralKey.objects.filter(pk=model.key_id).update(status=KeyStatus.INVALID)


def test_archiving_a_workspace_announces_its_models_in_both_houses(organization, make):
    admin = session_caller(people.member(organization, Role.ADMIN).person)
    by_program, by_page = factories.workspace(organization), factories.workspace(organization)
    make("A", by_program)
    services.retire_model(actor=ACTOR, model=make("B", by_program))
    make("C", by_page)
    for _ in range(2):
        assert admin.post(f"workspaces/{by_program.pk}/archive", {}).status == 200
    assert told(organization) == [(BLOCKED, "A", "workspace_archived")]
    html = {"Accept": "text/html"}
    assert admin.client.post(f"/workspaces/{by_page.pk}/archive", headers=html).status_code == 303
    assert told(organization)[1:] == [(BLOCKED, "C", "workspace_archived")]


def test_suspending_announces_what_stops_and_reactivating_what_works_again(organization, make):
    make("A", factories.default_workspace(organization))
    lost = make("B", factories.default_workspace(organization))
    with scope.tenant(organization.pk):
        key = MistralKey.objects.get(pk=lost.key_id)
    keys.delete_key(actor=ACTOR, key=key, force=True)
    assert told(organization) == [(BLOCKED, "B", "key_revoked")]
    for suspended, tell in (
        (True, announcing.organization_suspended),
        (True, announcing.organization_suspended),
        (False, announcing.organization_reactivated),
    ):
        set_suspended(actor=ACTOR, organization=organization, suspended=suspended, tell=tell)
    assert told(organization)[1:] == [(BLOCKED, "A", "organization_suspended"), (READY, "A", "")]


def test_what_happens_to_keys_of_a_suspended_organization_neither_stops_nor_frees(
    organization, make
):
    model = make("A", factories.default_workspace(organization))
    set_suspended(actor=ACTOR, organization=organization, suspended=True)
    with scope.tenant(organization.pk):
        key = MistralKey.objects.get(pk=model.key_id)
    keys.delete_key(actor=ACTOR, key=key, force=True)
    assert told(organization) == []


def test_a_key_that_works_again_or_another_one_brings_its_models_back(organization, make, made_up):
    workspace = factories.default_workspace(organization)
    model = make("A", workspace)
    spoil(model)
    with scope.tenant(organization.pk):
        key = MistralKey.objects.get(pk=model.key_id)
    checked(set_back(key, next_check_at=1))
    assert told(organization) == [(READY, "A", "")]
    spoil(model)
    other = checked(registered(workspace, made_up(organization="aurora", workspace="main")))
    services.update_model(actor=ACTOR, model=model, changes={"key": other})
    assert told(organization)[1:] == [(READY, "A", "")]


def test_another_secret_behind_the_key_brings_its_models_back(organization, make, made_up):
    model = make("A", factories.default_workspace(organization))
    spoil(model)
    with scope.tenant(organization.pk):
        key = MistralKey.objects.get(pk=model.key_id)
    plain = Secret(made_up(organization="aurora", workspace="main"))
    keys.replace_secret(actor=ACTOR, key=key, plain=plain)
    assert told(organization) == [(READY, "A", "")]
    checked(key)
    assert told(organization) == [(READY, "A", "")], "once"
