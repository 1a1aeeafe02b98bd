"""Long tables in a real browser: the head stays where it can be read, and sorts by a click."""

import pytest
from django.utils import timezone
from playwright.sync_api import Route, ViewportSize, expect

from tenants.common import scope
from tenants.keys.models import KeyStatus, MistralKey
from tenants.keys.services import update_key
from tests.api.world import valid_key, whole_world
from tests.browser.test_pages import signed_in
from tests.console.test_following import judged, pending_key
from tests.factories import ACTOR

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LOW: ViewportSize = {"width": 1280, "height": 600}
#: Whether the first head is what one sees at the top of a table's frame, and at what height.
HEAD = """() => {
  const frame = document.querySelector(".table-wrap");
  const head = frame.querySelector("thead th");
  const [at, box] = [head.getBoundingClientRect(), frame.getBoundingClientRect()];
  const seen = document.elementFromPoint(at.left + 8, at.top + at.height / 2);
  return {gap: Math.round(at.top - box.top), seen: head.contains(seen),
          scrolled: frame.scrollTop, inView: at.top >= 0 && at.bottom <= innerHeight};
}"""
#: On how many lines a link's words stand.
LINES = """(link) => {
  const words = document.createRange();
  words.selectNodeContents(link);
  return new Set([...words.getClientRects()].map((box) => Math.round(box.bottom))).size;
}"""


@pytest.fixture(scope="module")
def hers():
    """A tenant with more keys than a window shows."""
    made = whole_world()
    for number in range(24):
        valid_key(made.workspace, f"Chiave {number:02}")
    return made


def test_the_head_of_a_long_table_sticks_while_its_rows_scroll(context, web, hers):
    tab = signed_in(context, web, hers.organization, language="en")
    page = tab.page
    page.set_viewport_size(LOW)
    tab.go(f"/workspaces/{hers.workspace.pk}/keys")
    frame = page.locator(".table-wrap")
    frame.scroll_into_view_if_needed()
    before = page.evaluate(HEAD)
    assert (before["gap"], before["seen"]) == (0, True)
    last = page.locator("tbody tr").last
    last.scroll_into_view_if_needed()
    after = page.evaluate(HEAD)
    assert after["scrolled"] > 200
    assert (after["gap"], after["seen"], after["inView"]) == (0, True, True)
    expect(last).to_be_in_viewport()
    # The keyboard scrolls it, too, and what it comes to is not under the head.
    links = page.locator("tbody a.row-target")
    links.last.focus()
    page.keyboard.press("Shift+Tab")
    for _ in range(22):
        page.keyboard.press("Shift+Tab")
    at = page.evaluate("document.activeElement.getBoundingClientRect().top")
    bottom = page.evaluate("document.querySelector('thead th').getBoundingClientRect().bottom")
    assert at >= bottom - 1
    tab.is_quiet()


def test_a_page_with_a_long_table_ends_where_its_content_does(context, web, hers):
    tab = signed_in(context, web, hers.organization, language="en")
    tab.page.set_viewport_size(LOW)
    for path in ("audit", "members", "tokens"):
        tab.go(f"/organizations/{hers.organization.pk}/{path}")
        whole, content = tab.page.evaluate(
            "[document.documentElement.scrollHeight,"
            " document.querySelector('.columns').getBoundingClientRect().bottom + scrollY]"
        )
        assert whole <= content + 1, path


def test_a_word_that_leads_on_is_whole_where_there_is_room(context, web):
    made = whole_world()
    update_key(actor=ACTOR, key=made.key, changes={"name": "Abbonamento"})
    with scope.tenant(made.organization.pk):
        MistralKey.objects.update(
            status=KeyStatus.SUSPENDED,
            verdict_code="spending_limit_reached",
            expires_on=timezone.now().date(),
            last_used_at=timezone.now(),
        )
    tab = signed_in(context, web, made.organization, language="it")
    tab.page.set_viewport_size(LOW)
    tab.go(f"/workspaces/{made.workspace.pk}/keys")
    assert tab.page.locator("a.row-target").first.evaluate(LINES) == 1


def test_a_click_on_a_head_sorts_without_scripts(browser, web, hers):
    context = browser.new_context(locale="en-US", java_script_enabled=False)
    tab = signed_in(context, web, hers.organization)
    page = tab.page
    tab.go(f"/workspaces/{hers.workspace.pk}/keys?search=chiave")
    head = page.get_by_role("columnheader", name="Name")
    head.get_by_role("link").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("Name")
    expect(page.locator("tbody a.row-target").first).to_have_text("Chiave 00")
    expect(page.locator("#search")).to_have_value("chiave")
    head.get_by_role("link").click()
    expect(page.locator("tbody a.row-target").first).to_have_text("Chiave 23")
    context.close()


def test_a_key_that_is_being_checked_changes_its_row_alone(context, web):
    made = whole_world()
    waiting = pending_key(made.workspace, "In attesa")
    tab = signed_in(context, web, made.organization, language="en")
    page = tab.page
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if "waiting=" in one.url else None)
    tab.go(f"/workspaces/{made.workspace.pk}/keys")
    row = page.locator(f"#key-{waiting.pk}")
    expect(row).to_contain_text("checking")
    expect(page.locator("#waiting")).to_contain_text("1 key is being checked")
    page.evaluate("document.querySelector('#search').value = 'typed meanwhile'")
    judged(waiting)
    expect(row).to_contain_text("valid", timeout=15_000)
    expect(page.locator("#waiting")).to_be_hidden()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.locator("#search")).to_have_value("typed meanwhile")
    many = len(asked)
    page.wait_for_timeout(4_000)
    assert len(asked) == many <= 2, "nothing waits any more, so nothing is asked for"
    assert tab.axe() == []
    tab.is_quiet()


def test_a_question_that_fails_is_asked_again_and_in_the_end_the_page_says_so(context, web):
    made = whole_world()
    waiting = pending_key(made.workspace, "In attesa")
    tab = signed_in(context, web, made.organization, language="en")
    page = tab.page
    page.clock.install()
    failed: list[str] = []

    def fail(route: Route) -> None:
        failed.append(route.request.url)
        route.abort() if len(failed) % 2 else route.fulfill(status=500, body="no")

    page.route("**/keys?waiting=*", fail)
    tab.go(f"/workspaces/{made.workspace.pk}/keys")
    told = page.locator("#waiting")
    for tries, pause in enumerate((3, 6, 12, 24), start=1):
        expect(told).to_have_attribute("hx-trigger", f"load delay:{pause}s")
        page.clock.run_for(pause * 1000)
        expect(told).to_have_attribute("data-failed", str(tries))
    page.clock.run_for(48_000)
    expect(told).to_contain_text("The result cannot be asked for just now.")
    assert len(failed) == 5
    assert tab.axe() == []
    judged(waiting)
    page.unroute("**/keys?waiting=*")
    told.get_by_role("link", name="Look again").click()
    expect(page.locator(f"#key-{waiting.pk}")).to_contain_text("valid")


def test_tags_on_a_narrow_screen_break_between_each_other_and_not_inside(context, web):
    made = whole_world()
    tab = signed_in(context, web, made.organization, language="it")
    tab.page.set_viewport_size({"width": 360, "height": 740})
    tab.go(f"/workspaces/{made.workspace.pk}/models/new")
    tags = tab.page.locator("td .tag").evaluate_all(
        "all => all.map((one) => [one.getClientRects().length, one.offsetHeight])"
    )
    assert len(tags) >= 3
    assert {count for count, _height in tags} == {1}
    assert max(height for _count, height in tags) < 30, "one line each"
