"""`GET /v1/models` shows Mistral's own card: only id, `created` and one alias more are ours."""

import httpx
import pytest

from tenants.common import scope
from tenants.keys.models import SeenModel
from tenants.registry.models import RegisteredModel
from tests import factories
from tests.gateway import tenancy
from tests.gateway.tenancy import SMALL
from tests.keys.keyring import checked, registered, set_back
from tests.registry.steps import FINE_TUNED

AURORA = {"organization": "aurora", "workspace": "main"}


@pytest.fixture
def tuned(made_up):
    """A tenant whose model is one that it has trained."""
    return tenancy.make(made_up, mistral=AURORA, mistral_model=FINE_TUNED)


def get(url, bearer, path):
    headers = {"authorization": f"Bearer {bearer}"}
    answer = httpx.get(f"{url}{path}", headers=headers, trust_env=False)
    assert answer.is_success, answer.text
    return answer.json()


def shown(gateway, tenant, name):
    """The card, which the list and the model's own address agree on."""
    (listed,) = get(gateway.url, tenant.token, "/v1/models")["data"]
    card = get(gateway.url, tenant.token, f"/v1/models/{name}")
    assert without(listed, "id", "aliases") == without(card, "id", "aliases")
    assert listed["id"] == tenant.model.mistral_model
    return card


def own(mistral, tenant, name):
    """What Mistral itself answers."""
    return get(mistral.url, tenant.plain, f"/v1/models/{name}")


def without(card, *names):
    # At Mistral as here it is the instant of the answer.
    return {name: value for name, value in card.items() if name not in {*names, "created"}}


def change_rows(tenant, **facts):
    with scope.tenant(tenant.organization.id):
        assert SeenModel.objects.filter(mistral_id=tenant.model.mistral_model).update(**facts)


def change(gateway, tenant, method, suffix="", body=None):
    answer = httpx.request(
        method,
        f"{gateway.url}/v1/fine_tuning/models/{FINE_TUNED}{suffix}",
        json=body,
        headers=tenant.headers,
        trust_env=False,
    )
    assert answer.is_success, answer.text


def test_the_card_is_mistrals_with_the_tenants_name_among_the_aliases(gateway, mistral, tenant):
    theirs = own(mistral, tenant, SMALL)
    assert theirs["description"]
    assert theirs["default_model_temperature"] is not None
    assert theirs["billing_model_name"]
    ours = shown(gateway, tenant, SMALL)
    assert ours["aliases"] == [*theirs["aliases"], tenant.model.name]
    assert without(ours, "aliases") == without(theirs, "aliases")
    assert list(ours)[:4] == list(theirs)[:4], "in Mistral's order"

    by_name = shown(gateway, tenant, tenant.model.name)
    assert (by_name["id"], by_name["aliases"]) == (tenant.model.name, [*theirs["aliases"], SMALL])


def test_the_temperature_is_the_one_that_calls_are_sent_with(gateway, made_up):
    tenant = tenancy.make(made_up, defaults={"temperature": 0.9})
    assert shown(gateway, tenant, SMALL)["default_model_temperature"] == 0.9


def test_a_fine_tuned_models_card_is_mistrals_too(gateway, mistral, tuned):
    theirs = own(mistral, tuned, FINE_TUNED)
    assert theirs["job"]
    ours = shown(gateway, tuned, FINE_TUNED)
    assert ours["aliases"] == [tuned.model.name]
    assert without(ours, "aliases") == without(theirs, "aliases")
    assert str(tuned.organization.id) not in str(ours)


