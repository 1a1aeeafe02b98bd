"""The pages about a person's own safety on a narrow screen, with what is long and what is one."""

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import ViewportSize

from tenants.people.models import Person
from tests import people
from tests.api.world import world
from tests.browser.conftest import Watched
from tests.browser.test_pages import NARROW, WIDE, signed_in

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

LONG = "Il portatile aziendale dell'ufficio di Bergamo 2"

PHONE: ViewportSize = {"width": 360, "height": 740}
FAR = "2001:0db8:aaaa:bbbb:cccc:dddd:eeee:ffff"
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"


def test_a_passkey_with_a_long_name_can_be_hit_on_a_narrow_screen(context, web):
    tab = signed_in(context, web, world().organization)
    person = Person.objects.latest("pk")
    for name in (LONG, "Chiave"):
        Authenticator.objects.create(user=person, type="webauthn", data={"name": name})
    for size in (NARROW, PHONE, WIDE):
        tab.page.set_viewport_size(size)
        tab.go("/security/passkeys")
        assert tab.page.get_by_text(LONG).is_visible()
        assert tab.axe(has_colours=False) == []
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    tab.is_quiet()


@pytest.mark.parametrize("sessions", [1, 3])
def test_the_list_of_sessions_can_be_reached_however_many_there_are(context, web, sessions):
    cache.clear()
    person = people.person("Sara", password=people.PASSWORD)
    for _ in range(sessions):
        client = Client(REMOTE_ADDR=FAR, headers={"User-Agent": FIREFOX})
        client.post("/sign-in", {"login": person.email, "password": people.PASSWORD})
    session = client.cookies["aim_session"].value
    context.add_cookies([{"name": "aim_session", "value": session, "url": web.url}])
    tab = Watched(context.new_page(), web.url)
    for width in (360, 660, 1280):  # at 660 the table is wider than its frame
        tab.page.set_viewport_size({"width": width, "height": 740})
        tab.go("/security")
        assert tab.page.locator("main tbody tr").count() == sessions
        assert tab.axe(has_colours=False) == []
    tab.is_quiet()
