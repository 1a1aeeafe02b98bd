"""Every page in a real browser: sound for axe, quiet, of this house only, and narrow if need be."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import ViewportSize

from tenants.organizations.roles import Role
from tenants.spend.reporting import ReportedCall, report_usage
from tenants.spend.services import set_limit
from tests import people
from tests.api.world import WholeWorld, whole_world
from tests.browser.conftest import Watched
from tests.console.pages import MODEL, ORGANIZATION, PAGES, WORKSPACE
from tests.factories import ACTOR
from tests.people import session_caller
from tests.spend.made import as_owner

pytestmark = pytest.mark.slow

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
    *(f"{whose}/spend.csv" for whose in (ORGANIZATION, WORKSPACE)),
    *(f"{WORKSPACE}/{end}" for end in ("spend", "calls", "limits")),
    f"{MODEL}/limits",
}
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


def signed_in(context, web, organization) -> Watched:
    """A tab of an administrator."""
    alice = people.member(organization, Role.ADMIN, who=people.person("Alice Rossi")).person
    client = session_caller(alice).client
    name = "aim_session"
    context.add_cookies([{"name": name, "value": client.cookies[name].value, "url": web.url}])
    return Watched(context.new_page(), web.url)


def judged(tab: Watched, path: str) -> list[str]:
    """Visit a page, wide and narrow; tell everything that is wrong with it."""
    tab.go(path)
    wrong = [f"{path}: {one}" for one in tab.axe()]
    name = path.strip("/").replace("/", "-")[-40:] or "home"
    tab.picture(f"wide-{name}")
    tab.page.set_viewport_size(NARROW)
    width = tab.page.evaluate("document.documentElement.scrollWidth")
    if width > NARROW["width"]:
        wrong.append(f"{path}: {width} px wide on a narrow screen")
    tab.picture(f"narrow-{name}")
    tab.page.set_viewport_size(WIDE)
    return wrong


def test_every_page_is_sound(context, web, hers):
    tab = signed_in(context, web, hers.organization)
    rows = [row for row in PAGES if row.method == "GET" and row.route not in SAME]
    wrong = [
        one for path in [*(row.address(hers) for row in rows), *OWN] for one in judged(tab, path)
    ]
    assert wrong == []
    assert tab.complaints == []


def test_every_page_outside_is_sound(tab):
    wrong = [one for path in OUTSIDE for one in judged(tab, path)]
    assert wrong == []
    assert [one for one in tab.complaints if "404" not in one] == []


def test_dark_pages_have_contrast_too(context, web, hers):
    tab = signed_in(context, web, hers.organization)
    tab.page.emulate_media(color_scheme="dark")
    chosen = ["", "/spend", "/start"]
    for end in chosen:
        tab.go(f"/organizations/{hers.organization.pk}{end}")
        assert tab.axe() == []
        tab.picture(f"dark-organization{end.replace('/', '-')}")
    for path in (f"/keys/{hers.key.pk}", f"/models/{hers.model.pk}"):
        tab.go(path)
        assert tab.axe() == []
        tab.picture(f"dark{path.replace('/', '-')[:8]}")


def test_without_scripts_everything_but_sealing_and_streaming_works(browser, web, hers):
    context = browser.new_context(locale="en-US", java_script_enabled=False)
    tab = signed_in(context, web, hers.organization)
    page = tab.page
    tab.go(f"/workspaces/{hers.workspace.pk}/keys/new")
    assert page.get_by_text("This browser cannot seal the key").is_visible()
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
