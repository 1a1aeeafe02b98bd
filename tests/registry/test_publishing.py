"""A model in AIsuru: pushed, followed, looked at, taken away; whatever breaks in between."""

import logging
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from aisuru_mistral.simulator.aisuru import WELL_KNOWN_LOGINS, AisuruBackend, Login
from tenants.aisuru.client import AisuruClient
from tenants.aisuru.completion_config import Flavour
from tenants.common import scope, tokens
from tenants.common.problems import Conflict, Invalid, Unavailable
from tenants.common.secrets import Secret
from tenants.organizations.models import Announcement, AuditEvent
from tenants.registry import connections, publications, publishing, services, sweeping
from tenants.registry.failures import Failure
from tenants.registry.models import (
    AisuruConnection,
    ConnectionStatus,
    ModelToken,
    Publication,
    PublicationStatus,
)
from tests import factories
from tests.api.world import valid_key
from tests.factories import ACTOR
from tests.keys.test_secrecy import assert_absent, everything_stored
from tests.registry.steps import create, tokens_of

ADMIN, USER, _BOREA, LATE = (login.token for login in WELL_KNOWN_LOGINS)
PUBLISHED = PublicationStatus.PUBLISHED
TIMES = {"retry": 0, "retries": 3, "check": 0, "answer": 2}


@pytest.fixture
def aisuru(mistral, settings):
    """AIsuru's backend, a new one for each test."""
    mistral.state.aisuru = backend = AisuruBackend()
    settings.AISURU_API_URL = f"{mistral.url}/api/v2"
    settings.PUBLISHING_TIMING = TIMES
    return backend


@pytest.fixture
def workspace(organization):
    workspace = factories.default_workspace(organization)
    workspace.organization = organization
    return workspace


@pytest.fixture
def key(workspace):
    """A valid key; nobody asks Mistral here."""
    return valid_key(workspace)


@pytest.fixture
def model(workspace, key, aisuru):
    """A model of an organization that has a login at AIsuru."""
    connect(workspace.organization)
    return create(workspace, key=key, description="Per il sito")[0]


def connect(organization, token=ADMIN):
    return connections.set_connection(
        actor=ACTOR, organization=organization, plain=Secret(token), tenant="www.aurora.example"
    )


def publish(model, **how):
    publications.publish_model(actor=ACTOR, model=model, **how)
    return carried(model)


def carried(model):
    """Do what a worker would, once, and see how the model stands."""
    row = standing(model)
    publishing.carry(row.organization_id, row.pk)
    return standing(model)


def standing(model):
    with scope.tenant(model.organization_id):
        return Publication.objects.get(model=model)


def live(model, *, is_published=True):
    with scope.tenant(model.organization_id):
        rows = ModelToken.objects.filter(
            model=model, is_published=is_published, revoked_at=None, expires_at=None
        )
        return {bytes(row.digest) for row in rows}


def told(model, kind):
    with scope.tenant(model.organization_id):
        return [one.data for one in Announcement.objects.filter(kind=kind).order_by("id")]


def verbs(model):
    with scope.tenant(model.organization_id):
        events = AuditEvent.objects.filter(target_id=model.id).order_by("id")
        return [event.verb for event in events]


def login_of(organization):
    with scope.tenant(organization.pk):
        return AisuruConnection.objects.get()


# ── pushed and followed ──────────────────────────────────────────────────────────────────────────


def test_a_model_is_made_there_with_a_token_of_its_own(model, aisuru, settings):
    settings.PUBLIC_URL = "https://gateway.example"
    row = publish(model, flavour=Flavour.CUSTOM_OPENAI)
    config = aisuru.named("Assistente")
    assert (row.status, row.config_id) == (PUBLISHED, config["completionConfigID"])
    assert (row.failure, row.drift, row.wanted, row.done) == ("", [], 1, 1)
    assert config["provider"] == "Custom_OpenAI"
    assert config["endPoint"] == "https://gateway.example/v1"
    assert config["questionAnsweringEnabled"] is True
    assert config["description"] == "Per il sito"
    assert live(model) == {tokens.digest(config["apiKey"])}
    assert len(live(model, is_published=False)) == 1, "the owner's token goes on"
    assert login_of(model.organization).status == ConnectionStatus.VALID
    assert verbs(model) == ["model.created", "model.publish_requested", "model.published"]


