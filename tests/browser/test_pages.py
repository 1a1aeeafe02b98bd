"""Every page in a real browser: sound for axe, quiet, of this house only, and narrow if need be."""

from datetime import timedelta
from decimal import Decimal
from itertools import cycle
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Page, ViewportSize, expect

from tenants.common import scope
from tenants.organizations import custody
from tenants.organizations.models import Workspace
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.registry.models import AisuruConnection
from tenants.spend.reporting import ReportedCall, report_usage
from tenants.spend.services import set_limit
from tests import factories, people
from tests.api.world import WholeWorld, whole_world
from tests.browser.conftest import Watched
from tests.console.pages import MODEL, ORGANIZATION, PAGES, WORKSPACE
from tests.factories import ACTOR
from tests.people import session_caller
from tests.spend.made import as_owner

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

OUTSIDE = ["/sign-in", "/sign-up", "/reset-password", "/reset-password/sent", "/nowhere"]
OWN = [
    "/welcome",
    "/profile",
    "/organizations",
    "/security",
    "/security/app",
    "/security/passkeys",
    "/security/passkeys/new",
    "/terms",
]
#: What is no page, or a page that is looked at for the whole organization already.
SAME = {
    *(f"{whose}/{what}.csv" for whose in (ORGANIZATION, WORKSPACE) for what in ("spend", "calls")),
    f"{ORGANIZATION}/statements/<month:month>.<form:form>",
    *(f"{WORKSPACE}/{end}" for end in ("spend", "calls", "limits")),
    f"{MODEL}/limits",
}
#: What axe looks at once more when the colours are others.
COLOURS = ["cat.color"]
NARROW: ViewportSize = {"width": 360, "height": 740}
WIDE: ViewportSize = {"width": 1280, "height": 900}


def reported(found: WholeWorld, days: int) -> None:
    """Have the model used for some weeks: more on weekdays, sometimes for documents."""
    now = timezone.now()
    calls = []
    for back in range(days):
        at = now - timedelta(days=back, minutes=3)
        tokens = 90_000 + 31_000 * ((back * 7) % 5) if at.weekday() < 5 else 12_000
        calls.append(
            (
                "chat/completions",
                "mistral-small-latest",
                at,
                {
                    "prompt_tokens": tokens * 9,
                    "completion_tokens": tokens * 2,
                    "total_tokens": tokens * 11,
                },
            )
        )
        if back % 3 == 0:
            calls.append(("ocr", "mistral-ocr-latest", at, {"pages_processed": 12 + back}))
        if back % 4 == 1:
            calls.append(
                (
                    "embeddings",
                    "mistral-embed",
                    at,
                    {
                        "prompt_tokens": tokens * 14,
                        "completion_tokens": 0,
                        "total_tokens": tokens * 14,
                    },
                )
            )
    report_usage(
        actor=ACTOR,
        organization=found.organization,
        calls=[
            ReportedCall(
                event_id=f"made-{place}",
                workspace_id=found.workspace.pk,
                key_id=found.key.pk,
                model_id=found.model.pk if endpoint.startswith("chat") else None,
                model=model,
                endpoint=f"/v1/{endpoint}",
                occurred_at=at,
                usage=usage,
            )
            for place, (endpoint, model, at, usage) in enumerate(calls)
        ],
    )


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    """A tenant that has been here for two months, with a bit of everything."""
    made = whole_world()
    past = timezone.now() - timedelta(days=60)
    as_owner(
        "UPDATE organizations_organization SET created_at = %s WHERE id = %s",
        past,
        made.organization.pk,
    )
    as_owner(
        "UPDATE organizations_workspace SET created_at = %s WHERE id = %s", past, made.workspace.pk
    )
    reported(made, 40)
    set_limit(
        actor=ACTOR,
        organization=made.organization,
        subject=made.organization,
        monthly_spend=Decimal(25),
    )
    return made


def signed_in(  # noqa: PLR0917 - who, where, in which words
    context, web, organization, role=Role.ADMIN, workspaces=None, language=""
) -> Watched:
    """A tab of a member."""
    alice = people.person("Alice Rossi")
    people.member(organization, role, who=alice, workspaces=workspaces)
    cookies = {"aim_session": session_caller(alice).client.cookies["aim_session"].value}
    if language:
        cookies["aim_language"] = language
    context.add_cookies(
        [{"name": name, "value": value, "url": web.url} for name, value in cookies.items()]
    )
    return Watched(context.new_page(), web.url)


