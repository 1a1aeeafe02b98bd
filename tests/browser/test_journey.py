"""From nothing to a streamed answer, as a newcomer does it, in both languages."""

import re
from secrets import token_hex

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tenants.common import scope
from tenants.keys.models import MistralKey
from tenants.keys.validation import validate
from tenants.organizations import members
from tenants.people.models import Person
from tests.browser.conftest import Watched, Web

WORDS = {
    "it": {
        "locale": "it-IT",
        "sign_up": "Crea un account",
        "confirm": "Conferma",
        "register": "Registra la chiave",
        "checking": "in verifica",
        "valid": "valida",
        "make": "Crea un modello con questa chiave",
        "create": "Crea il modello",
        "try": "prova il modello",
        "ask": "Chiedi",
        "spend": "Spesa",
    },
    "en": {
        "locale": "en-US",
        "sign_up": "Create an account",
        "confirm": "Confirm",
        "register": "Register the key",
        "checking": "checking",
        "valid": "valid",
        "make": "Create a model with this key",
        "create": "Create the model",
        "try": "try the model out",
        "ask": "Ask",
        "spend": "Spend",
    },
}
type Words = dict[str, str]
#: Steps that a key's verdict, a model and the first metered message do.
GREEN = ("api_key", "model", "first_call")


@pytest.mark.parametrize("language", ["it", pytest.param("en", marks=pytest.mark.rehearsal)])
def test_a_newcomer_reaches_a_streamed_answer(language, browser, web, made_up):
    say = WORDS[language]
    context = browser.new_context(locale=say["locale"])
    tab = Watched(context.new_page(), web.url)
    tab.go("/sign-up")
    assert tab.page.locator("html").get_attribute("lang") == language
    address = signs_up(tab.page, web, say)
    tab.picture(f"{language}-newcomer")
    checklist = watches(context, tab)
    tab.go("/keys")
    registers(tab.page, made_up(), address, say)
    tab.picture(f"{language}-key")
    makes_a_model(tab.page, say)
    asks(tab.page, say)
    tab.picture(f"{language}-answer")
    tab.go("/spend")
    expect(tab.page.get_by_role("heading", level=1)).to_have_text(say["spend"])
    for _ in range(20):  # a call is in the ledger a moment after its answer
        if tab.page.locator("svg.chart").count():
            break
        tab.page.wait_for_timeout(500)
        tab.page.reload()
    expect(tab.page.locator("svg.chart").first).to_be_visible()
    turned_green(checklist)
    tab.is_quiet()
    context.close()


def signs_up(page: Page, web: Web, say: Words) -> str:
    """An account, with the address confirmed by the code that came by mail."""
    address = f"anna-{token_hex(4)}@rossi-{token_hex(3)}.example"
    page.fill("#id_name", "Anna Rossi")
    page.fill("#id_email", address)
    page.fill("#id_organization", "Rossi Srl")
    page.fill("#id_password1", "una frase lunga e mia")
    page.check("#id_terms")
    page.get_by_role("button", name=say["sign_up"]).click()
    page.wait_for_url("**/verify-email**")
    page.fill("#id_code", web.code_for(address))
    page.get_by_role("button", name=say["confirm"], exact=True).click()
    page.wait_for_url("**/organizations/*")
    return address


def watches(context: BrowserContext, tab: Watched) -> Page:
    """The checklist in a tab of its own, with a step unfolded and the keyboard on it."""
    page = context.new_page()
    page.on("request", tab.asked)
    page.goto(f"{tab.page.url}/start")
    for step in GREEN:
        expect(page.locator(f"#step-{step} .step-mark")).not_to_have_text("✓")
    page.locator("#step-first_call summary").focus()
    page.keyboard.press("Enter")
    page.evaluate("window.neverLeft = true")
    return page


def turned_green(page: Page) -> None:
    """What the system sees by itself is done there, and nobody has touched the page."""
    for step in GREEN:
        expect(page.locator(f"#step-{step} .step-mark")).to_have_text("✓", timeout=15_000)
    assert page.evaluate("window.neverLeft")
    assert page.locator("#step-first_call").get_attribute("open") is not None
    assert page.evaluate("document.activeElement.closest('details').id") == "step-first_call"


def registers(page: Page, plain: str, address: str, say: Words) -> None:
    """A key: sealed in the browser, checked by a worker, seen to turn valid by itself."""
    page.wait_for_url("**/workspaces/*/keys")
    page.goto(page.url + "/new")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    page.fill("#pasted_key", plain)
    page.fill("#id_name", "Produzione")
    page.get_by_role("button", name=say["register"]).click()
    page.wait_for_url("**/keys/*-*")
    state = page.locator("#verdict .badge").first
    expect(state).to_contain_text(say["checking"])
    assert any("ciphertext" in body for body in sent)
    assert not [body for body in sent if plain in body]
    works(address)
    expect(state).to_contain_text(re.compile(rf"\b{say['valid']}$"))


def makes_a_model(page: Page, say: Words) -> None:
    """A choice, and a token that is shown once."""
    page.get_by_role("link", name=say["make"]).click()
    page.fill("#id_name", "Assistente")
    page.get_by_role("button", name=say["create"]).click()
    token = page.locator("#token").text_content() or ""
    assert token.startswith("aim_mdl_")
    page.get_by_role("link", name=re.compile(say["try"])).click()
    page.wait_for_url("**/models/*")
    assert token not in page.content()


def asks(page: Page, say: Words) -> None:
    """An answer that comes piece by piece."""
    page.fill("#question", "Ciao, chi sei?")
    page.get_by_role("button", name=say["ask"], exact=True).click()
    answer = page.locator(".bubble-model")
    expect(answer.locator(".fine")).to_contain_text("token")
    assert answer.locator("span").nth(1).text_content()


def works(address: str) -> None:
    """Do what a worker would: check the keys of a person's organization."""
    person = Person.objects.get(email=address)
    (membership,) = members.memberships_of(person)
    with scope.tenant(membership.organization_id):
        ids = list(MistralKey.objects.values_list("pk", flat=True))
    for key_id in ids:
        validate(membership.organization_id, key_id)