def test_what_changes_here_changes_there_and_the_old_token_works_on_for_a_while(model, aisuru):
    publish(model)
    before = dict(aisuru.named("Assistente"))
    services.update_model(
        actor=ACTOR,
        model=model,
        changes={"name": "Consulente", "purposes": ["deep_thought"], "use_as_default": True},
    )
    row = carried(model)
    after = aisuru.named("Consulente")
    assert len(aisuru.configs) == 1
    assert (row.status, after["completionConfigID"]) == (PUBLISHED, before["completionConfigID"])
    assert (after["questionAnsweringEnabled"], after["deepThoughtEnabled"]) == (False, True)
    assert after["useAsDefault"] is True
    assert live(model) == {tokens.digest(after["apiKey"])}
    old = next(
        one for one in tokens_of(model) if bytes(one.digest) == tokens.digest(before["apiKey"])
    )
    assert old.revoked_at is None
    assert timedelta(0) < old.expires_at - timezone.now() <= timedelta(seconds=300)


def test_a_rotated_token_reaches_aisuru(model, aisuru):
    publish(model)
    old = aisuru.named("Assistente")["apiKey"]
    mine = services.rotate_token(actor=ACTOR, model=model)
    assert live(model) == set(), "without a grace every token stops at once, AIsuru's too"
    carried(model)
    new = aisuru.named("Assistente")["apiKey"]
    assert new not in {old, mine.reveal()}
    assert live(model) == {tokens.digest(new)}
    assert live(model, is_published=False) == {tokens.digest(mine.reveal())}


@pytest.mark.parametrize("how", ["withdrawn", "deleted"])
def test_it_is_taken_away_and_its_token_stops_at_once(model, aisuru, how):
    publish(model)
    if how == "deleted":
        services.retire_model(actor=ACTOR, model=model)
    else:
        publications.withdraw_model(
            actor=ACTOR, model_id=model.pk, organization_id=model.organization_id
        )
    assert live(model) == set()
    row = carried(model)
    assert (row.status, row.config_id, row.due_at) == (PublicationStatus.WITHDRAWN, "", None)
    assert aisuru.configs == {}
    assert verbs(model)[-1] == "model.withdrawn"


def test_it_can_be_published_again_unless_it_was_deleted(model, aisuru):
    publish(model)
    publications.withdraw_model(
        actor=ACTOR, model_id=model.pk, organization_id=model.organization_id
    )
    carried(model)
    assert publish(model).status == PUBLISHED
    services.retire_model(actor=ACTOR, model=model)
    with pytest.raises(Conflict) as refusal:
        publications.publish_model(actor=ACTOR, model=model)
    assert refusal.value.code == "model_retired"


def test_a_wish_that_comes_while_a_worker_is_at_it_is_not_lost(model, aisuru, monkeypatch):
    publications.publish_model(actor=ACTOR, model=model)
    plain_create = AisuruClient.create

    def slowly(self, config, token):
        services.update_model(actor=ACTOR, model=model, changes={"name": "Altro"})
        return plain_create(self, config, token)

    monkeypatch.setattr(AisuruClient, "create", slowly)
    row = standing(model)
    assert publishing.carry(row.organization_id, row.pk) is True, "once more"
    assert (standing(model).status, aisuru.named("Assistente")["configName"]) == (
        PublicationStatus.PENDING,
        "Assistente",
    )
    assert carried(model).status == PUBLISHED
    assert aisuru.named("Altro")
    assert len(aisuru.configs) == 1


# ── what breaks ──────────────────────────────────────────────────────────────────────────────────


def test_a_lost_answer_makes_no_second_configuration(model, aisuru):
    publications.publish_model(actor=ACTOR, model=model)
    aisuru.dictate(None, "lost_answer")  # the list comes, the answer to the creation does not
    row = carried(model)
    made = aisuru.named("Assistente")
    assert (row.status, row.failure, row.config_id) == (
        PublicationStatus.PENDING,
        "aisuru_away",
        "",
    )
    assert tokens.digest(made["apiKey"]) in live(model), "it may have arrived: it works"
    row = carried(model)
    assert (row.status, row.config_id) == (PUBLISHED, made["completionConfigID"])
    assert len(aisuru.configs) == 1
    assert live(model) == {tokens.digest(aisuru.named("Assistente")["apiKey"])}


