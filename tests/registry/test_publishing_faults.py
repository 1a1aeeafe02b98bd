"""A model on its way to AIsuru: whatever breaks in between, one configuration is left."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from tenants.aisuru.client import AisuruClient
from tenants.common import scope, tokens
from tenants.registry import publications, publishing, services, sweeping
from tenants.registry.models import (
    ConnectionStatus,
    Publication,
    PublicationStatus,
)
from tests.factories import ACTOR
from tests.registry.published import (
    ADMIN,
    LATE,
    PUBLISHED,
    TIMES,
    USER,
    aisuru,
    carried,
    connect,
    due,
    key,
    live,
    login_of,
    model,
    publish,
    standing,
    told,
)
from tests.registry.steps import create

__all__ = ["aisuru", "key", "model"]


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
