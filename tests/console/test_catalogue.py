"""What a new model can be made of: nothing that Mistral has retired, whose successor is named."""

import re
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tenants.common import scope
from tenants.console import catalogue
from tenants.keys.models import KeyStatus, MistralKey, SeenModel
from tenants.organizations.roles import Role
from tenants.registry.models import RegisteredModel
from tests import factories, people
from tests.api.world import MODEL, WholeWorld, whole_world
from tests.console import html
from tests.people import session_caller

pytestmark = pytest.mark.slow

#: Retired for good, as Mistral documents; its replacement is documented too.
RETIRED, SUCCESSOR = "mistral-small-2402", "mistral-small-2603"
#: What only the key was told of.
ENDED, ENDING = "ft:ended", "ft:ending"
FACTS = {"name": "Nuovo", "purposes": ["question_answering"]}


@pytest.fixture
def hers() -> WholeWorld:
    made = whole_world()
    now = timezone.now()
    ends = {
        RETIRED: {},
        ENDED: {"deprecation_at": now - timedelta(days=3), "replacement": MODEL},
        ENDING: {"deprecation_at": now + timedelta(days=30), "replacement": MODEL},
    }
    with scope.tenant(made.organization.pk):
        for name, facts in ends.items():
            SeenModel.objects.create(
                organization_id=made.organization.pk,
                key=made.key,
                mistral_id=name,
                name=name,
                capabilities={"completion_chat": True},
                **facts,
            )
    return made


@pytest.fixture
def admin(hers) -> Client:
    client = session_caller(people.member(hers.organization, Role.ADMIN).person).client
    client.cookies["aim_language"] = "en"
    return client


def choosable(page: str) -> list[str]:
    return re.findall(r'<input type="radio" name="model"[^>]*value="([^"]+)"', page)


def retired(page: str) -> str:
    [part] = re.findall(r"<summary>Retired by Mistral</summary>(.*?)</details>", page, re.DOTALL)
    return " ".join(re.sub("<[^>]+>", " ", part).split())


def test_what_is_retired_is_shown_with_its_replacement_and_cannot_be_chosen(hers, admin):
    page = admin.get(f"/workspaces/{hers.workspace.pk}/models/new").text
    assert set(choosable(page)) == {MODEL, ENDING}
    shown = retired(page)
    assert re.search(rf"{RETIRED} · since \d+ \w+ \d{{4}} · replaced by {SUCCESSOR}", shown)
    assert re.search(rf"{ENDED} · since \d+ \w+ \d{{4}} · replaced by {MODEL}", shown)
    assert ENDING not in shown
    assert re.search(rf"Mistral takes it away on .*?replaced by <code>{MODEL}</code>", page)


@pytest.mark.parametrize("name", [RETIRED, ENDED])
def test_what_is_retired_is_refused_at_its_field_and_nothing_is_made(name, hers, admin):
    answer = admin.post(f"/workspaces/{hers.workspace.pk}/models/new", FACTS | {"model": name})
    assert answer.status_code == 422
    assert "Mistral has retired this model." in answer.text
    assert name not in choosable(answer.text)
    with scope.tenant(hers.organization.pk):
        assert not RegisteredModel.objects.filter(name="Nuovo").exists()


def test_a_model_that_is_bound_to_a_retired_one_can_be_changed_and_stays(hers, admin):
    with scope.tenant(hers.organization.pk):
        RegisteredModel.objects.filter(pk=hers.model.pk).update(mistral_model=ENDED)
    address = f"/models/{hers.model.pk}/edit"
    assert set(choosable(admin.get(address).text)) == {MODEL, ENDING, ENDED}
    seen = re.findall(r'<input type="hidden" name="seen" value="([^"]*)"', admin.get(address).text)
    facts = FACTS | {"model": ENDED, "key_id": str(hers.key.pk)} | {"seen": (seen or [""])[0]}
    assert admin.post(address, facts).status_code == 303
    answer = admin.post(address, facts | {"model": RETIRED})
    assert answer.status_code == 422
    assert "Mistral has retired this model." in answer.text


def test_where_nothing_is_retired_nothing_is_said_of_it(hers, admin):
    with scope.tenant(hers.organization.pk):
        SeenModel.objects.filter(mistral_id__in=[RETIRED, ENDED]).delete()
    assert "Retired by Mistral" not in admin.get(f"/workspaces/{hers.workspace.pk}/models/new").text


def newer(hers: WholeWorld, number: int) -> None:
    """Add valid keys that have seen no model."""
    with scope.tenant(hers.organization.pk):
        for _number in range(number):
            key = factories.raw_key(hers.organization, hers.workspace)
            MistralKey.objects.filter(pk=key.pk).update(status=KeyStatus.VALID)


def test_newer_keys_that_see_no_model_do_not_hide_what_others_see(hers, admin, monkeypatch):
    monkeypatch.setattr(catalogue, "MOST_KEYS", 3)
    address = f"/workspaces/{hers.workspace.pk}/models/new"
    told = "Only the newest 100 valid keys are offered"
    newer(hers, 2)
    assert told not in admin.get(address).text
    newer(hers, 3)
    page = admin.get(address).text
    assert set(choosable(page)) == {MODEL, ENDING}
    assert told in page
    assert len(re.findall(r"<option", page)) == 1 + 3
    assert html.faults(page) == []


def test_a_workspace_whose_keys_see_no_model_is_told_so(hers, admin):
    with scope.tenant(hers.organization.pk):
        SeenModel.objects.all().delete()
    page = admin.get(f"/workspaces/{hers.workspace.pk}/models/new").text
    assert "This workspace has valid API keys, and none of them sees a model" in page
    assert "this workspace has none" not in page
    assert html.faults(page) == []
