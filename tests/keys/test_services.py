"""Verbs on keys: register, change, replace, ask for a check, delete."""

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.utils import timezone

from tenants.common import scope, tokens
from tenants.common.problems import Conflict, Invalid, Unavailable
from tenants.common.secrets import Secret
from tenants.keys import custody, services
from tenants.keys.models import KeyStatus, MistralKey
from tenants.organizations import services as organizations
from tenants.organizations.models import AuditEvent, DataKey
from tenants.registry.models import RegisteredModel
from tests import factories
from tests.factories import ACTOR
from tests.keys.keyring import checked, fresh, registered, seen

PLAIN = "HQSxGm3vTb8yLw5kZr2nXc7dJp4fUg6Y"


def register(workspace, plain=PLAIN, **facts):
    return services.register_key(actor=ACTOR, workspace=workspace, plain=Secret(plain), **facts)


def keys_of(organization) -> int:
    with scope.tenant(organization.id):
        return MistralKey.objects.count()


def verbs(key) -> list[str]:
    with scope.tenant(key.organization_id):
        events = AuditEvent.objects.filter(target_id=key.id).order_by("id")
        return [event.verb for event in events]


def used_by(key, name="Assistente", **facts) -> RegisteredModel:
    with scope.tenant(key.organization_id):
        return RegisteredModel.objects.create(
            organization_id=key.organization_id,
            workspace_id=key.workspace_id,
            key=key,
            name=name,
            mistral_model="mistral-small-latest",
            purposes=["deep_thought"],
            created_by="tests",
            **facts,
        )


def test_a_registered_key_is_pending_sealed_and_recognised_by_its_last_four(workspace):
    registration = register(workspace, name="Produzione", expires_on=date(2199, 1, 31))
    key = registration.key
    assert (registration.created, registration.cautions) == (True, ())
    assert (key.status, key.name, key.last4) == (KeyStatus.PENDING, "Produzione", "Ug6Y")
    assert (key.expires_on, key.created_by) == (date(2199, 1, 31), ACTOR.name)
    assert PLAIN.encode() not in bytes(fresh(key).sealed)
    assert verbs(key) == ["key.registered"]
    with scope.tenant(key.organization_id):
        assert custody.borrow(fresh_in_scope(key)) == Secret(PLAIN)


def fresh_in_scope(key):
    return MistralKey.objects.get(pk=key.pk)


def test_the_same_key_twice_in_one_workspace_is_the_same_key(organization, workspace):
    first = register(workspace, name="one").key
    again = register(workspace, name="two")
    assert (again.key, again.created, again.key.name) == (first, False, "one")
    assert keys_of(organization) == 1
    assert verbs(first) == ["key.registered"]


def test_the_same_key_registered_at_once_by_many_is_one_key(organization, workspace):
    def one(_number):
        try:
            return register(workspace)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        registrations = list(threads.map(one, range(4)))
    assert sum(registration.created for registration in registrations) == 1
    assert len({registration.key.id for registration in registrations}) == 1
    assert keys_of(organization) == 1


def test_in_another_workspace_it_is_accepted_and_whoever_registers_it_is_told(organization):
    first, second = (factories.workspace(organization) for _ in range(2))
    assert register(first).cautions == ()
    registration = register(second)
    assert registration.created
    assert [caution.code for caution in registration.cautions] == ["duplicate_elsewhere"]
    assert first.name not in registration.cautions[0].detail


def test_between_organizations_a_duplicate_tells_neither_side_anything(workspace, stranger):
    mine = register(workspace).key
    before = fresh(mine)
    theirs = register(factories.default_workspace(stranger))
    assert (theirs.created, theirs.cautions) == (True, ())
    after = fresh(mine)
    for field in MistralKey._meta.fields:
        assert getattr(after, field.attname) == getattr(before, field.attname)


def test_a_deleted_key_may_be_registered_anew(organization, workspace):
    old = register(workspace).key
    services.delete_key(actor=ACTOR, key=old)
    registration = register(workspace)
    assert registration.created
    assert registration.key != old
    assert registration.cautions == ()


@pytest.mark.parametrize(
    "plain",
    [
        "",
        "   ",
        "too-short",
        "x" * 129,
        "two words of a key that has spaces",
        "caffè-caffè-caffè-caffè",
        "with\x00control\x07characters-in-it",
        "HQSx...Ug6Y",
        "••••••••••••••••••••••••",
        "HQSx••••••••••••••••••••Ug6Y",
        "****1234",
        "************************1234",
        "............................1234",
        "HQSx…………………………………………Ug6Y",
        "aim_mdl_something",
        "aim_plat_0000000000000000000000000000000000",
    ],
)
def test_what_cannot_be_a_key_is_refused_with_a_reason_and_without_a_trace(
    organization, workspace, plain
):
    with pytest.raises(Invalid) as refusal:
        register(workspace, plain)
    problem = refusal.value
    assert (problem.status, problem.code) == (422, "key_malformed")
    assert problem.errors[0].pointer == "/key"
    assert len(plain) < 8 or plain.strip() not in problem.detail
    assert keys_of(organization) == 0


