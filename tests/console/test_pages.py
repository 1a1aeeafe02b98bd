"""Every page for every role: who may sees it, in both languages; who may not changes nothing."""

import re
from urllib.parse import urlencode

import pytest
from django.test import Client

from tenants.organizations.roles import Role, WorkspaceRole
from tests import factories, people
from tests.api.roles import CAST, HOLDERS, Somebody
from tests.api.world import WholeWorld, everything, whole_world
from tests.console.html import faults
from tests.console.pages import ACCOUNT_PAGES, PAGES, PERSONAL, Row
from tests.people import session_caller

HTML = {"Accept": "text/html"}

pytestmark = pytest.mark.slow

pages = pytest.mark.parametrize("row", PAGES, ids=str)
HTML = {"Accept": "text/html"}


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    """What Alice's organization has: nothing here changes it."""
    return whole_world()


@pytest.fixture(scope="module")
def admin(hers) -> Client:
    return session_caller(people.member(hers.organization, Role.ADMIN).person).client


@pytest.fixture(scope="module")
def charlie() -> Client:
    organization = factories.organization(name="Charlie & Co")
    return session_caller(people.member(organization, Role.ADMIN).person).client


@pytest.fixture(scope="module")
def cast(hers) -> dict[Somebody, Client]:
    return {somebody: somebody.caller(hers).client for somebody in CAST}


@pytest.fixture(scope="module")
def nora():
    return people.person("Nora", password=people.PASSWORD)


def reading(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.method == "GET"]


@pytest.mark.parametrize("row", reading(PAGES), ids=str)
@pytest.mark.parametrize("language", ["it", "en"])
def test_the_administrator_sees_every_page_in_both_languages(row, language, hers, admin):
    admin.cookies["aim_language"] = language
    answer = row.send(admin, hers)
    assert answer.status_code == row.gives
    if row.gives == 200 and "html" in answer["Content-Type"]:
        page = answer.content.decode()
        assert f'<html lang="{language}"' in page
        assert "<h1>" in page
        assert "style=" not in page
        assert "<script>" not in page
        assert page.count("<h1") == 1
        assert faults(page) == []


@pages
def test_whoever_may_not_is_refused_and_nothing_changes(row, hers, cast):
    before = everything(hers.organization.pk)
    for somebody, client in cast.items():
        held = {somebody.role.value}
        into_workspace = row.route.startswith(("workspaces", "keys", "models"))
        if somebody.inside and into_workspace:
            held.add(str(somebody))
        may = all(held & HOLDERS[scope] for scope in row.scopes)
        is_lost = somebody.role == Role.MEMBER and somebody.inside is None and into_workspace
        if is_lost:
            assert row.send(client, hers).status_code == 404, somebody
        elif not may:
            assert row.send(client, hers).status_code == 403, somebody
        elif row.method == "GET":
            assert row.send(client, hers).status_code == row.gives, somebody
    assert everything(hers.organization.pk) == before


@pages
def test_charlie_finds_nothing_and_strangers_are_sent_to_sign_in(row, hers, charlie):
    before = everything(hers.organization.pk)
    answer = row.send(charlie, hers)
    assert answer.status_code == 404
    assert str(hers.organization.name) not in answer.content.decode()
    nobody = row.send(Client(), hers)
    assert (nobody.status_code, nobody["Location"].split("?")[0]) == (303, "/sign-in")
    assert everything(hers.organization.pk) == before


def test_the_administrator_may_send_every_form():
    fresh = whole_world()
    client = session_caller(people.member(fresh.organization, Role.ADMIN).person).client
    destructive = ("delete", "archive", "revoke", "remove", "members/<id:member_id>")
    rows = [row for row in PAGES if row.method == "POST"]
    rows.sort(
        key=lambda row: (
            destructive.index(end) if (end := row.route.rpartition("/")[2]) in destructive else -1
        )
    )
    for row in rows:
        assert row.send(client, fresh).status_code == row.gives, row


