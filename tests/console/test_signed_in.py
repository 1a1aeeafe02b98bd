"""Where a person is signed in: in words, with the last use, and each session can be ended."""

from datetime import timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from tenants.console import signed_in
from tests import people
from tests.console.html import faults

HTML = {"Accept": "text/html"}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
WEBKIT = "AppleWebKit/605.1.15 (KHTML, like Gecko)"
AGENTS = {
    FIREFOX: "Firefox on Linux",
    f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/141.0 Safari/537.36": "Chrome on Windows",
    f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/141 Safari/537 Edg/141": "Edge on Windows",
    f"Mozilla/5.0 (Macintosh; Mac OS X) {WEBKIT} Version/18 Safari/605": "Safari on macOS",
    f"Mozilla/5.0 (iPhone; CPU like Mac OS X) {WEBKIT} CriOS/141 Safari/60": "Chrome on iPhone",
    f"Mozilla/5.0 (Linux; Android 15) {WEBKIT} Chrome/141 Mobile Safari": "Chrome on Android",
    "curl/8.14": "A browser that does not tell its name",
    "": "A browser that does not tell its name",
}


@pytest.fixture
def nora():
    return people.person("Nora", password=people.PASSWORD)


def signs_in(person, agent: str) -> Client:
    client = Client(headers={"User-Agent": agent, "Accept": "text/html"})
    client.cookies["aim_language"] = "en"
    answer = client.post("/sign-in", {"login": person.email, "password": people.PASSWORD})
    assert answer.status_code == 302
    return client


@pytest.mark.parametrize("agent", AGENTS)
def test_browsers_are_called_by_their_names(agent):
    with override("en"):
        assert signed_in.name_of(agent) == AGENTS[agent]


def test_each_session_is_named_and_can_be_ended_by_itself(nora):
    here, there, elsewhere = (signs_in(nora, agent) for agent in [FIREFOX, *list(AGENTS)[1:3]])
    page = here.get("/security").content.decode()
    assert faults(page) == []
    for name in ("Firefox on Linux", "Chrome on Windows", "Edge on Windows"):
        assert name in page
    assert page.count("this one") == 1
    assert "table-stack" in page
    row = UserSession.objects.get(user=nora, user_agent=list(AGENTS)[1])
    assert here.post("/security/sessions", {"session": str(row.pk)})["Location"] == "/security"
    assert "The session was ended." in here.get("/security").content.decode()
    assert there.get("/security").status_code == 303
    assert elsewhere.get("/security").status_code == 200


def test_neither_anothers_session_nor_ones_own_is_ended_so(nora):
    here = signs_in(nora, FIREFOX)
    charlie = people.person("Charlie", password=people.PASSWORD)
    his = signs_in(charlie, FIREFOX)
    rows = UserSession.objects.filter(user__in=[nora, charlie])
    for name in [*(str(row.pk) for row in rows), "x", ""]:
        here.post("/security/sessions", {"session": name})
    assert here.get("/security").status_code == 200
    assert his.get("/security").status_code == 200


def test_the_last_use_is_known_to_ten_minutes(nora):
    here = signs_in(nora, FIREFOX)
    here.get("/security")
    rows = UserSession.objects.filter(user=nora)
    past = timezone.now() - timedelta(days=3)
    rows.update(last_seen_at=past)
    here.get("/security")
    assert rows.get().last_seen_at == past  # noted a moment ago
    session = here.session
    session["aim_seen"] -= 1
    session.save()
    here.get("/profile")
    assert timezone.now() - rows.get().last_seen_at < timedelta(minutes=1)