@pytest.mark.parametrize("kind", tokens.TokenKind)
def test_none_of_our_own_tokens_is_taken_for_a_key(organization, workspace, kind):
    with pytest.raises(Invalid) as refusal:
        register(workspace, tokens.mint(kind).reveal())
    assert refusal.value.code == "key_malformed"
    assert keys_of(organization) == 0


@pytest.mark.parametrize(
    "pasted",
    [
        f"  {PLAIN}\n",
        f'"{PLAIN}"',
        f"'{PLAIN}'",
        f"Bearer {PLAIN}",
        f"Authorization: Bearer {PLAIN}",
        f"\u201c{PLAIN}\u201d\n",
    ],
)
def test_what_surrounds_a_pasted_key_is_taken_off_and_told(workspace, pasted):
    registration = register(workspace, pasted)
    assert [caution.code for caution in registration.cautions] == ["key_trimmed"]
    with scope.tenant(workspace.organization_id):
        assert custody.borrow(fresh_in_scope(registration.key)) == Secret(PLAIN)


@pytest.mark.parametrize("length", [20, 128])
def test_the_form_of_a_key_is_judged_loosely(workspace, length):
    assert register(workspace, "k!_-~." + "9" * (length - 6)).created


def test_a_key_whose_date_is_over_is_refused_and_todays_is_still_good(organization, workspace):
    today = timezone.localdate(timezone=ZoneInfo("Europe/Rome"))
    with pytest.raises(Invalid) as refusal:
        register(workspace, expires_on=today - timedelta(days=1))
    assert refusal.value.code == "expired_already"
    assert keys_of(organization) == 0
    assert register(workspace, expires_on=today).created


def test_the_day_is_counted_in_the_organizations_zone(monkeypatch):
    organization = factories.organization(timezone_name="Pacific/Kiritimati")
    noon = datetime(2026, 6, 15, 12, tzinfo=UTC)
    monkeypatch.setattr(timezone, "now", lambda: noon)
    with pytest.raises(Invalid):  # it is the 16th there already
        register(factories.default_workspace(organization), expires_on=date(2026, 6, 15))
    register(factories.default_workspace(organization), expires_on=date(2026, 6, 16))


def test_an_archived_workspace_takes_no_key(organization):
    archived = factories.workspace(organization)
    organizations.archive_workspace(actor=ACTOR, workspace=archived)
    with pytest.raises(Conflict) as refusal:
        register(archived)
    assert refusal.value.code == "workspace_archived"
    assert keys_of(organization) == 0


def test_without_a_data_key_nothing_is_stored(organization, workspace):
    with scope.tenant(organization.id):
        DataKey.objects.all().delete()
    with pytest.raises(Unavailable) as refusal:
        register(workspace)
    assert refusal.value.code == "vault_unavailable"
    assert keys_of(organization) == 0


def test_name_and_date_may_change_and_nothing_else(workspace, made_up):
    key = checked(registered(workspace, made_up()))
    changes = {"name": "Nuova", "status": "invalid", "last4": "0000", "sealed": b""}
    key = services.update_key(actor=ACTOR, key=key, changes=changes)
    assert (key.name, key.status, key.last4) == ("Nuova", KeyStatus.VALID, fresh(key).last4)
    assert verbs(key)[-1] == "key.updated"
    before = len(verbs(key))
    services.update_key(actor=ACTOR, key=key, changes={"name": "Nuova"})
    assert len(verbs(key)) == before, "a change that changes nothing is no event"


def test_a_later_date_wakes_an_expired_key(workspace, made_up):
    key = registered(workspace, made_up())
    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(expires_on=date(2020, 1, 1))
    key = checked(key)
    assert key.status == KeyStatus.EXPIRED
    with pytest.raises(Invalid):
        services.update_key(actor=ACTOR, key=key, changes={"expires_on": date(2020, 2, 1)})
    key = services.update_key(actor=ACTOR, key=key, changes={"expires_on": None})
    assert key.status == KeyStatus.PENDING
    assert checked(key).status == KeyStatus.VALID


def test_a_new_secret_keeps_the_id_and_raises_the_version(workspace, made_up):
    key = checked(registered(workspace, made_up(), expires_on=date(2199, 1, 1)))
    plain = made_up()
    registration = services.replace_secret(actor=ACTOR, key=key, plain=Secret(plain))
    replaced = registration.key
    assert (replaced.id, replaced.secret_version) == (key.id, 2)
    assert (replaced.last4, replaced.expires_on) == (plain[-4:], None)
    assert (replaced.status, replaced.verdict_code) == (KeyStatus.PENDING, "")
    assert seen(replaced), "models of the old secret stay listed until the new one is checked"
    with scope.tenant(key.organization_id):
        assert custody.borrow(fresh_in_scope(key)) == Secret(plain)
    assert verbs(key)[-1] == "key.secret_replaced"


def test_the_old_box_does_not_open_as_the_new_version(workspace, made_up):
    key = registered(workspace, made_up())
    old = bytes(fresh(key).sealed)
    services.replace_secret(actor=ACTOR, key=key, plain=Secret(made_up()))
    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(sealed=old)
        with pytest.raises(custody.UndecryptableError):
            custody.borrow(fresh_in_scope(key))


