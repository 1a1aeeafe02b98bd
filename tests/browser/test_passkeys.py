"""A passkey in a real browser with a made-up device: added, used in three ways, removed."""

from collections.abc import Iterator

import pytest
from allauth.mfa.models import Authenticator
from playwright.sync_api import BrowserContext, Page, expect

from tenants.organizations.models import Organization
from tenants.organizations.roles import Role
from tests import factories, people
from tests.browser.conftest import Watched, Web


@pytest.fixture
def device(context: BrowserContext, web: Web) -> Iterator[Watched]:
    """A tab whose computer has a device for passkeys, at an address that passkeys may have."""
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    facts = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    session.send("WebAuthn.addVirtualAuthenticator", {"options": facts})
    yield Watched(page, web.url.replace("127.0.0.1", "localhost"))
    session.detach()


def press(page: Page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def test_a_passkey_signs_in_and_proves_who_one_is(device, organization):
    anna = people.member(organization, Role.ADMIN, who=people.person("Anna", password=PASSWORD))
    page = device.page
    adds(device, anna.person.email)
    signs_out(device)
    signs_in_by_passkey(device)
    confirms_by_passkey(device, organization)
    uses_it_after_the_password(device, anna.person.email)
    renames_and_removes(device)
    assert not Authenticator.objects.filter(user=anna.person).exists()
    signs_out(device)
    page.get_by_role("button", name="Accedi con una passkey").click()
    expect(page.get_by_text("Questa passkey non è stata accettata")).to_be_visible()
    assert device.complaints == []


PASSWORD = people.PASSWORD


@pytest.fixture
def organization() -> Organization:
    return factories.organization(name="Passkey Srl")


def signs_out(device: Watched) -> None:
    device.go("/sign-out")
    device.page.locator("main form button.button").first.click()
    device.page.wait_for_url("**/sign-in**")


def types_the_password(device: Watched, email: str) -> None:
    device.go("/sign-in")
    device.page.fill("#id_login", email)
    device.page.fill("#id_password", PASSWORD)
    press(device.page, "Accedi")


def adds(device: Watched, email: str) -> None:
    """The first one: after the password once more, with recovery codes in exchange."""
    page = device.page
    types_the_password(device, email)
    page.wait_for_url("**/organizations/*")
    device.go("/security")
    page.get_by_role("link", name="Aggiungi una passkey").click()
    page.fill("#id_password", PASSWORD)
    press(page, "Conferma")
    page.wait_for_url("**/security/passkeys/new")
    assert device.axe() == []
    page.fill("#id_name", "Portatile di Anna")
    press(page, "Aggiungi la passkey")
    page.wait_for_url("**/security/recovery-codes")
    expect(page.locator("ul.codes li")).to_have_count(10)
    device.go("/security/passkeys")
    expect(page.locator("table")).to_contain_text("Portatile di Anna")
    assert device.axe() == []
    device.picture("passkeys")


def signs_in_by_passkey(device: Watched) -> None:
    """Without a word typed, and to where one wanted to go."""
    device.go("/sign-in?next=/security")
    device.picture("sign-in-with-passkey")
    press(device.page, "Accedi con una passkey")
    expect(device.page.get_by_role("heading", level=1)).to_have_text("Sicurezza")


def confirms_by_passkey(device: Watched, organization: Organization) -> None:
    """A dangerous act, that signing in alone does not open."""
    page = device.page
    device.go(f"/organizations/{organization.pk}/tokens/new")
    page.wait_for_url("**/confirm?**")
    page.get_by_role("link", name="Usa una passkey").click()
    page.wait_for_url("**/confirm/passkey?**")
    assert device.axe() == []
    press(page, "Conferma con una passkey")
    page.wait_for_url("**/tokens/new")


def uses_it_after_the_password(device: Watched, email: str) -> None:
    """Whoever has a passkey is asked for it after the password, too."""
    signs_out(device)
    types_the_password(device, email)
    device.page.wait_for_url("**/sign-in/code")
    assert device.axe() == []
    press(device.page, "Usa una passkey")
    device.page.wait_for_url("**/organizations/*")


def renames_and_removes(device: Watched) -> None:
    page = device.page
    device.go("/security/passkeys")
    page.get_by_role("link", name="Rinomina Portatile di Anna").click()
    page.get_by_role("link", name="Usa una passkey").click()
    press(page, "Conferma con una passkey")
    page.wait_for_url("**/rename")
    page.fill("#id_name", "Vecchio portatile")
    press(page, "Salva")
    page.get_by_role("link", name="Elimina Vecchio portatile").click()
    press(page, "Elimina la passkey")
    page.wait_for_url("**/security/passkeys")
    expect(page.get_by_text("Non hai ancora passkey.")).to_be_visible()