class Killed(BaseException):
    """What kill -9 leaves behind: nothing after it runs."""


def test_a_worker_that_dies_between_their_answer_and_our_commit_leaves_one_configuration(
    model, aisuru, monkeypatch
):
    def die(*_: object) -> None:
        raise Killed

    publications.publish_model(actor=ACTOR, model=model)
    row = standing(model)
    with monkeypatch.context() as patch:
        patch.setattr(publishing, "_commit", die)
        with pytest.raises(Killed):
            publishing.carry(row.organization_id, row.pk)
    assert len(aisuru.configs) == 1
    assert standing(model).claim is not None
    assert publishing.carry(row.organization_id, row.pk) is False, "the dead one's claim holds"
    services.update_model(actor=ACTOR, model=model, changes={"name": "Altro"})
    with scope.tenant(row.organization_id):
        Publication.objects.update(held_until=timezone.now())
    assert carried(model).status == PUBLISHED
    (only,) = aisuru.configs.values()
    assert only["configName"] == "Altro", "found by the name under which it was made"


def test_a_creation_of_unknown_outcome_is_taken_away_too(model, aisuru):
    publications.publish_model(actor=ACTOR, model=model)
    aisuru.dictate(None, "lost_answer")
    carried(model)
    services.retire_model(actor=ACTOR, model=model)
    assert carried(model).status == PublicationStatus.WITHDRAWN
    assert aisuru.configs == {}