def test_the_same_secret_again_replaces_nothing(workspace):
    key = register(workspace).key
    registration = services.replace_secret(actor=ACTOR, key=key, plain=Secret(PLAIN))
    assert (registration.created, registration.key.secret_version) == (False, 1)
    assert verbs(key) == ["key.registered"]


@pytest.mark.parametrize("verb", ["register", "replace"])
def test_a_key_that_cannot_be_opened_any_more_heals_when_it_is_entered_again(
    organization, workspace, made_up, verb
):
    plain = made_up()
    key = registered(workspace, plain, expires_on=date(2199, 1, 1))
    with scope.tenant(organization.id):
        MistralKey.objects.filter(pk=key.pk).update(sealed=b"\x01\x01dnoise")
    assert checked(key).status == KeyStatus.UNDECRYPTABLE
    if verb == "register":
        again = register(workspace, plain)
        assert (again.created, again.key.expires_on) == (False, date(2199, 1, 1))
    else:
        again = services.replace_secret(actor=ACTOR, key=key, plain=Secret(plain))
        assert again.created
    assert (again.key.id, again.key.secret_version) == (key.id, 2)
    assert (again.key.status, keys_of(organization)) == (KeyStatus.PENDING, 1)
    assert checked(key).status == KeyStatus.VALID


def test_a_secret_that_another_key_of_the_workspace_has_is_refused(workspace, made_up):
    register(workspace)
    other = registered(workspace, made_up())
    with pytest.raises(Conflict) as refusal:
        services.replace_secret(actor=ACTOR, key=other, plain=Secret(PLAIN))
    assert refusal.value.code == "key_duplicate"
    assert fresh(other).secret_version == 1


def test_a_masked_secret_never_replaces_a_real_one(workspace):
    key = register(workspace).key
    with pytest.raises(Invalid):
        services.replace_secret(actor=ACTOR, key=key, plain=Secret("••••••••••••••••••••Ug6Y"))
    with scope.tenant(key.organization_id):
        assert custody.borrow(fresh_in_scope(key)) == Secret(PLAIN)


def test_a_check_may_be_asked_for(workspace, made_up):
    key = checked(registered(workspace, made_up()))
    first = key.checked_at
    services.request_validation(actor=ACTOR, key=key)
    assert checked(key).checked_at > first
    assert verbs(key)[-1] == "key.check_requested"


def test_a_deleted_key_is_shredded_and_its_row_stays(workspace, made_up):
    key = checked(registered(workspace, made_up()))
    assert seen(key)
    key = services.delete_key(actor=ACTOR, key=key)
    assert (key.status, key.sealed) == (KeyStatus.REVOKED, None)
    assert key.revoked_at is not None
    assert (key.next_check_at, key.claim) == (None, None)
    assert seen(key) == set()
    assert verbs(key)[-1] == "key.deleted"
    with pytest.raises(custody.UndecryptableError), scope.tenant(key.organization_id):
        custody.borrow(key)


def test_deleting_twice_changes_nothing_the_second_time(workspace):
    key = services.delete_key(actor=ACTOR, key=register(workspace).key)
    again = services.delete_key(actor=ACTOR, key=key)
    assert again.revoked_at == key.revoked_at
    assert verbs(key).count("key.deleted") == 1


def test_a_key_in_use_is_not_deleted_and_the_answer_names_its_models(workspace, made_up):
    key = checked(registered(workspace, made_up()))
    used_by(key, "Assistente")
    used_by(key, "Archivio")
    used_by(key, "Vecchio", retired_at=timezone.now())
    with pytest.raises(Conflict) as refusal:
        services.delete_key(actor=ACTOR, key=key)
    problem = refusal.value
    assert (problem.code, problem.members["in_use_by"]) == ("key_in_use", 2)
    assert [model["name"] for model in problem.members["models"]] == ["Archivio", "Assistente"]
    assert "Archivio, Assistente" in problem.detail
    assert fresh(key).status == KeyStatus.VALID
    assert fresh(key).sealed is not None


def test_force_deletes_a_key_in_use(workspace, made_up):
    key = registered(workspace, made_up())
    used_by(key)
    assert services.delete_key(actor=ACTOR, key=key, force=True).status == KeyStatus.REVOKED


@pytest.mark.parametrize(
    "verb",
    [
        lambda key: services.update_key(actor=ACTOR, key=key, changes={"name": "x"}),
        lambda key: services.request_validation(actor=ACTOR, key=key),
        lambda key: services.replace_secret(
            actor=ACTOR, key=key, plain=Secret("n" * 16 + "9" * 16)
        ),
    ],
    ids=["update", "request_validation", "replace_secret"],
)
def test_a_deleted_key_comes_back_by_no_verb(workspace, verb):
    stale = register(workspace).key
    services.delete_key(actor=ACTOR, key=stale)
    with pytest.raises(Conflict) as refusal:
        verb(stale)
    assert refusal.value.code == "key_revoked"
    assert fresh(stale).sealed is None