@pytest.mark.parametrize("row", PERSONAL, ids=str)
def test_pages_about_a_person_need_one(row, hers):
    member = people.member(hers.organization, workspaces={hers.workspace: WorkspaceRole.MEMBER})
    assert row.send(session_caller(member.person).client, hers).status_code == row.gives
    nobody = row.send(Client(), hers)
    assert (nobody.status_code, nobody["Location"].split("?")[0]) == (303, "/sign-in")


@pytest.mark.parametrize(("method", "route"), ACCOUNT_PAGES, ids=str)
def test_pages_of_signing_in_show_nobody_more_than_they_should(method, route, nora):
    nobody, somebody = ACCOUNT_PAGES[method, route]
    address = "/reset-password/1-none" if route.startswith("^") else f"/{route}"
    address = address.replace("<int:pk>", "1")
    for client, status in ((Client(), nobody), (session_caller(nora).client, somebody)):
        send = client.get if method == "GET" else client.post
        assert send(address, headers=HTML).status_code == status


def test_a_form_without_its_csrf_token_changes_nothing(hers):
    person = people.member(hers.organization, Role.ADMIN).person
    client = session_caller(person, enforce_csrf_checks=True).client
    before = everything(hers.organization.pk)
    for row in PAGES:
        if row.method == "POST":
            answer = row.send(client, hers)
            assert answer.status_code == 403, row
            assert "csrf_failed" in answer.content.decode()
    assert everything(hers.organization.pk) == before


def test_who_works_in_one_workspace_begins_there(hers):
    workspaces = {hers.workspace: WorkspaceRole.MEMBER}
    member = people.member(hers.organization, Role.MEMBER, workspaces=workspaces)
    client = session_caller(member.person).client
    assert client.get("/")["Location"] == f"/workspaces/{hers.workspace.pk}"
    nowhere = session_caller(people.member(hers.organization, Role.MEMBER).person).client
    assert nowhere.get("/")["Location"] == f"/organizations/{hers.organization.pk}"


@pytest.mark.parametrize(
    "asked", ["calls?message=%00", "calls?mistral_model=a%00b", "audit?actor=%00"]
)
def test_what_no_text_can_hold_is_refused_before_it_is_looked_for(asked, hers, admin):
    answer = admin.get(f"/organizations/{hers.organization.pk}/{asked}", headers=HTML)
    assert answer.status_code == 400
    assert "bad_request" in answer.text
    keys = admin.get(f"/workspaces/{hers.workspace.pk}/keys?search=%00", headers=HTML)
    assert keys.status_code == 400


def test_a_page_that_renews_itself_leads_back_to_itself_by_signing_in(hers):
    page = f"/organizations/{hers.organization.pk}/start"
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://testserver{page}?said=phone"}
    answer = Client().get(f"{page}?seen=0", headers=headers)
    assert answer.status_code == 204
    way = {"next": f"{page}?said=phone", "over": "yes"}
    assert answer["HX-Redirect"] == f"/sign-in?{urlencode(way)}"
    lost = Client().get(page, headers={"HX-Request": "true"})
    assert lost["HX-Redirect"] == "/sign-in?next=%2F&over=yes"


def test_amounts_name_their_currency(hers, admin):
    admin.cookies["aim_language"] = "en"
    page = admin.get(f"/organizations/{hers.organization.pk}/limits").text
    assert re.search(r'<label for="id_monthly_spend">Spending limit a month \(€\)', page)
    assert re.search(r'<label for="id_tokens_per_month">Tokens a month <', page)


def test_who_is_nowhere_a_member_is_told_where_to_go():
    nobody = session_caller(people.person("Nora")).client
    nobody.cookies["aim_language"] = "en"
    page = nobody.get("/organizations").text
    assert "In no organization now" in page
    assert "<table" not in page
    assert 'href="/welcome"' in page