def test_workers_at_once_make_one_configuration(model, aisuru):
    publications.publish_model(actor=ACTOR, model=model)
    row = standing(model)

    def carry() -> None:
        try:
            publishing.carry(row.organization_id, row.pk)
        finally:
            connection.close()

    workers = [threading.Thread(target=carry) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert standing(model).status == PUBLISHED
    assert len(aisuru.configs) == 1


def test_it_is_tried_again_later_and_later_then_told_and_still_heals(model, aisuru, settings):
    settings.PUBLISHING_TIMING = TIMES | {"retry": 100, "check": 3_600}
    publications.publish_model(actor=ACTOR, model=model)
    waits = []
    for fault in ("unavailable", "garbage", "busy"):
        aisuru.dictate(fault)
        row = carried(model)
        waits.append(round((row.due_at - timezone.now()).total_seconds(), -2))
        due(model)
    assert (row.status, row.failure, row.attempts) == (PublicationStatus.FAILED, "aisuru_away", 3)
    assert waits == [100, 200, 3_600]
    assert told(model, "model.publication_failed") == [
        {"model_id": str(model.pk), "name": "Assistente", "failure": "aisuru_away"}
    ]
    assert carried(model).status == PUBLISHED


def due(model):
    with scope.tenant(model.organization_id):
        Publication.objects.update(due_at=timezone.now())


def test_a_login_that_is_over_waits_for_another_and_then_goes_on_by_itself(model, aisuru):
    connect(model.organization, LATE)
    row = publish(model)
    assert (row.status, row.failure, row.result_code) == (
        PublicationStatus.FAILED,
        "aisuru_login_refused",
        -103,
    )
    assert row.due_at is None
    assert live(model) == set(), "what was surely refused works nowhere"
    assert login_of(model.organization).status == ConnectionStatus.REFUSED
    connect(model.organization, ADMIN)
    assert standing(model).status == PublicationStatus.PENDING
    assert carried(model).status == PUBLISHED
    assert login_of(model.organization).status == ConnectionStatus.VALID


@pytest.mark.parametrize("status", [200, 403])
def test_a_refusal_is_told_by_its_cause(model, aisuru, status):
    aisuru.refusal_status = status
    connect(model.organization, USER)
    row = publish(model)  # visible to the tenant: nothing for an ordinary login
    assert (row.status, row.failure, row.result_code) == (
        PublicationStatus.FAILED,
        "aisuru_not_permitted",
        -2445,
    )
    services.update_model(actor=ACTOR, model=model, changes={"visible_to_tenant": False})
    assert carried(model).status == PUBLISHED


def test_somebody_elses_configuration_is_left_alone_unless_it_is_to_be_taken_over(model, aisuru):
    login = aisuru.logins[ADMIN]
    theirs = aisuru.create(
        login,
        {
            "configName": "assistente",
            "provider": "OpenAI",
            "model": "gpt",
            "apiKey": "theirs",
            "importExportEnabled": True,
        },
    )
    row = publish(model)
    assert (row.status, row.failure) == (PublicationStatus.FAILED, "aisuru_name_taken")
    assert aisuru.configs == {theirs["completionConfigID"]: theirs}
    row = publish(model, adopt=True)
    assert (row.status, row.config_id) == (PUBLISHED, theirs["completionConfigID"])
    assert aisuru.named("Assistente")["provider"] == "Mistral"


def test_a_configuration_of_another_model_of_ours_is_never_taken_over(model, key, aisuru):
    publish(model)
    other = create(model.workspace, key=key, name="Altro")[0]
    with scope.tenant(model.organization_id):
        type(model).objects.filter(pk=model.pk).update(name="Uno")
        type(model).objects.filter(pk=other.pk).update(name="Assistente")
    row = publish(other, adopt=True)
    assert (row.status, row.failure) == (PublicationStatus.FAILED, "aisuru_name_taken")


def test_a_login_that_is_entered_while_the_old_one_is_refused_is_used_at_once(
    model, aisuru, monkeypatch
):
    connect(model.organization, LATE)
    publications.publish_model(actor=ACTOR, model=model)
    plain_list = AisuruClient.configs

    def meanwhile(self):
        monkeypatch.setattr(AisuruClient, "configs", plain_list)
        connect(model.organization, ADMIN)
        return plain_list(self)

    monkeypatch.setattr(AisuruClient, "configs", meanwhile)
    row = standing(model)
    assert publishing.carry(row.organization_id, row.pk) is True
    assert carried(model).status == PUBLISHED


def test_verbs_and_workers_at_once_block_nobody_and_end_with_one_token_that_works(model, aisuru):
    publish(model)
    failures: list[BaseException] = []

    def repeat(work):
        try:
            for _ in range(6):
                work()
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)
        finally:
            connection.close()

    acts = [
        lambda: services.rotate_token(actor=ACTOR, model=model),
        lambda: connect(model.organization),
        lambda: carried(model),
        lambda: carried(model),
        lambda: publications.publish_model(actor=ACTOR, model=model),
    ]
    threads = [threading.Thread(target=repeat, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for _ in range(3):
        row = carried(model)
    assert row.status == PUBLISHED
    assert len(aisuru.configs) == 1
    assert live(model) == {tokens.digest(aisuru.named("Assistente")["apiKey"])}


# ── drift ────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_changed_over_there_is_shown_once_and_overwritten_by_publishing(model, aisuru):
    publish(model)
    assert carried(model).status == PUBLISHED, "nothing changed"
    aisuru.named("Assistente").update(contextSize=1_000, apiKey="x", description=f"chiave {KEY}")
    row = carried(model)
    assert (row.status, row.drift) == (
        PublicationStatus.CHANGED,
        [
            {"member": "description", "ours": "Per il sito", "theirs": "chiave ****"},
            {"member": "contextSize", "ours": 262144, "theirs": 1_000},
        ],
    )
    carried(model)
    assert told(model, "model.publication_drifted") == [
        {
            "model_id": str(model.pk),
            "name": "Assistente",
            "status": "changed",
            "members": ["description", "contextSize"],
        }
    ]
    row = publish(model)
    assert (row.status, row.drift) == (PUBLISHED, [])
    assert aisuru.named("Assistente")["description"] == "Per il sito"


KEY = "HQSxfB7IaJRKNHRv0e5OAYJNO1h2Ug6Y"


def test_what_was_deleted_over_there_is_made_again_only_by_publishing(model, aisuru):
    publish(model)
    aisuru.configs.clear()
    assert carried(model).status == PublicationStatus.DELETED
    services.update_model(actor=ACTOR, model=model, changes={"description": "Altro"})
    row = carried(model)
    assert (row.status, row.failure, aisuru.configs) == (PublicationStatus.DELETED, "", {})
    assert publish(model).status == PUBLISHED
    assert aisuru.named("Assistente")["description"] == "Altro"


def test_a_look_that_fails_leaves_a_published_model_published(model, aisuru):
    publish(model)
    aisuru.dictate("unavailable")
    row = carried(model)
    assert (row.status, row.failure) == (PUBLISHED, "aisuru_away")
    row = carried(model)
    assert (row.status, row.failure) == (PUBLISHED, "")


# ── the login, and everything that needs it ──────────────────────────────────────────────────────


def test_nothing_is_published_without_a_login_or_without_aisuru(workspace, key, aisuru, settings):
    made = create(workspace, key=key)[0]
    with pytest.raises(Conflict) as refusal:
        publications.publish_model(actor=ACTOR, model=made)
    assert refusal.value.code == "aisuru_connection_missing"
    settings.AISURU_API_URL = None
    with pytest.raises(Unavailable) as fault:
        publications.publish_model(actor=ACTOR, model=made)
    assert fault.value.code == "aisuru_not_configured"


@pytest.mark.parametrize("plain", ["", "short", "with a space inside", "x" * 501, "tab\tinside.."])
def test_what_cannot_be_a_login_token_is_refused_and_not_quoted(organization, plain):
    with pytest.raises(Invalid) as refusal:
        connect(organization, plain)
    assert refusal.value.code == "login_token_malformed"
    assert not plain or plain not in f"{refusal.value} {refusal.value.errors}"


def test_a_login_in_use_is_removed_by_force_only_and_what_was_published_says_so(model, aisuru):
    publish(model)
    with pytest.raises(Conflict) as refusal:
        connections.remove_connection(actor=ACTOR, organization=model.organization)
    assert (refusal.value.code, refusal.value.members) == (
        "aisuru_connection_in_use",
        {"models": 1},
    )
    connections.remove_connection(actor=ACTOR, organization=model.organization, force=True)
    row = standing(model)
    assert (row.status, row.failure) == (PublicationStatus.FAILED, Failure.CONNECTION_MISSING)
    connect(model.organization)
    assert carried(model).status == PUBLISHED


def test_a_login_that_does_not_open_is_said_to(model, aisuru):
    with scope.tenant(model.organization_id):
        AisuruConnection.objects.update(sealed=b"no box")
    row = publish(model)
    assert row.failure == Failure.CONNECTION_UNDECRYPTABLE
    assert login_of(model.organization).status == ConnectionStatus.UNDECRYPTABLE


def test_the_sweep_finds_what_a_dead_broker_lost(model, aisuru, settings):
    publications.publish_model(actor=ACTOR, model=model)
    found = (model.organization_id, standing(model).pk)
    with scope.tenant(model.organization_id):  # before whatever other tests left due
        Publication.objects.update(due_at=timezone.now() - timedelta(days=10_000))
    assert found in sweeping.take_due()
    assert found not in sweeping.take_due(), "it waits in the queue"
    with scope.tenant(model.organization_id):
        Publication.objects.update(held_until=timezone.now())
    assert carried(model).status == PUBLISHED


def test_the_canary_is_nowhere(model, aisuru, caplog):
    """The login token and AIsuru's model token: in no log, table, queue or announcement."""
    caplog.set_level(logging.DEBUG)
    canary = "canary-login-4f1d0c9e-7a66"
    aisuru.logins[canary] = Login("canary", "x", canary, "www.aurora.example", is_admin=True)
    connect(model.organization, canary)
    publications.publish_model(actor=ACTOR, model=model)
    for fault in ("unavailable", "garbage", "expired", "reset", "busy"):
        aisuru.dictate(fault)
        carried(model)
        due(model)
    row = publish(model)
    assert row.status == PUBLISHED, "the canary was really used"
    config = aisuru.named("Assistente")
    carried(model)
    stored = everything_stored()
    assert str(row.pk) in stored
    for secret in (canary, config["apiKey"]):
        assert_absent(secret, stored, caplog.text, *(str(vars(one)) for one in caplog.records))
    assert not any(canary in one for one in aisuru.asked)
