"""What Mistral tells of a key that it accepts: whose it is, and which models it sees."""

from datetime import timedelta

import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.keys import verdicts
from tenants.keys.models import KeyStatus, VerdictCode
from tests.keys.keyring import checked, name_of, registered, seen, set_back


def test_an_accepted_key_is_valid_with_its_identity_and_its_models(workspace, made_up):
    key = registered(workspace, made_up(organization="aurora", workspace="main"), name="Chiave")
    assert (key.status, verdicts.of(key)) == (KeyStatus.PENDING, None)

    key = checked(key)

    assert (key.status, key.verdict_code) == (KeyStatus.VALID, VerdictCode.OK)
    assert key.evidence["http_status"] == 200
    assert key.evidence["correlation_id"]
    assert key.identity["organization"] == "Aurora Assicurazioni S.p.A."
    assert key.identity["workspace"] == "Default"
    assert {"mistral-small-2603", "mistral-small-latest", "mistral-embed"} <= seen(key)
    verdict = verdicts.of(key)
    assert verdict is not None
    assert verdict.models == len(seen(key)) == key.models_seen
    assert timedelta(hours=3) < key.next_check_at - timezone.now() < timedelta(hours=6)
    assert (key.claim, key.held_until, key.attempts) == (None, None, 0)


def test_aliases_lead_to_one_name_and_fine_tuned_models_are_their_own(workspace, made_up):
    key = checked(registered(workspace, made_up(organization="aurora", workspace="main")))
    with scope.tenant(key.organization_id):
        rows = {row.mistral_id: row for row in key.seen_models.all()}
    tuned = "ft:mistral-small-2603:aurora-claims:20260310:7e773925"
    assert rows["mistral-small-latest"].name == "mistral-small-2603"
    assert rows["mistral-small-latest"].context_length == 262144
    assert rows["mistral-small-latest"].capabilities["completion_chat"] is True
    assert (rows[tuned].name, rows[tuned].root) == (tuned, "mistral-small-2603")
    assert rows[tuned].kind == "fine-tuned"
    archived = "ft:mistral-small-2603:aurora-archive:20250911:10ab34cd"
    assert rows[archived].availability == "archived"
    assert key.models_seen == len(rows) - 1 == len(seen(key)), "archived models answer nothing"


@pytest.mark.parametrize("form", ["x-api-key", "bearer"])
def test_the_identity_is_learned_whichever_header_mistral_takes(workspace, made_up, form):
    plain = made_up(organization="aurora", workspace="main", identity_auth=form)
    key = checked(registered(workspace, plain))
    assert key.identity["organization"] == "Aurora Assicurazioni S.p.A."


def test_a_key_is_valid_though_mistral_does_not_tell_whose_it_is(workspace, made_up):
    key = checked(registered(workspace, made_up(identity_auth="none")))
    assert (key.status, key.identity) == (KeyStatus.VALID, None)


@pytest.mark.parametrize("error", ["service_unavailable", "hang", "garbage", "rate_limited"])
def test_an_identity_that_fails_never_fails_the_key_and_the_old_one_stays(
    workspace, made_up, mistral, error
):
    plain = made_up(organization="aurora", workspace="main")
    key = checked(registered(workspace, plain))
    known = key.identity
    mistral.state.change(name_of(plain), behaviour={"error": error, "scope": "identity"})
    key = checked(set_back(key, next_check_at=1))
    assert (key.status, key.verdict_code) == (KeyStatus.VALID, VerdictCode.OK)
    assert key.identity == known
    assert known is not None


def test_a_model_that_left_the_list_is_gone_for_ninety_days_and_then_forgotten(workspace, made_up):
    plain = made_up(organization="aurora", workspace="main")
    key = checked(registered(workspace, plain))
    with scope.tenant(key.organization_id):
        key.seen_models.create(organization_id=key.organization_id, mistral_id="gone", name="gone")
        kept = key.seen_models.get(mistral_id="mistral-embed").pk
    key = checked(set_back(key, next_check_at=1))
    assert "gone" not in seen(key)
    assert key.models_seen == len(seen(key))
    with scope.tenant(key.organization_id):
        gone = key.seen_models.get(mistral_id="gone")
        assert (gone.availability, gone.gone_at) == ("gone", key.checked_at)
        assert key.seen_models.get(mistral_id="mistral-embed").pk == kept, "the same is not written"
        key.seen_models.filter(pk=gone.pk).update(gone_at=gone.gone_at - timedelta(days=91))
    key = checked(set_back(key, next_check_at=1))
    with scope.tenant(key.organization_id):
        assert not key.seen_models.filter(mistral_id="gone").exists()


def test_a_model_that_comes_back_is_available_again(workspace, made_up):
    key = checked(registered(workspace, made_up()))
    with scope.tenant(key.organization_id):
        model = key.seen_models.filter(mistral_id="mistral-embed")
        model.update(availability="gone", gone_at=timezone.now())
    key = checked(set_back(key, next_check_at=1))
    with scope.tenant(key.organization_id):
        assert (model.get().availability, model.get().gone_at) == ("available", None)
