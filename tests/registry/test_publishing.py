"""A model in AIsuru: pushed, followed, looked at, taken away."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tenants.aisuru.client import AisuruClient
from tenants.aisuru.completion_config import Flavour
from tenants.common import tokens
from tenants.common.problems import Conflict
from tenants.registry import publications, publishing, services
from tenants.registry.models import (
    ConnectionStatus,
    PublicationStatus,
)
from tests.factories import ACTOR
from tests.registry.published import (
    PUBLISHED,
    aisuru,
    carried,
    key,
    live,
    login_of,
    model,
    publish,
    standing,
    told,
)
from tests.registry.steps import tokens_of, verbs

__all__ = ["aisuru", "key", "model"]

KEY = "HQSxfB7IaJRKNHRv0e5OAYJNO1h2Ug6Y"


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
