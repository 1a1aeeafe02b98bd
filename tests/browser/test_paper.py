"""Pages on paper: long cards go on on the next page, and nothing is printed that is shut."""

import re

import pytest

from tests.api.world import whole_world
from tests.browser.test_pages import reported, signed_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

#: How cards and what is in them may be torn.
TORN = """() => {
  const of = (one, what) => getComputedStyle(document.querySelector(one))[what];
  return {card: of(".card:has(table)", "breakInside"), row: of("tbody tr", "breakInside"),
          heading: of(".card h2", "breakAfter"), frame: of(".table-wrap", "overflowY")};
}"""
#: Makes a page's last table longer.
LONGER = """() => {
  const body = [...document.querySelectorAll("tbody")].at(-1);
  const row = body.rows[0];
  for (let at = 0; at < 12; at++) body.append(row.cloneNode(true));
}"""
#: Has cards moved to the next sheet rather than torn, or takes that back.
KEPT_WHOLE = """how => {
  for (const card of document.querySelectorAll(".card")) card.style.breakInside = how;
}"""


@pytest.fixture(scope="module")
def hers():
    """A tenant with a month of calls."""
    made = whole_world()
    reported(made, 40)
    return made


def sheets(page) -> int:
    return len(re.findall(rb"/Type /Page\b", page.pdf(format="A4")))


def test_a_card_that_does_not_fit_begins_where_there_is_room(context, web, hers):
    tab = signed_in(context, web, hers.organization, language="it")
    page = tab.page
    tab.go(f"/organizations/{hers.organization.pk}/spend")
    page.emulate_media(media="print")
    assert page.evaluate(TORN) == {
        "card": "auto",
        "row": "avoid",
        "heading": "avoid",
        "frame": "visible",
    }
    fewer = []
    for _ in range(3):
        page.evaluate(LONGER)
        as_it_is = sheets(page)
        page.evaluate(KEPT_WHOLE, "avoid")
        fewer.append(sheets(page) - as_it_is)
        page.evaluate(KEPT_WHOLE, "")
    assert min(fewer) >= 0
    assert max(fewer) > 0, "what does not fit begins on the sheet before"


def test_what_is_shut_is_not_on_paper_and_what_was_opened_is(context, web, hers):
    tab = signed_in(context, web, hers.organization, language="it")
    page = tab.page
    tab.go(f"/organizations/{hers.organization.pk}/spend")
    first = page.locator("details.more").first
    first.locator("summary").click()
    page.emulate_media(media="print")
    assert first.locator("table").is_visible()
    assert [one.is_visible() for one in page.locator("details.more").all()] == [True, False]
    assert not any(one.is_visible() for one in page.locator("details.more > summary").all())
