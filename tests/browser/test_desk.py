"""The support desk in a browser: every script that it has may run, and nothing else."""

import time
from decimal import Decimal

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Locator, expect

from tenants.assistance import services
from tenants.assistance.staff import StaffRole
from tenants.organizations.audit import Actor
from tenants.spend.services import set_limit
from tests import factories
from tests.api.world import whole_world
from tests.browser.conftest import Watched
from tests.factories import ACTOR
from tests.support.conftest import hire, staff_person
from tests.support.test_table import spent

PASSWORD = "correct horse battery staple"
#: What axe looks at once more in the dark; by name, or it would ask for more than AA.
COLOURS = ["color-contrast", "link-in-text-block"]


def test_a_lead_signs_in_breaks_open_looks_and_leaves(tab: Watched):
    lead = staff_person(StaffRole.LEAD, password=PASSWORD)
    organization = factories.organization(name="Verdi & Figli")
    page = tab.page
    page.set_viewport_size({"width": 1440, "height": 900})
    tab.go("/admin/")
    page.locator("#id_email").fill(lead.email)
    page.locator("#id_password").fill(PASSWORD)
    page.get_by_role("button", name="Continua").click()
    secret = page.locator("dd").first.inner_text()
    tab.picture("desk-second-factor")
    code = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    page.locator("#id_code").fill(code)
    page.get_by_role("button", name="Continua").click()
    expect(page.locator("#id_term")).to_be_focused()

    page.keyboard.type(organization.slug)
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Verdi & Figli").click()
    page.locator("#id_reason").fill("ticket 7")
    page.locator("#id_break_open").check(force=True)
    page.get_by_role("button", name="Apri").click()
    banner = page.locator("#support-session")
    expect(banner).to_contain_text("accesso d'emergenza")
    tab.picture("desk-overview")

    page.keyboard.press("Control+k")
    expect(page.locator("#search-input-command")).to_be_focused()
    page.keyboard.type("piatt")
    found = page.locator("#command-results-list").get_by_role("link", name="Piattaforma")
    expect(found).to_be_visible()
    page.keyboard.press("Escape")
    expect(found).not_to_be_visible()
    expect(page.locator("#search-input-command")).not_to_be_focused()  # or it takes the keys
    page.keyboard.press("Control+e")  # from what the system says to light, and then to dark
    page.keyboard.press("Control+e")
    expect(page.locator("html")).to_have_class("dark")
    tab.picture("desk-overview-dark")

    banner.get_by_role("button").click()
    expect(page.locator("#support-session")).to_have_count(0)
    tab.go(f"/admin/organizations/{organization.pk}/keys")
    expect(page.get_by_text("support_session_over")).to_be_visible()
    tab.is_quiet(besides="403")


ENDS = ["", "/keys", "/models", "/calls", "/spend", "/people", "/outside", "/audit"]
ROLES = {
    # The pages beside the look-up, and the verbs of an organization that a session offers.
    StaffRole.VIEWER: ({"platform"}, set()),
    StaffRole.AGENT: ({"platform"}, {"Check", "Post the correction", "Start the reconciliation"}),
    StaffRole.LEAD: (
        {"platform", "log"},
        {"Check", "Suspend", "Extend the limit", "Post the correction", "Start the reconciliation"},
    ),
    StaffRole.SECURITY: ({"platform", "log", "staff"}, {"Suspend"}),
}
VERBS = {"Check", "Suspend", "Extend the limit", "Post the correction", "Start the reconciliation"}


def signed_in(browser, web, role: StaffRole, locale: str = "en-US") -> Watched:
    """Somebody of the staff at a browser that speaks a language."""
    worker = hire(role)
    context = browser.new_context(
        locale=locale, viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
    )
    name = "aim_session"
    cookie = worker.client.cookies[name].value
    context.add_cookies([{"name": name, "value": cookie, "url": web.url}])
    return Watched(context.new_page(), web.url)


def offered(tab: Watched) -> set[str]:
    labels = tab.page.locator("main button, #main button, form button").all_inner_texts()
    return {verb for verb in VERBS if any(label.strip().startswith(verb) for label in labels)}


@pytest.mark.rehearsal
@pytest.mark.timeout(300)
def test_each_role_sees_its_pages_and_its_verbs_and_no_more(browser, web):
    found = whole_world()
    organization = found.organization
    place = f"/admin/organizations/{organization.pk}"
    set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal(500)
    )
    spent(found)
    wrong: list[str] = []
    for role, (pages, verbs) in ROLES.items():
        tab = signed_in(browser, web, role)
        page = tab.page
        tab.go("/admin/")
        for address in ("platform", "log", "staff"):
            links = page.locator(f'a[href="/admin/{address}"]')
            assert bool(links.count()) is (address in pages), (role, address)
        tab.go(place)  # without a session: asked for a reason
        expect(page.locator("#id_reason")).to_be_visible()
        services.grant_access(actor=ACTOR, organization=organization, hours=2, allows_changes=True)
        page.locator("#id_reason").fill("ticket 7")
        if role is not StaffRole.VIEWER:
            page.locator("#id_elevated").check(force=True)
        page.get_by_role("button", name="Open", exact=True).click()
        expect(page.locator("#support-session")).to_be_visible()
        seen: set[str] = set()
        for end in ENDS:
            tab.go(f"{place}{end}")
            expect(page.locator("#support-session")).to_be_visible()
            seen |= offered(tab)
            if role is StaffRole.LEAD:
                tab.picture(f"desk{end.replace('/', '-') or '-overview'}")
                wrong += tab.axe()
        assert seen == verbs, role
        tab.go(f"{place}/keys/{found.key.pk}")
        if role is StaffRole.LEAD:
            for end in (
                "/",
                "/platform",
                "/platform/attention",
                "/platform/prices",
                "/platform/keyring",
                "/log",
            ):
                tab.go(f"/admin{end}")
                tab.picture(f"desk-platform{end.replace('/', '-')}")
                wrong += tab.axe()
            tab.go(f"{place}/spend")
            page.keyboard.press("Control+e")
            page.keyboard.press("Control+e")
            expect(page.locator("html")).to_have_class("dark")
            for end in ENDS:
                tab.go(f"{place}{end}")
                tab.picture(f"desk-dark{end.replace('/', '-')}")
                wrong += tab.axe(COLOURS)
        tab.go("/admin/staff")
        expect(page.get_by_role("heading", name="Not done").first).to_be_visible() if (
            role is not StaffRole.SECURITY
        ) else expect(page.locator("#id_email")).to_be_visible()
        tab.is_quiet(besides="403")
        page.context.close()
    # Unfold puts its side bar into no landmark.
    assert [one for one in sorted(set(wrong)) if not one.startswith("region:")] == []