def judged(tab: Watched, path: str) -> list[str]:
    """Visit a page, wide and narrow, light and dark; tell everything that is wrong with it.

    The colours of a narrow page are those of the wide one; its bar at the top is looked at once.
    """
    tab.go(path)
    wrong = [f"{path}: {one}" for one in tab.axe()]
    name = path.strip("/").replace("/", "-")[-40:] or "home"
    tab.picture(f"wide-{name}")
    tab.page.emulate_media(color_scheme="dark")
    wrong += [f"{path}, dark: {one}" for one in tab.axe(COLOURS)]
    tab.picture(f"dark-{name}")
    tab.page.emulate_media(color_scheme="light")
    tab.page.set_viewport_size(NARROW)
    width = tab.page.evaluate("document.documentElement.scrollWidth")
    if width > NARROW["width"]:
        wrong.append(f"{path}: {width} px wide on a narrow screen")
    wrong += [f"{path}, narrow: {one}" for one in tab.axe(has_colours=False)]
    tab.picture(f"narrow-{name}")
    tab.page.set_viewport_size(WIDE)
    return wrong


@pytest.mark.rehearsal
def test_every_page_is_sound(context, web, hers):
    tab = signed_in(context, web, hers.organization)
    reading = [row for row in PAGES if (row.method, row.gives) == ("GET", 200)]
    rows = [row for row in reading if row.route not in SAME]
    wrong = [
        one for path in [*(row.address(hers) for row in rows), *OWN] for one in judged(tab, path)
    ]
    tab.page.set_viewport_size(NARROW)
    wrong += tab.axe(COLOURS)
    assert wrong == []
    tab.is_quiet()


def test_every_page_outside_is_sound(tab):
    wrong = [one for path in OUTSIDE for one in judged(tab, path)]
    assert wrong == []
    tab.is_quiet(besides="404")


@pytest.mark.rehearsal
def test_every_role_walks_all_its_ways(browser, web, hers):
    inside = {hers.workspace: WorkspaceRole.ADMIN}
    roles: dict[str, tuple[Role, dict[Workspace, WorkspaceRole]]] = {
        "admin": (Role.ADMIN, {}),
        "billing": (Role.BILLING, {}),
        "member": (Role.MEMBER, {hers.workspace: WorkspaceRole.MEMBER}),
        "workspace admin": (Role.MEMBER, inside),
    }
    walked: dict[str, set[str]] = {}
    for (name, (role, workspaces)), language in zip(roles.items(), cycle(["it", "en"])):
        context = browser.new_context(viewport=WIDE)
        tab = signed_in(context, web, hers.organization, role, workspaces, language)
        tab.go(f"/organizations/{hers.organization.pk}")
        assert tab.page.locator("html").get_attribute("lang") == language
        links = tab.page.locator(".side-wide a").all()
        ways = [link.get_attribute("href") or "" for link in links]
        for way in ways:
            assert tab.go(way) == 200, f"{name}: {way}"
            assert tab.page.locator("h1").count() == 1
        walked[name] = {way.rstrip("/").rpartition("/")[2] for way in ways}
        tab.is_quiet()
        if role != Role.ADMIN:
            assert tab.go(f"/organizations/{hers.organization.pk}/audit") == 403
            expect(tab.page.get_by_text("role_missing")).to_be_visible()
        context.close()
    assert walked["admin"] >= {"audit", "tokens", "support", "settings", "keys", "statements"}
    assert "billing" in walked["billing"]
    assert walked["billing"].isdisjoint({"audit", "tokens", "settings"})
    assert walked["member"].isdisjoint({"audit", "tokens", "settings", "billing"})
    assert {"keys", "models"} <= walked["workspace admin"]


def test_without_scripts_everything_but_sealing_and_streaming_works(browser, web, hers):
    context = browser.new_context(locale="en-US", java_script_enabled=False)
    tab = signed_in(context, web, hers.organization)
    page = tab.page
    tab.go(f"/workspaces/{hers.workspace.pk}/keys/new")
    assert page.get_by_text("This browser cannot seal it").is_visible()
    assert page.locator("[data-seal-button]").is_disabled()
    tab.go(f"/models/{hers.model.pk}")
    assert page.get_by_text("Trying a model out needs JavaScript").is_visible()
    tab.go(f"/workspaces/{hers.workspace.pk}/models/new")
    page.fill("#id_name", "Without scripts")
    page.get_by_role("button", name="Create the model").click()
    assert (page.locator("#token").text_content() or "").startswith("aim_mdl_")
    page.locator("summary", has_text="Alice Rossi").click()
    page.get_by_role("button", name="Dark").click()
    assert page.locator("html").get_attribute("data-theme") == "dark"
    page.locator("summary", has_text="Alice Rossi").click()
    page.get_by_role("button", name="Italiano").click()
    assert page.locator("html").get_attribute("lang") == "it"
    context.close()


def test_a_login_of_aisurus_is_sealed_in_the_browser(browser, web):
    found = whole_world()
    context = browser.new_context(locale="en-US")
    tab = signed_in(context, web, found.organization)
    page, address = tab.page, f"/organizations/{found.organization.pk}/aisuru"
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or ""))
    login = "768b9654-0000-4000-8000-ae1529d1bfbe"
    tab.go(f"{address}/login")
    page.fill("#pasted_key", login)
    page.fill("#id_tenant", "www.aurora.example")
    page.get_by_role("button", name="Store the login").click()
    expect(page.get_by_text("The login was stored, sealed")).to_be_visible()
    expect(page.get_by_text("not used yet")).to_be_visible()
    assert not any(login in body for body in sent)
    with scope.tenant(found.organization.pk):
        stored = custody.borrow(AisuruConnection.objects.get(), custody.Slot.AISURU_LOGIN)
    assert stored.reveal() == login
    tab.is_quiet()
    tab.picture("aisuru")
    context.close()


