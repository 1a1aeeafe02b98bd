"""A workspace may declare its workspace at Mistral; keys of another one are not used."""

import pytest

from aisuru_mistral.simulator.keys import REGISTER
from tenants.common import scope
from tenants.common.problems import Conflict
from tenants.common.secrets import Secret
from tenants.keys import declaring, services
from tenants.keys.models import KeyStatus, VerdictCode
from tenants.organizations import services as organizations
from tenants.organizations.models import Announcement, Workspace
from tests.factories import ACTOR
from tests.keys.keyring import checked, fresh, name_of, registered, set_back

AURORA = "Aurora Assicurazioni S.p.A."


@pytest.fixture
def ids():
    """Ids at Mistral of workspaces, by organization and name."""
    return {place: found.id for place, found in REGISTER.workspaces.items()}


def declare(workspace, **declared) -> Workspace:
    columns = {f"mistral_workspace_{name}": value for name, value in declared.items()}
    return organizations.update_workspace(
        actor=ACTOR, workspace=workspace, changes=columns, declare=declaring.apply
    )


@pytest.mark.parametrize("how", ["id", "name"])
def test_a_key_of_another_mistral_workspace_is_suspended_and_says_so(workspace, made_up, how):
    declared = {"id": "00000000-0000-4000-8000-000000000001", "name": "Vendite"}
    declare(workspace, **{how: declared[how]})
    key = checked(registered(workspace, made_up(organization="aurora", workspace="main")))
    assert (key.status, key.verdict_code) == (KeyStatus.SUSPENDED, VerdictCode.WRONG_WORKSPACE)
    assert key.evidence["cause"] == "another_workspace"
    assert key.evidence["confidence"] == ("high" if how == "id" else "medium")
    assert key.identity["organization"] == AURORA, "whose it is instead is told"
    assert key.models_seen > 0


def test_a_key_of_the_declared_workspace_is_valid_whatever_the_case(workspace, made_up, ids):
    declare(workspace, id=ids["aurora", "main"].upper(), name="not looked at: the id is known")
    key = checked(registered(workspace, made_up(organization="aurora", workspace="main")))
    assert key.status == KeyStatus.VALID


def test_what_mistral_does_not_tell_is_held_against_nobody(workspace, made_up):
    declare(workspace, id="00000000-0000-4000-8000-000000000001")
    key = checked(registered(workspace, made_up(identity_auth="none")))
    assert (key.status, key.verdict_code) == (KeyStatus.VALID, VerdictCode.OK)


def test_a_declaration_that_would_stop_a_working_key_is_refused_and_changes_nothing(
    workspace, made_up
):
    key = checked(registered(workspace, made_up(organization="aurora", workspace="main")))
    with pytest.raises(Conflict) as refusal:
        declare(workspace, name="Vendite")
    assert refusal.value.code == "keys_of_another_workspace"
    assert refusal.value.members["keys"] == [
        {"id": str(key.pk), "name": "", "mistral_workspace": "Default"}
    ]
    with scope.tenant(workspace.organization_id):
        assert Workspace.objects.get(pk=workspace.pk).mistral_workspace_name == ""
    assert fresh(key).next_check_at == key.next_check_at


def test_declaring_the_right_workspace_brings_the_key_back_by_itself(workspace, made_up, ids):
    declare(workspace, name="Vendite")
    key = checked(registered(workspace, made_up(organization="aurora", workspace="main")))
    assert key.status == KeyStatus.SUSPENDED
    declare(workspace, id=ids["aurora", "main"], name="")
    key = checked(key)
    assert (key.status, key.verdict_code) == (KeyStatus.VALID, VerdictCode.OK)


def test_another_secret_forgets_whose_the_old_one_was(workspace, made_up):
    key = checked(registered(workspace, made_up(organization="aurora", workspace="main")))
    assert key.mistral_organization_id
    assert key.mistral_workspace_id
    other = Secret(made_up(organization="borea", workspace="main"))
    key = services.replace_secret(actor=ACTOR, key=key, plain=other).key
    assert (key.mistral_organization_id, key.mistral_workspace_id) == ("", "")


def announced(organization, *kinds) -> list[tuple[str, dict[str, object]]]:
    with scope.tenant(organization.id):
        rows = Announcement.objects.filter(kind__in=kinds).order_by("id")
        return [(row.kind, row.data) for row in rows]


def test_what_becomes_of_a_key_is_announced_once_each_time(
    organization, workspace, made_up, mistral
):
    kinds = ("key.validated", "key.invalid", "model.blocked")
    plain = made_up()
    key = checked(registered(workspace, plain, name="Produzione"))
    key = checked(set_back(key, next_check_at=1))
    told = announced(organization, *kinds)
    assert [kind for kind, _data in told] == ["key.validated"], "a check that changes nothing"
    assert told[0][1] == {
        "key_id": str(key.pk),
        "name": "Produzione",
        "last4": plain[-4:],
        "status": "valid",
        "code": "ok",
        "cause": "accepted",
        "models": [],
    }
    mistral.state.change(name_of(plain), behaviour={"error": "billing_inactive"})
    for _ in range(2):
        key = checked(set_back(key, next_check_at=1))
    assert key.status == KeyStatus.SUSPENDED
    kind, data = announced(organization, *kinds)[1]
    assert (kind, data["status"], data["code"]) == ("key.invalid", "suspended", "billing_inactive")
    assert plain not in str(announced(organization, *kinds))
