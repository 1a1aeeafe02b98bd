"""A list of keys asks only for those that are being checked, ever less often, and not for ever."""

import re
from uuid import uuid4

import pytest
from django.http import QueryDict
from django.test import Client

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.console import following
from tenants.keys.models import KeyStatus, MistralKey
from tenants.keys.services import register_key
from tenants.organizations.models import Workspace
from tenants.organizations.roles import Role
from tests import people
from tests.api.world import WholeWorld, made_up_key, whole_world
from tests.factories import ACTOR
from tests.people import session_caller

pytestmark = pytest.mark.slow


def pending_key(workspace: Workspace, name: str) -> MistralKey:
    plain = Secret(made_up_key())
    return register_key(actor=ACTOR, workspace=workspace, plain=plain, name=name).key


def judged(key: MistralKey) -> None:
    with scope.tenant(key.organization_id):
        MistralKey.objects.filter(pk=key.pk).update(status=KeyStatus.VALID, verdict_code="ok")


@pytest.fixture
def hers() -> WholeWorld:
    return whole_world()


@pytest.fixture
def address(hers) -> str:
    return f"/workspaces/{hers.workspace.pk}/keys"


@pytest.fixture
def admin(hers) -> Client:
    client = session_caller(people.member(hers.organization, Role.ADMIN).person).client
    client.cookies["aim_language"] = "en"
    return client


def asks(page: str) -> tuple[str, int] | None:
    """Read what a page will ask for, and after how many seconds."""
    found = re.search(r'hx-get="([^"]+)" hx-trigger="load delay:(\d+)s"', page)
    return (found[1].replace("&amp;", "&"), int(found[2])) if found else None


def test_a_page_without_a_key_that_waits_asks_for_nothing(hers, admin, address):
    assert asks(admin.get(address).text) is None
    other = pending_key(hers.workspace, "Altra")
    page = admin.get(f"{address}?search=produzione").text
    assert asks(page) is None, "one that is not on this page"
    asked, _seconds = asks(admin.get(address).text) or ("", 0)
    assert asked == f"{address}?waiting={other.pk}&round=0"


def test_only_rows_that_have_changed_come_and_only_the_rest_is_asked_for(hers, admin, address):
    first, second = (pending_key(hers.workspace, name) for name in ("Prima", "Seconda"))
    page = admin.get(address).text
    assert "2 keys are being checked." in page
    asked, seconds = asks(page) or ("", 0)
    assert seconds == 3
    news = admin.get(asked).text
    assert "<tr" not in news, "nothing has changed"
    assert "<html" not in news
    judged(first)
    news = admin.get(asked).text
    assert re.findall(r'<tr class="row-link" id="([^"]+)" hx-swap-oob="true">', news) == [
        f"key-{first.pk}"
    ]
    assert "valid" in news
    asked, _seconds = asks(news) or ("", 0)
    assert asked == f"{address}?waiting={second.pk}&round=1"
    judged(second)
    assert asks(admin.get(asked).text) is None


def test_pauses_grow_and_after_the_last_a_sentence_says_that_it_ends(hers, admin, address):
    pending_key(hers.workspace, "Lenta")
    page, pauses = admin.get(address).text, []
    while (found := asks(page)) is not None:
        pauses.append(found[1])
        page = admin.get(found[0]).text
    assert pauses == sorted(pauses) == list(following.PAUSES)
    assert 60 < sum(pauses) < 300
    assert "takes longer than usual" in page
    assert ">Look again</a>" in page


def test_what_is_asked_for_is_of_this_workspace_only(admin, address):
    theirs = whole_world()
    waiting = pending_key(theirs.workspace, "Loro")
    news = admin.get(f"{address}?waiting={theirs.key.pk},{waiting.pk},nothing,{uuid4()}").text
    assert "<tr" not in news
    assert str(waiting.pk) not in news
    assert asks(news) is None


@pytest.mark.parametrize("told", ["", "x", "-1", "99999", "²"])
def test_a_round_that_is_no_number_ends_it(told):
    query = QueryDict(mutable=True)
    query["round"] = told
    assert following.asked_for(query, 25) == ([], len(following.PAUSES))
