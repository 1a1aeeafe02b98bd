"""Forms in a real browser: reloaded, clicked twice, sent after the session is over."""

import time

import pytest
from playwright.sync_api import Dialog, Route, expect

from tenants.common import scope
from tenants.notices.models import WebhookEndpoint
from tenants.organizations.roles import Role
from tests import people
from tests.api.world import WholeWorld, made_up_key, whole_world
from tests.browser.conftest import Watched
from tests.browser.test_pages import signed_in
from tests.people import session_caller

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    return whole_world(has_statement=False)


#: What an impatient hand does while the answer is on its way.
TWICE = """() => { const button = document.querySelector("main form .button");
  button.click(); setTimeout(() => button.click(), 150); }"""


def at_leisure(route: Route) -> None:
    """Let an answer come after a while."""
    answer = route.fetch(max_redirects=0)
    time.sleep(0.5)
    route.fulfill(response=answer)


def webhooks(found: WholeWorld) -> int:
    with scope.tenant(found.organization.pk):
        return WebhookEndpoint.objects.count()


def test_a_page_that_shows_a_secret_is_reloaded_and_makes_no_second_thing(context, web, hers):
    tab = signed_in(context, web, hers.organization, language="en")
    page, before = tab.page, webhooks(hers)
    address = f"/organizations/{hers.organization.pk}/webhooks"
    tab.go(f"{address}/new")
    page.fill("#id_url", "https://hooks.example.com/once")
    page.get_by_role("button", name="Add it").click()
    expect(page.locator("#token")).to_contain_text("whsec_")
    page.locator("header details.menu summary").last.click()
    page.once("dialog", lambda dialog: dialog.dismiss())
    with page.expect_event("dialog"):  # another language would show it no more
        page.locator("form.looks button[value=it]").click()
    expect(page.locator("#token")).to_contain_text("whsec_")
    page.reload()
    expect(page.get_by_text("This form was sent already: the webhook is there.")).to_be_visible()
    assert page.url.endswith(address)
    assert webhooks(hers) == before + 1
    tab.is_quiet()


def test_a_form_that_is_clicked_twice_still_ends_at_its_secret(context, web, hers):
    tab = signed_in(context, web, hers.organization, language="en")
    page, before = tab.page, webhooks(hers)
    tab.go(f"/organizations/{hers.organization.pk}/webhooks/new")
    page.fill("#id_url", "https://hooks.example.com/twice")
    page.route("**/webhooks/new", at_leisure)
    page.evaluate(TWICE)
    expect(page.locator("#token")).to_contain_text("whsec_")
    assert webhooks(hers) == before + 1
    tab.is_quiet()


def test_what_was_typed_survives_the_end_of_the_session(context, web, hers):
    vera = people.person("Vera", password=people.PASSWORD)
    people.member(hers.organization, Role.ADMIN, who=vera)
    session = session_caller(vera).client.cookies["aim_session"].value
    cookies = {"aim_session": session, "aim_language": "en"}
    context.add_cookies([{"name": n, "value": v, "url": web.url} for n, v in cookies.items()])
    tab = Watched(context.new_page(), web.url)
    page = tab.page
    tab.go(f"/workspaces/{hers.workspace.pk}/edit")
    page.fill("#id_name", "Vendite e oltre")
    context.clear_cookies(name="aim_session")
    page.get_by_role("button", name="Save").click()
    page.fill("#id_login", vera.email)
    page.fill("#id_password", people.PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("What was typed is in the form again")).to_be_visible()
    expect(page.locator("#id_name")).to_have_value("Vendite e oltre")
    tab.is_quiet()


def test_a_pasted_key_outlives_the_session_and_is_sent_after_signing_in_elsewhere(
    context, web, hers
):
    vera = people.person("Vera", password=people.PASSWORD)
    people.member(hers.organization, Role.ADMIN, who=vera)
    session = session_caller(vera).client.cookies["aim_session"].value
    cookies = {"aim_session": session, "aim_language": "en"}
    context.add_cookies([{"name": n, "value": v, "url": web.url} for n, v in cookies.items()])
    tab, plain = Watched(context.new_page(), web.url), made_up_key()
    page = tab.page
    tab.go(f"/workspaces/{hers.workspace.pk}/keys/new")
    page.fill("#pasted_key", plain)
    page.fill("#id_name", "Di ieri")
    context.clear_cookies(name="aim_session")
    page.get_by_role("button", name="Register the key").click()
    expect(page.get_by_text("The session is over, so nothing was sent")).to_be_visible()
    expect(page.locator("[data-seal-trouble]")).to_be_hidden()
    expect(page.locator("#pasted_key")).to_have_value(plain)
    assert tab.axe() == []
    with context.expect_page() as opened:
        page.locator("[data-seal-over] a").click()
    other = opened.value
    other.fill("#id_login", vera.email)
    other.fill("#id_password", people.PASSWORD)
    other.get_by_role("button", name="Sign in", exact=True).click()
    other.wait_for_url("**/keys/new")
    other.close()
    page.get_by_role("button", name="Register the key").click()
    page.wait_for_url("**/keys/*-*")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Di ieri")
    tab.is_quiet(besides="401")


def test_another_language_is_asked_about_when_something_was_typed(tab):
    page, asked = tab.page, []
    answers = iter([False, True])

    def answer(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept() if next(answers) else dialog.dismiss()

    page.on("dialog", answer)
    tab.go("/sign-up")
    english = page.locator("form.looks button[value=en]")
    italian = page.locator("form.looks button[value=it]")
    italian.click()  # nothing was typed
    expect(italian).to_have_attribute("aria-pressed", "true")
    assert asked == []
    page.fill("#id_email", "zoe@people.example")
    english.click()
    assert [one.partition(".")[0] for one in asked] == ["La pagina viene ricaricata"]
    expect(page.locator("#id_email")).to_have_value("zoe@people.example")
    english.click()
    expect(english).to_have_attribute("aria-pressed", "true")
    assert len(asked) == 2
    tab.is_quiet()
