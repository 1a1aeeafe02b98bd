"""A model changes, retires, has its token rotated, and follows its key."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial

import pytest
from django.db import connection
from django.utils import timezone

from tenants.common import scope, tokens
from tenants.common.problems import Conflict, Invalid, Problem
from tenants.common.secrets import Secret
from tenants.keys import services as keys
from tenants.keys.models import KeyStatus, MistralKey
from tenants.registry import services, status
from tenants.registry.status import BlockedReason
from tests.factories import ACTOR
from tests.keys.keyring import checked, name_of, registered, set_back
from tests.registry.steps import FINE_TUNED, create, models_of, refused, tokens_of, verbs


def test_a_model_may_change_and_what_is_not_named_stays(workspace, key):
    model, token = create(workspace, description="vecchia", timeout=30)
    changed = services.update_model(
        actor=ACTOR,
        model=model,
        changes={"description": "nuova", "created_by": "x", "purposes": ["import_export"]},
    )
    assert (changed.description, changed.timeout) == ("nuova", 30)
    assert (changed.purposes, changed.created_by) == (["import_export"], ACTOR.name)
    assert verbs(model) == ["model.created", "model.updated"]
    services.update_model(actor=ACTOR, model=changed, changes={"description": "nuova"})
    assert len(verbs(model)) == 2
    assert bytes(tokens_of(model)[0].digest) == tokens.digest(token.reveal())


def test_another_mistral_model_is_checked_like_the_first(workspace, key):
    model, _token = create(workspace)
    refused(
        lambda: services.update_model(
            actor=ACTOR, model=model, changes={"mistral_model": "mistral-tiny"}
        ),
        Invalid,
        "model_not_available",
    )
    changed = services.update_model(
        actor=ACTOR, model=model, changes={"mistral_model": "mistral-embed"}
    )
    assert changed.mistral_model == "mistral-embed"
    assert changed.context_size == 8192, "never more than the new model takes"


def test_another_key_is_checked_like_the_first(workspace, key, made_up):
    model, _token = create(workspace, key=key, mistral_model=FINE_TUNED)
    blind = checked(registered(workspace, made_up(organization="borea")))
    broke = checked(registered(workspace, made_up(behaviour={"error": "billing_inactive"})))
    good = checked(registered(workspace, made_up(organization="aurora")))

    def change(key):
        return services.update_model(actor=ACTOR, model=model, changes={"key": key})

    refused(lambda: change(blind), Invalid, "model_not_available")
    refused(lambda: change(broke), Conflict, "no_usable_key")
    assert models_of(workspace.organization)[0].key_id == key.id
    assert change(good).key == good


def test_a_retired_model_stops_with_its_tokens_and_keeps_its_history(workspace, key):
    model, _token = create(workspace)
    services.rotate_token(actor=ACTOR, model=model, grace_seconds=60)
    retired = services.retire_model(actor=ACTOR, model=model)
    assert retired.retired_at is not None
    assert all(token.revoked_at for token in tokens_of(model))
    again = services.retire_model(actor=ACTOR, model=model)
    assert again.retired_at == retired.retired_at
    assert verbs(model)[-1:] == ["model.retired"]
    assert verbs(model).count("model.retired") == 1
    for call in (
        lambda: services.update_model(actor=ACTOR, model=model, changes={"name": "x"}),
        lambda: services.rotate_token(actor=ACTOR, model=model),
    ):
        refused(call, Conflict, "model_retired")


def test_without_grace_the_old_token_stops_at_once(workspace, key):
    model, first = create(workspace)
    second = services.rotate_token(actor=ACTOR, model=model)
    old, new = tokens_of(model)
    assert first != second
    assert old.revoked_at is not None
    assert (new.revoked_at, new.expires_at) == (None, None)
    assert bytes(new.digest) == tokens.digest(second.reveal())


def test_with_grace_the_old_token_ends_later_but_never_later_than_it_would(workspace, key):
    model, _token = create(workspace)
    services.rotate_token(actor=ACTOR, model=model, grace_seconds=60)
    services.rotate_token(actor=ACTOR, model=model, grace_seconds=3600)
    first, second, third = tokens_of(model)
    now = timezone.now()
    assert timedelta(0) < first.expires_at - now <= timedelta(seconds=60)
    assert timedelta(seconds=3500) < second.expires_at - now <= timedelta(seconds=3600)
    assert third.expires_at is None


@pytest.mark.parametrize("grace", [-1, 30 * 86_400 + 1])
def test_a_grace_out_of_range_is_refused_and_rotates_nothing(workspace, key, grace):
    model, _token = create(workspace)
    refused(
        lambda: services.rotate_token(actor=ACTOR, model=model, grace_seconds=grace),
        Invalid,
        "grace_out_of_range",
    )
    (only,) = tokens_of(model)
    assert (only.revoked_at, only.expires_at) == (None, None)


def test_a_key_is_never_deleted_under_a_model_that_is_just_being_made(workspace, made_up):
    """Whoever comes second sees the other: no model is born on a key that is gone."""

    def in_thread(call):
        try:
            return call()
        except Problem as problem:
            return problem
        finally:
            connection.close()

    for number in range(6):
        key = checked(registered(workspace, made_up()))
        calls: list[Callable[[], object]] = [
            partial(create, workspace, key=key, name=f"m{number}"),
            partial(keys.delete_key, actor=ACTOR, key=key),
        ]
        with ThreadPoolExecutor(2) as threads:
            made, deleted = threads.map(in_thread, calls)
        with scope.tenant(key.organization_id):
            row = MistralKey.objects.get(pk=key.pk)
        if isinstance(made, Problem):
            assert row.status == KeyStatus.REVOKED
        else:
            assert (deleted.code, row.status) == ("key_in_use", KeyStatus.VALID)


def test_a_model_follows_its_key_into_trouble_and_out_of_it(workspace, made_up, mistral):
    plain = made_up()
    key = checked(registered(workspace, plain))
    model, _token = create(workspace)

    def reason() -> BlockedReason | None:
        with scope.tenant(model.organization_id):
            row = type(model).objects.select_related("organization", "workspace", "key")
            return status.of(row.get(pk=model.pk), timezone.now())

    assert reason() is None
    mistral.state.change(name_of(plain), behaviour={"error": "billing_inactive"})
    checked(set_back(key, next_check_at=1))
    assert reason() is None, "one refusal may be a slip"
    checked(set_back(key, next_check_at=1))
    assert reason() is BlockedReason.KEY_SUSPENDED
    mistral.state.change(name_of(plain), behaviour={"error": "unauthorized"})
    checked(set_back(key, next_check_at=1))
    assert reason() is BlockedReason.KEY_INVALID
    keys.replace_secret(actor=ACTOR, key=key, plain=Secret(made_up()))
    assert reason() is None, "a secret that was not judged yet blocks nothing"
    checked(key)
    assert reason() is None
    keys.delete_key(actor=ACTOR, key=key, force=True)
    assert reason() is BlockedReason.KEY_REVOKED
