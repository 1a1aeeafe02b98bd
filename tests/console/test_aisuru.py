"""AIsuru's login on its page: sealed like a key, told of in words, removed only knowingly."""

import json
from typing import Any

import pytest
from django.test import Client

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.organizations import custody
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.registry import publications
from tenants.registry.connections import set_connection
from tenants.registry.models import (
    AisuruConnection,
    ConnectionStatus,
    Publication,
    PublicationStatus,
)
from tests import people
from tests.api.world import World, world
from tests.factories import ACTOR
from tests.sealing import seal

LOGIN = "768b9654-0000-4000-8000-ae1529d1bfbe"


@pytest.fixture
def hers() -> World:
    return world()


@pytest.fixture
def alice(hers) -> Client:
    return people.visitor(hers.organization)


@pytest.fixture
def page(hers) -> str:
    return f"/organizations/{hers.organization.pk}/aisuru"


def sealed(client: Client, plain: str, *ids: Any, purpose: str = "set-aisuru-login") -> str:
    return json.dumps(seal(plain, client.get("/api/v1/intake-key").json(), purpose, *ids))


def known(hers: World) -> AisuruConnection | None:
    with scope.tenant(hers.organization.pk):
        return AisuruConnection.objects.first()


def published(hers: World) -> None:
    publications.publish_model(actor=ACTOR, model=hers.model)
    with scope.tenant(hers.organization.pk):
        Publication.objects.update(status=PublicationStatus.PUBLISHED, config_id="42")


def test_a_login_is_stored_as_it_was_pasted_and_never_shown(hers, alice, page):
    empty = alice.get(page).text
    assert "No login yet" in empty
    assert f'href="{page}/login"' in empty
    body = {
        "sealed_key": sealed(alice, LOGIN, hers.organization.pk),
        "tenant": "www.aurora.example",
    }
    answer = alice.post(f"{page}/login", body)
    assert (answer.status_code, answer["Location"]) == (303, page)
    connection = known(hers)
    assert connection is not None
    with scope.tenant(hers.organization.pk):
        stored = custody.borrow(connection, custody.Slot.AISURU_LOGIN).reveal()
    assert (stored, connection.tenant) == (LOGIN, "www.aurora.example")
    shown = alice.get(page).text
    assert "www.aurora.example" in shown
    assert "not used yet" in shown
    assert LOGIN not in shown
    assert (
        f'href="{page}">the login to AIsuru</a>' in alice.get(page.replace("aisuru", "audit")).text
    )
    assert 'value="www.aurora.example"' in alice.get(f"{page}/login").text
    again = alice.post(f"{page}/login", body)
    assert again.status_code == 422
    assert "used before" in again.text


@pytest.mark.parametrize("how", ["typed", "for a key", "for another", "with spaces"])
def test_what_is_not_sealed_for_this_or_is_no_login_changes_nothing(how, hers, alice, page):
    here, elsewhere = hers.organization.pk, hers.workspace.pk
    sent = {
        "typed": lambda: LOGIN,
        "for a key": lambda: sealed(alice, LOGIN, here, purpose="register-key"),
        "for another": lambda: sealed(alice, LOGIN, elsewhere),
        "with spaces": lambda: sealed(alice, "not a login", here),
    }[how]()
    answer = alice.post(f"{page}/login", {"sealed_key": sent, "tenant": "www.kept.example"})
    assert answer.status_code == 422
    assert 'id="pasted_key_error"' in answer.text
    assert 'value="www.kept.example"' in answer.text
    assert LOGIN not in answer.text
    assert known(hers) is None


def test_a_refused_login_says_what_to_do(hers, alice, page):
    set_connection(actor=ACTOR, organization=hers.organization, plain=Secret(LOGIN))
    assert "Sign in to AIsuru once more" not in alice.get(page).text
    with scope.tenant(hers.organization.pk):
        AisuruConnection.objects.update(status=ConnectionStatus.REFUSED)
    refused = alice.get(page).text
    assert "Sign in to AIsuru once more" in refused
    assert "badge-bad" in refused


def test_models_there_are_listed_and_what_is_left_alone_is_named(hers, alice, page):
    set_connection(actor=ACTOR, organization=hers.organization, plain=Secret(LOGIN))
    assert "No model was published" in alice.get(page).text
    published(hers)
    assert f'href="/models/{hers.model.pk}"' in alice.get(page).text
    assert hers.model.name in alice.get(f"{page}/remove").text
    refused = alice.post(f"{page}/remove")
    assert refused.status_code == 409
    assert "Tick this to confirm" in refused.text
    assert known(hers) is not None
    assert alice.post(f"{page}/remove", {"force": "yes"}).status_code == 303
    assert known(hers) is None
    assert "no login at AIsuru" in alice.get(page).text


def test_a_workspaces_admin_is_not_led_where_she_may_not_go(hers, alice, page):
    inside = {hers.workspace: WorkspaceRole.ADMIN}
    client = people.visitor(hers.organization, Role.MEMBER, workspaces=inside)
    of_the_model = f"/models/{hers.model.pk}"
    assert f'href="{page}"' in alice.get(of_the_model).text
    hers_to_see = client.get(of_the_model).text
    assert f'href="{page}"' not in hers_to_see
    assert "An administrator can enter one" in hers_to_see
    assert client.get(page).status_code == 403
