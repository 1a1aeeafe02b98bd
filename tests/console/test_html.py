"""HTML of pages that are of no organization: outside, own, refusals; and of our validator."""

import pytest
from django.db import OperationalError
from django.test import Client

from tenants.common.problems import Conflict, TooMany
from tenants.console import refusals
from tests import people
from tests.console.html import faults
from tests.console.pages import ACCOUNT_PAGES, PERSONAL
from tests.people import session_caller

HTML = {"Accept": "text/html"}
GOOD = "<!doctype html><html lang=it><head><title>x</title></head><body><h1>x</h1>{}</body></html>"
languages = pytest.mark.parametrize("language", ["it", "en"])


@languages
def test_pages_without_an_organization_are_valid(language):
    person = people.person("Nora", password=people.PASSWORD)
    addresses = [f"/{route}" for method, route in ACCOUNT_PAGES if method == "GET"]
    addresses += [
        f"/{row.route}" for row in PERSONAL if row.method == "GET" and "<" not in row.route
    ]
    addresses += ["/reset-password/1-none", "/invitations/aim_inv_none", "/nowhere"]
    seen = 0
    for client in (Client(), session_caller(person).client):
        client.cookies["aim_language"] = language
        for address in addresses:
            answer = client.get(address, headers=HTML)
            if "text/html" in answer.get("Content-Type", "") and answer.content:
                page = answer.content.decode()
                assert f'<html lang="{language}"' in page, address
                assert faults(page) == [], address
                seen += 1
    assert seen > 20


@languages
def test_refusals_and_failures_are_pages_of_the_house(language, rf):
    request = rf.get("/organizations", headers=HTML)
    pages = {
        400: refusals.bad_request(request, ValueError()),
        403: refusals.permission_denied(request, PermissionError()),
        404: refusals.page_not_found(request),
        405: refusals.method_not_allowed(request, ["get"]),
        409: refusals.problem_page(request, Conflict("last_admin", "No.")),
        429: refusals.problem_page(request, TooMany("too_many_requests", "No.", retry_after=7)),
        500: refusals.server_error(request),
        503: refusals.unavailable(request),
    }
    for status, answer in pages.items():
        assert answer.status_code == status
        assert faults(answer.content.decode()) == [], status
        assert answer["Cache-Control"] == "no-store"
    assert pages[429]["Retry-After"] == "7"
    assert int(pages[503]["Retry-After"]) > 0


@pytest.mark.parametrize(
    "text",
    [
        "<p>a<div>b</div></p>",
        "<ul><div>a</div></ul>",
        "<span><div>a</div></span>",
        "<form><form></form></form>",
        "<p id=a></p><p id=a></p>",
        "<label for=nothing>a</label>",
        "<a href=/><button>a</button></a>",
        "<b><i>a</b></i>",
        "<table><div>a</div></table>",
        "<p>&nothing</p>",
        "<img src=/>",
        "<font>a</font>",
    ],
)
def test_the_validator_finds_what_is_wrong(text):
    assert faults(GOOD.format("<p>fine</p>")) == []
    assert faults(GOOD.format(text))
    assert faults("<p>no head")


def test_maintenance_closes_pages_and_the_api_and_nothing_else(settings):
    settings.MAINTENANCE = True
    page = Client().get("/sign-in?next=/spend", headers=HTML)
    assert (page.status_code, page["Retry-After"]) == (503, "120")
    assert "Torniamo" in page.content.decode()
    assert '<a class="button" href="/sign-in?next=/spend">Riprova</a>' in page.content.decode()
    assert "Vai alla panoramica" not in page.content.decode()  # it is closed as well
    sent = Client().post("/sign-in", headers=HTML)
    assert sent.status_code == 503
    assert 'class="button"' not in sent.content.decode()  # reloading sends it again
    assert Client().get("/api/v1/organizations").json()["code"] == "maintenance"
    assert Client().get("/health/live").status_code == 200


def test_a_database_that_is_away_is_said_so(monkeypatch):
    def away(*_arguments):
        raise OperationalError("server closed the connection")

    monkeypatch.setattr("tenants.console.door.principal_of_session", away)
    answer = Client().get("/organizations", headers=HTML)
    assert answer.status_code == 503
    assert "server closed" not in answer.content.decode()
