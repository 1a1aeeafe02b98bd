"""Forms in a real browser: reloaded, clicked twice, sent after the session is over."""

import time

import pytest
from playwright.sync_api import Route, expect

from tenants.common import scope
from tenants.notices.models import WebhookEndpoint
from tests.api.world import WholeWorld, whole_world
from tests.browser.test_pages import signed_in

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