@pytest.mark.parametrize("kind", ["plain", "fine-tuned"])
def test_until_the_next_check_a_card_that_was_not_kept_is_guessed(gateway, mistral, made_up, kind):
    name = SMALL if kind == "plain" else FINE_TUNED
    tenant = tenancy.make(made_up, mistral=AURORA, mistral_model=name)
    change_rows(tenant, card=None)
    guessed = shown(gateway, tenant, name)
    assert (guessed["id"], guessed["description"]) == (name, None)
    assert guessed["max_context_length"] == own(mistral, tenant, name)["max_context_length"]
    assert tenant.model.name in guessed["aliases"]

    checked(set_back(tenant.key, next_check_at=1))
    known = shown(gateway, tenant, name)
    assert without(known, "aliases") == without(own(mistral, tenant, name), "aliases")


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_new_name_is_shown_at_once_and_so_is_that_it_is_archived(
    gateway, mistral, tuned, is_kept
):
    if not is_kept:
        change_rows(tuned, card=None)
    try:
        change(gateway, tuned, "PATCH", body={"name": "n1", "description": "d1"})
        card = shown(gateway, tuned, FINE_TUNED)
        assert (card["name"], card["description"]) == ("n1", "d1")
        change(gateway, tuned, "POST", "/archive")
        assert shown(gateway, tuned, FINE_TUNED)["archived"] is True
        change(gateway, tuned, "DELETE", "/archive")
        card = shown(gateway, tuned, FINE_TUNED)
        assert (card["name"], card["archived"]) == ("n1", False)
        if is_kept:
            theirs = own(mistral, tuned, FINE_TUNED)
            assert without(card, "aliases") == without(theirs, "aliases")
    finally:
        mistral.state.catalogue.reset()


def test_a_model_is_taken_out_of_the_archive_again(gateway, mistral, tuned):
    """The end of its body was waited for twice, and so for ever."""
    try:
        change(gateway, tuned, "POST", "/archive")
        change(gateway, tuned, "DELETE", "/archive")
        assert own(mistral, tuned, FINE_TUNED)["archived"] is False
    finally:
        mistral.state.catalogue.reset()


def test_a_new_name_is_written_for_every_key_of_the_workspace_and_for_no_other(
    gateway, mistral, made_up, tuned
):
    second = checked(registered(tuned.workspace, made_up(**AURORA), name="second"))
    beside = factories.workspace(tuned.organization, "Vendite")
    third = checked(registered(beside, made_up(**AURORA)))
    other = tenancy.make(made_up, mistral=AURORA, mistral_model=FINE_TUNED)
    try:
        change(gateway, tuned, "PATCH", body={"name": "n2"})
    finally:
        mistral.state.catalogue.reset()
    with scope.tenant(tuned.organization.id):
        cards = SeenModel.objects.filter(mistral_id=FINE_TUNED).values_list("key_id", "card__name")
        assert dict(cards) == {tuned.key.pk: "n2", second.pk: "n2", third.pk: FINE_TUNED}
        names = SeenModel.objects.filter(mistral_id=SMALL).values_list("card__name", flat=True)
        assert set(names) == {"mistral-small-2603"}
    with scope.tenant(other.organization.id):
        names = SeenModel.objects.filter(mistral_id=FINE_TUNED).values_list("card__name", flat=True)
        assert list(names) == [FINE_TUNED]


def test_a_model_bound_to_another_key_shows_what_that_key_sees(gateway, made_up, tenant):
    second = checked(registered(tenant.workspace, made_up(), name="second"))
    with scope.tenant(tenant.organization.id):
        rows = SeenModel.objects.filter(mistral_id=SMALL)
        rows.filter(key=second).update(card={"description": "the second's"})

    def description():
        (card,) = get(gateway.url, tenant.token, "/v1/models")["data"]
        return card["description"]

    assert description() not in {None, "the second's"}
    with scope.tenant(tenant.organization.id):
        RegisteredModel.objects.filter(pk=tenant.model.pk).update(key=second)
    tenancy.eventually(lambda: description() == "the second's")


@pytest.mark.parametrize("aliases", [None, 5, "small", [["a"], 7, "mine"], {"a": 1}])
def test_aliases_that_are_no_list_of_names_break_nothing(gateway, made_up, aliases):
    tenant = tenancy.make(made_up)
    change_rows(tenant, card={"aliases": aliases})
    card = shown(gateway, tenant, SMALL)
    assert tenant.model.name in card["aliases"]
    assert all(isinstance(one, str) for one in card["aliases"])
