"""Aliases that move and models that retire are announced once, with what they cost from then on."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from tenants.common import scope
from tenants.keys.models import SeenModel
from tenants.organizations.models import Announcement, AuditEvent
from tenants.registry.models import RegisteredModel
from tenants.registry.services import retire_model, update_model
from tenants.spend import watching
from tests.factories import ACTOR
from tests.keys.conftest import _timing, made_up, mistral
from tests.keys.keyring import checked, registered, set_back
from tests.registry.steps import create

__all__ = ["_timing", "made_up", "mistral"]
ALIAS, BEFORE, AFTER = "mistral-small-latest", "mistral-small-2603", "mistral-medium-3-5"
TUNED = "ft:mistral-small-2603:aurora-claims:20260310:7e773925"


@pytest.fixture
def key(workspace, made_up):
    """A valid key of Alice's default workspace."""
    return checked(registered(workspace, made_up(organization="aurora", workspace="main")))


@pytest.fixture
def moved(mistral, monkeypatch):
    """Return a function after which Mistral's alias leads to another snapshot."""
    rows = mistral.state.catalogue.rows

    def later(*arguments):
        for row in rows(*arguments):
            if row["id"] == ALIAS:
                yield {**row, "name": AFTER, "billing_model_name": AFTER}
            else:
                yield row

    return lambda: monkeypatch.setattr(mistral.state.catalogue, "rows", later)


def told(organization, kind) -> list[Any]:
    with scope.tenant(organization.id):
        rows = Announcement.objects.filter(kind=kind).order_by("id")
        return [row.data for row in rows]


def see(organization, mistral_id, **facts) -> None:
    with scope.tenant(organization.id):
        SeenModel.objects.filter(mistral_id=mistral_id).update(**facts)


def test_an_alias_that_moved_is_told_once_with_its_models_and_both_prices(
    organization, workspace, key, moved
):
    model, _token = create(workspace, organization=organization)
    other, _token = create(workspace, organization=organization, name="Fisso", mistral_model=BEFORE)
    assert model.snapshot == BEFORE
    assert watching.watch_models_of(organization.id) == 0
    moved()
    checked(set_back(key, next_check_at=1))
    assert watching.watch_models_of(organization.id) == 1
    (data,) = told(organization, "alias.moved")
    prices = data.pop("prices")
    assert data == {
        "model_id": str(model.pk),
        "name": "Assistente",
        "key_id": str(key.pk),
        "mistral_model": ALIAS,
        "snapshot": AFTER,
        "from": BEFORE,
        "to": AFTER,
    }
    by_meter = {price["meter"]: price for price in prices}
    assert {"input", "output"} <= set(by_meter)
    for price in by_meter.values():
        assert price["currency"] == "EUR"
    assert by_meter["input"]["before"] != by_meter["input"]["after"]
    assert watching.watch_models_of(organization.id) == 0, "told once"
    with scope.tenant(organization.id):
        assert RegisteredModel.objects.get(pk=model.pk).snapshot == AFTER
        assert RegisteredModel.objects.get(pk=other.pk).snapshot == BEFORE
        assert AuditEvent.objects.filter(verb="model.alias_moved").count() == 1


def test_a_model_of_before_learns_its_snapshot_without_a_word(organization, workspace, key):
    model, _token = create(workspace, organization=organization)
    with scope.tenant(organization.id):
        RegisteredModel.objects.update(snapshot="")
    assert watching.watch_models_of(organization.id) == 0
    with scope.tenant(organization.id):
        assert RegisteredModel.objects.get(pk=model.pk).snapshot == BEFORE
    assert told(organization, "alias.moved") == []


def test_another_model_chosen_by_its_owner_is_no_alias_that_moved(organization, workspace, key):
    model, _token = create(workspace, organization=organization)
    update_model(actor=ACTOR, model=model, changes={"mistral_model": "mistral-embed"})
    assert watching.watch_models_of(organization.id) == 0
    with scope.tenant(organization.id):
        assert RegisteredModel.objects.get(pk=model.pk).snapshot.startswith("mistral-embed")


def test_an_announced_end_is_told_when_it_is_known_and_thirty_and_seven_days_before(
    organization, workspace, key, monkeypatch
):
    create(workspace, organization=organization, mistral_model=TUNED)
    end = timezone.now() + timedelta(days=60)
    see(organization, TUNED, deprecation_at=end, replacement=BEFORE)
    first_day = timezone.now().date()
    for days in range(0, 66, 3):
        monkeypatch.setattr(
            "tenants.registry.watching.expiry.today",
            lambda *_, after=days: first_day + timedelta(days=after),
        )
        for _ in range(2):
            watching.watch_models_of(organization.id)
    data = told(organization, "model.retiring")
    left = [(end.date() - first_day).days - days for days in range(0, 66, 3)]
    expected = [left[0], *(max(n for n in left if n <= notice) for notice in (30, 7, 0))]
    assert [one["days_left"] for one in data] == expected
    assert {one["retires_on"] for one in data} == {end.date().isoformat()}
    assert {one["replacement"] for one in data} == {BEFORE}
    assert {one["reason"] for one in data} == {"retiring"}


@pytest.mark.parametrize("availability", ["gone", "archived"])
def test_a_fine_tuned_model_that_is_gone_or_archived_is_told_once(
    organization, workspace, key, availability
):
    create(workspace, organization=organization, mistral_model=TUNED)
    at = timezone.now() if availability == "gone" else None
    see(organization, TUNED, availability=availability, gone_at=at)
    for _ in range(2):
        watching.watch_models_of(organization.id)
    (data,) = told(organization, "model.retiring")
    assert (data["reason"], data["mistral_model"]) == (availability, TUNED)
    assert data["retires_on"] == (at.date().isoformat() if at else None)


def test_a_retired_registered_model_is_nobodys_business(organization, workspace, key, moved):
    model, _token = create(workspace, organization=organization)
    retire_model(actor=ACTOR, model=model)
    moved()
    checked(set_back(key, next_check_at=1))
    assert watching.watch_models_of(organization.id) == 0


def test_all_organizations_are_watched(organization, workspace, key, moved):
    create(workspace, organization=organization)
    moved()
    checked(set_back(key, next_check_at=1))
    watching.watch_models()
    assert len(told(organization, "alias.moved")) == 1