def reach(tab: Watched, key: str, target: Locator) -> None:
    """Press a key until something has the focus."""
    for _press in range(20):
        if target.evaluate("one => one === document.activeElement"):
            return
        tab.page.keyboard.press(key)
    raise AssertionError("no key reaches it")


@pytest.mark.parametrize("width", [360, 1280])
def test_the_navigation_opens_and_closes_by_keyboard_on_a_narrow_screen(browser, web, width):
    tab = signed_in(browser, web, StaffRole.LEAD)
    page = tab.page
    page.set_viewport_size({"width": width, "height": 900})
    tab.go("/admin/")
    navigation = page.locator("#nav-sidebar")
    toggle = page.get_by_role("button", name="Navigation", exact=True)
    expect(navigation).to_be_hidden()
    expect(toggle).to_have_attribute("aria-expanded", "false")
    reach(tab, "Shift+Tab", toggle)
    page.keyboard.press("Enter")
    expect(toggle).to_have_attribute("aria-expanded", "true")
    expect(page.get_by_role("button", name="Close the navigation")).to_be_focused()
    page.wait_for_timeout(300)  # what has changed its size would be closed again
    expect(navigation).to_be_visible()
    tab.picture(f"desk-navigation-{width}")
    assert [one for one in tab.axe() if not one.startswith("region:")] == []
    page.evaluate("document.documentElement.classList.add('dark')")
    assert tab.axe(COLOURS) == []
    reach(tab, "Tab", navigation.locator('a[href="/admin/platform"]'))
    page.keyboard.press("Escape")
    expect(navigation).to_be_hidden()
    expect(toggle).to_be_focused()
    page.keyboard.press("Space")
    expect(navigation).to_be_visible()
    menu = navigation.get_by_role("button", expanded=False)
    reach(tab, "Tab", menu)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")  # the menu, and not the navigation around it
    expect(menu).to_be_focused()
    expect(navigation).to_be_visible()
    page.keyboard.press("Enter")
    leave = page.get_by_role("button", name="Log out")
    reach(tab, "Tab", leave)
    tab.picture(f"desk-menu-{width}")
    page.keyboard.press("Enter")
    expect(page.locator("#id_email")).to_be_visible()
    tab.is_quiet()
    page.context.close()


def test_the_banner_of_a_session_holds_its_button_on_a_narrow_screen(browser, web):
    organization = factories.organization(name="Verdi & Figli")
    admin = Actor("person", "none", "alessandra.montefeltro@officine-meccaniche-riunite.example")
    services.grant_access(actor=admin, organization=organization, hours=2, allows_changes=True)
    tab = signed_in(browser, web, StaffRole.LEAD, "it-IT")
    page = tab.page
    page.set_viewport_size({"width": 360, "height": 740})
    tab.go(f"/admin/organizations/{organization.pk}")
    page.locator("#id_reason").fill("ticket 7")
    page.get_by_role("button", name="Apri", exact=True).click()
    banner = page.locator("#support-session")
    around, button = banner.bounding_box(), banner.get_by_role("button").bounding_box()
    assert around is not None
    assert button is not None
    assert button["x"] + button["width"] <= around["x"] + around["width"]
    tab.picture("desk-banner-360")
    tab.go(f"/admin/organizations/{organization.pk}/keys")
    expect(page).to_have_title("Chiavi | Verdi & Figli | AIsuru · Mistral")
    page.context.close()


def test_the_desk_is_readable_without_scripts(browser, web):
    for role, path, shown in (
        (StaffRole.LEAD, "/admin/platform", "What is due"),
        (None, "/admin/login", "Password"),
    ):
        context = browser.new_context(
            locale="en-US", java_script_enabled=False, viewport={"width": 360, "height": 740}
        )
        if role:
            value = hire(role).client.cookies["aim_session"].value
            context.add_cookies([{"name": "aim_session", "value": value, "url": web.url}])
        page = context.new_page()
        page.goto(web.url + path)
        expect(page.get_by_text(shown).first).to_be_visible()
        assert page.get_by_role("button", name="Log out").count() == bool(role)
        Watched(page, web.url).picture(f"desk-plain{path.replace('/', '-')}")
        context.close()
