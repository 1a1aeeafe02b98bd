"""A model token resolves to one picture of everything a call needs."""

from datetime import date, timedelta
from secrets import token_bytes

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tenants.common import scope, tokens
from tenants.common.secrets import Secret
from tenants.keys import custody
from tenants.keys import services as keys
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations import services as organizations
from tenants.organizations.models import DataKey, Organization
from tenants.registry import services, snapshots
from tenants.registry.models import ModelToken
from tenants.registry.status import BlockedReason
from tests import factories
from tests.factories import ACTOR
from tests.keys.keyring import checked, registered, set_back
from tests.registry.steps import create, tokens_of

FINE_TUNED = "ft:mistral-small-2603:aurora-claims:20260310:7e773925"


def resolved(token):
    snapshot = snapshots.resolve(tokens.digest(token.reveal()))
    assert snapshot is not None
    return snapshot


@pytest.fixture
def workspace():
    """A workspace of an organization whose facts are none of the defaults."""
    organization = factories.organization(
        locale="en", timezone_name="America/New_York", currency="USD"
    )
    workspace = factories.workspace(organization)
    workspace.organization = organization
    return workspace


def test_a_snapshot_has_everything_a_call_needs(workspace, made_up):
    plain = made_up(organization="aurora", workspace="main")
    key = checked(registered(workspace, plain, expires_on=date(2199, 1, 1)))
    model, token = create(
        workspace, context_size=1000, timeout=30, defaults={"temperature": 0.2, "max_tokens": 9}
    )
    snapshot = resolved(token)
    organization = workspace.organization
    assert snapshot.organization == snapshots.OrganizationFacts(
        organization.id, "active", "en", "America/New_York", "USD"
    )
    assert snapshot.workspace == snapshots.WorkspaceFacts(workspace.id, is_archived=False)
    assert snapshot.model == snapshots.ModelFacts(
        id=model.id,
        name="Assistente",
        mistral_model="mistral-small-latest",
        canonical_model="mistral-small-2603",
        base_model=None,
        context_length=262144,
        context_size=1000,
        timeout=30,
        defaults={"temperature": 0.2, "max_tokens": 9},
        is_retired=False,
    )
    assert (snapshot.key.id, snapshot.key.status) == (key.id, KeyStatus.VALID)
    assert snapshot.key.expires_on == date(2199, 1, 1)
    assert snapshot.token_id == tokens_of(model)[0].id
    assert snapshot.blocked(timezone.now()) is None
    assert custody.open_sealed(snapshot.key.sealed) == Secret(plain)
    assert plain not in repr(snapshot)


def test_a_fine_tuned_model_is_its_own_snapshot_with_a_base(workspace, made_up):
    checked(registered(workspace, made_up(organization="aurora", workspace="main")))
    _model, token = create(workspace, mistral_model=FINE_TUNED)
    model = resolved(token).model
    assert (model.canonical_model, model.base_model) == (FINE_TUNED, "mistral-small-2603")


def prepared_tokens():
    """How often each prepared statement about a token and its key was executed."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT generic_plans + custom_plans FROM pg_prepared_statements"
            " WHERE statement ~ '\"(registry_modeltoken|keys_seenmodel)\"'"
        )
        return [times for (times,) in cursor.fetchall()]


def test_it_takes_one_look_for_the_tenant_and_two_prepared_queries_in_its_scope(workspace, key):
    _model, token = create(workspace)
    before = sum(prepared_tokens())
    with CaptureQueriesContext(connection) as queries:
        resolved(token)
        resolved(token)
    asked = [query["sql"] for query in queries if query["sql"].startswith("SELECT")]
    assert len(asked) == 3, "the tenant of the token, once, and two scopes"
    assert sum(prepared_tokens()) - before == 4, "the token, and what its key calls otherwise"


def test_a_digest_nobody_made_resolves_to_nothing(key):
    assert snapshots.resolve(token_bytes(32)) is None
    assert snapshots.resolve(b"") is None


def test_a_revoked_token_resolves_to_nothing_and_its_successor_does(workspace, key):
    model, old = create(workspace)
    new = services.rotate_token(actor=ACTOR, model=model)
    assert snapshots.resolve(tokens.digest(old.reveal())) is None
    assert resolved(new).model.id == model.id


def test_a_token_in_its_grace_resolves_until_the_grace_is_over(workspace, key):
    model, old = create(workspace)
    services.rotate_token(actor=ACTOR, model=model, grace_seconds=60)
    assert resolved(old).model.id == model.id
    with scope.tenant(model.organization_id):
        past = timezone.now() - timedelta(seconds=1)
        ModelToken.objects.filter(digest=tokens.digest(old.reveal())).update(expires_at=past)
    assert snapshots.resolve(tokens.digest(old.reveal())) is None


def test_a_retired_model_resolves_to_nothing(workspace, key):
    model, token = create(workspace)
    services.retire_model(actor=ACTOR, model=model)
    assert snapshots.resolve(tokens.digest(token.reveal())) is None


def test_a_replaced_secret_is_in_the_next_snapshot(workspace, key, made_up):
    _model, token = create(workspace)
    before = resolved(token).key.sealed
    plain = made_up()
    keys.replace_secret(actor=ACTOR, key=key, plain=Secret(plain))
    after = resolved(token).key.sealed
    assert (before.secret_version, after.secret_version) == (1, 2)
    assert custody.open_sealed(after) == Secret(plain)


def test_a_shredded_key_leaves_a_blocked_model_without_a_box(workspace, key):
    _model, token = create(workspace)
    keys.delete_key(actor=ACTOR, key=key, force=True)
    snapshot = resolved(token)
    assert snapshot.key.sealed is None
    assert snapshot.blocked(timezone.now()) is BlockedReason.KEY_REVOKED


def test_a_destroyed_data_key_leaves_a_box_that_nothing_opens(workspace, key):
    _model, token = create(workspace)
    with scope.tenant(key.organization_id):
        DataKey.objects.all().delete()
    sealed = resolved(token).key.sealed
    assert sealed.data_key is None
    with pytest.raises(custody.UndecryptableError):
        custody.open_sealed(sealed)


def test_a_model_that_left_the_keys_list_still_has_a_name_and_a_context(
    workspace, made_up, mistral
):
    key = checked(registered(workspace, made_up()))
    _model, token = create(workspace, mistral_model="mistral-large-latest")
    with scope.tenant(key.organization_id):
        key.seen_models.all().delete()
    model = resolved(token).model
    assert (model.canonical_model, model.context_length) == ("mistral-large-2512", 262144)


def test_what_stops_a_model_is_told_by_its_snapshot(workspace, made_up):
    key = checked(registered(workspace, made_up()))
    _model, token = create(workspace)

    def reason():
        return resolved(token).blocked(timezone.now())

    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(expires_on=date(2020, 1, 1))
    assert reason() is BlockedReason.KEY_EXPIRED, "before any worker has noticed"
    checked(set_back(key, next_check_at=1))
    assert resolved(token).key.status == KeyStatus.EXPIRED
    organizations.archive_workspace(actor=ACTOR, workspace=workspace)
    assert reason() is BlockedReason.WORKSPACE_ARCHIVED
    with scope.tenant(key.organization_id):
        Organization.objects.update(status="suspended")
    assert reason() is BlockedReason.ORGANIZATION_SUSPENDED


def test_a_snapshot_cannot_be_changed(workspace, key):
    snapshot = resolved(create(workspace)[1])
    with pytest.raises(AttributeError):
        snapshot.key.status = "valid"
    with pytest.raises(TypeError):
        snapshot.model.defaults["temperature"] = 1
