"""The playground when an answer comes in part or not at all: it says so, and nothing is lost."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tenants.organizations.roles import Role
from tests import people
from tests.api.world import whole_world
from tests.browser.conftest import Watched
from tests.people import session_caller

BROKEN = {"it": "La risposta si è interrotta prima della fine", "en": "The answer broke off before"}
FAILED = {
    "it": "Nessuna risposta. Controllare la connessione",
    "en": "No answer came. Check the connection",
}
DONE = "data: [DONE]\n\n"


def piece(text: str, finish_reason: str | None = None) -> str:
    """One event of a streamed answer."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": finish_reason}
    return f"data: {json.dumps({'choices': [choice]})}\n\n"


WAYS_TO_BREAK = {
    "no end": piece("Fino a qui"),
    "an end without its mark": piece("Fino a qui", "stop"),
    "half an event": piece("Fino a qui") + 'data: {"choi',
    "no JSON": piece("Fino a qui") + 'data: {"choi\n\n' + DONE,
    "a named error": piece("Fino a qui") + 'event: error\ndata: {"message": "no"}\n\n' + DONE,
    "an error": piece("Fino a qui") + 'data: {"error": {"message": "no"}}\n\n' + DONE,
    "an error as Mistral's": piece("Fino a qui") + 'data: {"object": "error"}\n\n' + DONE,
    "a reason": piece("Fino a qui", "error") + DONE,
}


class Gateway:
    """Answers the page's calls in the gateway's place: a stream, or None for no network."""

    def __init__(self, page: Page) -> None:
        self.stream: str | None = None
        self.heard: list[list[dict[str, Any]]] = []
        page.route("**/v1/chat/completions", self._answer)

    def _answer(self, route: Route) -> None:
        self.heard.append(json.loads(route.request.post_data or "")["messages"])
        if self.stream is None:
            route.abort("internetdisconnected")
        else:
            route.fulfill(content_type="text/event-stream", body=self.stream)


@pytest.mark.parametrize("language", ["it", "en"])
def test_what_breaks_off_is_told_and_left_out_of_the_conversation(language, context, web):
    found = whole_world()
    alice = people.member(found.organization, Role.ADMIN)
    session = session_caller(alice.person).client.cookies["aim_session"].value
    context.add_cookies(
        [
            {"name": "aim_session", "value": session, "url": web.url},
            {"name": "aim_language", "value": language, "url": web.url},
        ]
    )
    tab = Watched(context.new_page(), web.url)
    page = tab.page
    gateway = Gateway(page)
    tab.go(f"/models/{found.model.pk}")
    field, bad, whole = (
        page.locator(one) for one in ("#question", ".bubble-bad", ".bubble-model .fine")
    )

    field.fill("Chi sei?")
    field.press("Enter")  # no network: our sentence alone, and the question is there again
    expect(bad).to_have_count(1)
    expect(bad).to_contain_text(FAILED[language])
    expect(bad).not_to_contain_text("fetch")
    expect(field).to_have_value("Chi sei?")

    for place, (way, stream) in enumerate(WAYS_TO_BREAK.items(), start=2):
        gateway.stream = stream
        field.press("Enter")
        expect(bad, way).to_have_count(place)
        expect(bad.last, way).to_contain_text(BROKEN[language])
        expect(page.locator(".bubble-model").last).to_contain_text("Fino a qui")
        expect(field).to_have_value("Chi sei?")
    expect(whole).to_have_count(0)

    gateway.stream = piece("Un ") + piece("modello", "length") + DONE.strip()
    field.press("Enter")
    expect(whole).to_have_count(1)
    expect(field).to_have_value("")
    field.fill("E poi?")
    field.press("Enter")
    expect(whole).to_have_count(2)
    assert [[turn["content"] for turn in turns] for turns in gateway.heard] == [
        *[["Chi sei?"]] * (2 + len(WAYS_TO_BREAK)),
        ["Chi sei?", "Un modello", "E poi?"],
    ]
    tab.is_quiet(besides="ERR_INTERNET_DISCONNECTED")


@pytest.mark.parametrize(
    ("language", "told"),
    [
        ("it", "Un limite di spesa ferma questa chiamata: 2000,50 € al mese, di cui 0,0043 €"),
        ("en", "A spending limit stops this call: €2,000.50 a month, of which €0.0043"),
    ],
)
def test_a_refusal_is_told_in_the_readers_words(language, told, context, web):
    found = whole_world()
    alice = people.member(found.organization, Role.ADMIN)
    session = session_caller(alice.person).client.cookies["aim_session"].value
    cookies = {"aim_session": session, "aim_language": language}
    context.add_cookies(
        [{"name": name, "value": value, "url": web.url} for name, value in cookies.items()]
    )
    tab = Watched(context.new_page(), web.url)
    page = tab.page
    refusal = {
        "object": "error",
        "message": "The organization may spend 2000.50 EUR a month.",
        "code": "spending_limit_reached",
        "source": "gateway",
        "currency": "EUR",
        "limit": "2000.50",
        "spent": "0.00426036",
    }
    page.route("**/v1/chat/completions", lambda route: route.fulfill(status=402, json=refusal))
    tab.go(f"/models/{found.model.pk}")
    page.fill("#question", "Chi sei?")
    page.press("#question", "Enter")
    bad = page.locator(".bubble-bad")
    expect(bad.last).to_contain_text(told)
    refusal |= {"code": "unheard_of"}
    page.press("#question", "Enter")
    expect(bad.last).to_contain_text("may spend 2000.50 EUR")  # better than nothing
    refusal |= {"code": "busy", "source": "provider"}
    page.press("#question", "Enter")
    expect(bad.last).to_contain_text("Mistral: The organization may spend")
    expect(bad.last.locator(".fine")).to_have_text("HTTP 402 · busy")
