"""Verbs on organizations and workspaces."""

import pytest

from tenants.common import scope
from tenants.common.problems import Conflict
from tenants.organizations import services
from tenants.organizations.models import AuditEvent, DataKey, Organization, Workspace
from tests import factories
from tests.factories import ACTOR


def test_an_organization_comes_with_a_default_workspace_a_data_key_and_an_audit_row():
    organization, workspace = services.create_organization(
        actor=ACTOR, name="Bianchi SpA", owner_email="a@bianchi.example"
    )
    with scope.tenant(organization.id):
        assert Workspace.objects.get() == workspace
        assert (workspace.name, workspace.is_default) == ("Bianchi SpA", True)
        assert DataKey.objects.get().version == 1
        event = AuditEvent.objects.get()
    assert (event.verb, event.target_id) == ("organization.created", organization.id)


def test_a_slug_is_made_from_the_name_and_stays_unique():
    first, second = (factories.organization(name="Caffè Ünïcode & C.") for _ in range(2))
    assert first.slug.startswith("caffe-unicode-c-")
    assert first.slug != second.slug


def test_a_taken_slug_is_refused_and_nothing_is_made(organization):
    with scope.platform():
        before = Organization.objects.count()
    with pytest.raises(Conflict) as refusal:
        services.create_organization(
            actor=ACTOR, name="Other", owner_email="o@other.example", slug=organization.slug
        )
    assert refusal.value.code == "slug_taken"
    with scope.platform():
        assert Organization.objects.count() == before


def test_two_active_workspaces_cannot_share_a_name_in_any_spelling(organization):
    factories.workspace(organization, "Produzione")
    with pytest.raises(Conflict) as refusal:
        factories.workspace(organization, "PRODUZIONE")
    assert refusal.value.code == "name_taken"


def test_an_archived_workspace_frees_its_name_and_archiving_again_changes_nothing(organization):
    old = factories.workspace(organization, "Prove")
    services.archive_workspace(actor=ACTOR, workspace=old)
    archived_at = services.archive_workspace(actor=ACTOR, workspace=old).archived_at
    assert archived_at is not None
    assert factories.workspace(organization, "Prove").archived_at is None
    with scope.tenant(organization.id):
        assert AuditEvent.objects.filter(verb="workspace.archived").count() == 1
        old.refresh_from_db()
    assert old.archived_at == archived_at


def test_the_default_workspace_cannot_be_archived(workspace):
    with pytest.raises(Conflict) as refusal:
        services.archive_workspace(actor=ACTOR, workspace=workspace)
    assert refusal.value.code == "default_workspace"


def test_an_update_says_which_fields_changed_and_nothing_of_their_values(organization):
    services.update_organization(
        actor=ACTOR, organization=organization, changes={"name": "New name", "locale": "it"}
    )
    with scope.tenant(organization.id):
        assert AuditEvent.objects.get(verb="organization.updated").changed == ["name"]
        assert Organization.objects.get().name == "New name"