def test_the_keyboard_goes_on_from_the_step_that_was_confirmed(browser, web, hers):
    context = browser.new_context(locale="en-US")
    tab = signed_in(context, web, hers.organization)
    page = tab.page
    tab.go(f"/organizations/{hers.organization.pk}/start")
    page.locator("#step-phone summary").click()
    page.locator("#step-phone").get_by_role("button", name="It is done").press("Enter")
    page.wait_for_url("**said=phone")
    step = page.locator("#step-phone")
    expect(step.locator("summary")).to_be_focused()
    expect(step.get_by_text("Confirmed by")).to_be_visible()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#step-phone') !== null")
    tab.is_quiet()
    context.close()


def test_long_names_stay_on_a_narrow_page(browser, web):
    found = whole_world()
    long = "Marketing e comunicazione istituzionale della sede di Reggio nell'Emilia"
    workspace = factories.workspace(found.organization, f"{long}, {'progetto' * 5}")
    context = browser.new_context(viewport=NARROW)
    tab = signed_in(context, web, found.organization)
    for path in (
        f"/workspaces/{workspace.pk}",
        f"/workspaces/{workspace.pk}/keys",
        f"/organizations/{found.organization.pk}/members",
    ):
        assert tab.go(path) == 200
        assert tab.page.evaluate("document.documentElement.scrollWidth") <= NARROW["width"], path
    context.close()


def test_what_the_keyboard_reaches_is_not_beneath_the_bar(browser, web, hers):
    context = browser.new_context(viewport={"width": 1280, "height": 500})
    tab = signed_in(context, web, hers.organization)
    page = tab.page
    tab.go(f"/organizations/{hers.organization.pk}/limits")
    page.locator("main button, main a").last.focus()
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    seen = 0
    while page.evaluate("document.activeElement.closest('main') !== null"):
        assert page.evaluate(
            "document.activeElement.getBoundingClientRect().bottom"
            " > document.querySelector('.top').getBoundingClientRect().bottom"
        ), page.evaluate("document.activeElement.outerHTML")
        page.keyboard.press("Shift+Tab")
        seen += 1
    assert seen > 5
    context.close()


#: What a control is called here.
NAME = "const name = one => one.id || one.ariaLabel || one.value || one.textContent.trim();"
#: Where the keyboard is within the page's own part; None beyond it.
STOP = f"""() => {{ {NAME}
  const at = document.activeElement;
  if (!at.closest("main")) return null;
  const style = getComputedStyle(at);
  return {{name: name(at),
          outlined: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2}};
}}"""
#: What can be acted on there, from top to bottom as it is seen; of radio buttons the chosen one.
FIELDS = f"""() => {{ {NAME}
  const all = document.querySelectorAll("main :is(a[href], button, input:not([type=hidden]),"
    + "select, textarea, summary, [tabindex='0'])");
  const shown = [...all].filter(one => one.checkVisibility() && !one.disabled);
  const stops = shown.filter(one => one.type !== "radio" || one.checked);
  const at = one => one.getBoundingClientRect();
  const down = (a, b) => at(a).top - at(b).top;
  stops.sort((a, b) => Math.abs(down(a, b)) > 12 ? down(a, b) : at(a).left - at(b).left);
  return stops.map(name);
}}"""


def tabbed(page: Page, most: int = 60) -> list[dict[str, Any]]:
    """Press Tab until the page is through; tell where the keyboard was, and how it looked."""
    stops: list[dict[str, Any]] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        stop = page.evaluate(STOP)
        if stop is None or stop in stops:
            break
        stops.append(stop)
    return stops


def test_a_form_is_filled_in_by_keyboard_alone(context, web, hers):
    tab = signed_in(context, web, hers.organization, language="en")
    page = tab.page
    tab.go(f"/workspaces/{hers.workspace.pk}/models/new")
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    stops = tabbed(page)
    names = [stop["name"] for stop in stops]
    assert names == page.evaluate(FIELDS)  # all of them, in the order in which they are read
    assert [stop["name"] for stop in stops if not stop["outlined"]] == []
    # Left empty and sent by Enter: it comes back with the keyboard where the mistake is.
    page.locator("#id_name").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#id_name")).to_be_focused()
    page.keyboard.type("By keyboard")
    page.keyboard.press("Enter")
    expect(page.locator("#token")).to_contain_text("aim_mdl_")
    # Menus open, close and give the keyboard back.
    menu = page.locator("summary", has_text="Alice Rossi")
    menu.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Name and language")).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    tab.is_quiet(besides="422")
