"""What an attacker tries first at every door: headers, hosts, methods, paths, forged addresses."""

import re

import pytest
from django.test import Client

from tests import people
from tests.api.callers import Caller, organization_caller, platform_caller
from tests.api.world import everything
from tests.people import session_caller

HTML = {"Accept": "text/html"}
#: One address of each kind: pages, refusals and files of every door that Django serves.
DOORS = {
    "/sign-in": 200,
    "/nowhere": 404,
    "/organizations/00000000-0000-0000-0000-000000000000": 303,
    "/admin/login": 200,
    "/admin/nowhere": 404,
    "/api/v1/organizations": 401,
    "/api/v1/nowhere": 404,
    "/api/v1/docs": 200,
    "/_allauth/browser/v1/config": 200,
    "/_allauth/browser/v1/auth/session": 401,
    "/health/live": 200,
    "/static/console/console.css": 200,
    "/static/../settings.py": 404,
}
#: Where nobody shall be sent; browsers take tabs and line breaks out of an address.
ELSEWHERE = (
    "https://evil.example/",
    "//evil.example/",
    "/\\evil.example",
    "/\t/evil.example",
    "javascript:evil()",
    "/profile\r\nSet-Cookie: a=b",
)
ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@pytest.mark.parametrize("address", DOORS)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_every_answer_tells_browsers_to_be_careful(address, accept):
    if address == "/api/v1/docs":
        accept = "text/html"
    answer = Caller().get(address, {"Accept": accept})
    assert answer.status == DOORS[address]
    assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert "frame-ancestors 'none'" in policy
    assert "base-uri 'none'" in policy
    assert "http" not in policy
    assert not any(name.lower().startswith("access-control") for name in answer.headers)
    assert "Server" not in answer.headers
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["X-Request-Id"])
    if not address.startswith(("/static/", "/health/", "/api/v1/docs")):
        assert "no-store" in answer.headers.get("Cache-Control", ""), address


@pytest.mark.parametrize(
    "headers",
    [
        {"X-HTTP-Method-Override": "DELETE"},
        {"X-HTTP-Method": "DELETE"},
        {"X-Method-Override": "DELETE"},
        {"X-Original-URL": "/health/live"},
        {"X-Rewrite-URL": "/health/live"},
        {"X-Forwarded-Host": "evil.example"},
        {"X-Forwarded-Proto": "https"},
        {"Forwarded": "host=evil.example"},
        {"Origin": "https://evil.example"},
    ],
    ids=str,
)
def test_no_header_makes_another_request_of_a_request(headers, organization):
    caller, path = platform_caller(), f"organizations/{organization.pk}"
    before = everything(organization.pk)
    answer = caller.get(path, headers)
    assert (answer.status, answer.body["id"]) == (200, str(organization.pk))
    assert b"evil" not in answer.raw
    assert everything(organization.pk) == before


@pytest.mark.parametrize(
    "host", ["evil.example", "gateway.test@evil.example", "gateway.test:x", ""]
)
def test_a_host_that_is_not_ours_gets_nothing(host, organization):
    for path in (f"/api/v1/organizations/{organization.pk}", "/reset-password", "/admin/login"):
        answer = platform_caller().get(path, {"Host": host})
        assert answer.status == 400, path
        assert b"evil" not in answer.raw


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "OPTIONS", "PROPFIND", "DELETE"])
def test_methods_that_an_address_does_not_have_do_nothing(method, organization):
    caller = platform_caller()
    before = everything(organization.pk)
    for path in ("organizations", f"organizations/{organization.pk}/workspaces", "/sign-in"):
        assert caller.call(method, path).status == 405, path
    assert everything(organization.pk) == before


@pytest.mark.parametrize(
    "path",
    [
        "organizations/..%2f..%2fhealth%2flive",
        "organizations/{id}%2f..",
        "organizations/{id}%00",
        "organizations/{id}%0d%0aSet-Cookie:%20a=b",
        "organizations/{id}/workspaces/..;/tokens",
        "organizations/{bare}",
        "organizations/%7b{id}%7d",
        "organizations/{id}/",
        "problems/..%2f..%2f..%2fetc%2fpasswd",
        "unsubscribe/..%2f..%2fmetrics",
    ],
)
def test_an_id_has_one_spelling_and_no_path_leads_out_of_it(path, organization):
    own = str(organization.pk)
    address = path.format(id=own, bare=organization.pk.hex)
    answer = organization_caller(organization).get(address)
    assert (answer.status, answer.code) == (404, "not_found")
    assert "Set-Cookie" not in answer.headers


def test_no_way_on_leads_to_another_site(settings):
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # it is quick
    person = people.person("Nora", password=people.PASSWORD)
    known = session_caller(person).client
    for there in ELSEWHERE:
        login = {"login": person.email, "password": people.PASSWORD, "next": there}
        for answer in (
            Client().post("/sign-in", login),
            Client().post("/looks", {"theme": "dark", "from": there}),
            known.post("/confirm", {"password": people.PASSWORD, "next": there}),
        ):
            location = answer.headers["Location"]
            assert answer.status_code in {302, 303}
            assert re.match(r"/(?![/\\\t])", location), (there, location)
            assert "evil" not in location
            assert "a" not in answer.cookies


def test_cookies_are_out_of_reach_of_scripts_and_other_sites():
    person = people.person("Nora", password=people.PASSWORD)
    browser = Client()
    browser.get("/sign-in")
    browser.post("/sign-in", {"login": person.email, "password": people.PASSWORD})
    session = browser.cookies["aim_session"]
    assert session["httponly"]
    for cookie in browser.cookies.values():
        assert cookie["samesite"] == "Lax"
        assert cookie["path"] == "/"
        assert not cookie["domain"]
