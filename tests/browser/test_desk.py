"""The support desk in a browser: every script that it has may run, and nothing else."""

import time

from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import expect

from tenants.assistance.staff import StaffRole
from tests import factories
from tests.browser.conftest import Watched
from tests.support.conftest import staff_person

PASSWORD = "correct horse battery staple"


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
    page.keyboard.press("Control+e")  # from what the system says to light, and then to dark
    page.keyboard.press("Control+e")
    expect(page.locator("html")).to_have_class("dark")
    tab.picture("desk-overview-dark")

    banner.get_by_role("button").click()
    expect(page.locator("#support-session")).to_have_count(0)
    tab.go(f"/admin/organizations/{organization.pk}/keys")
    expect(page.get_by_text("support_session_over")).to_be_visible()
    tab.is_quiet(besides="403")
