"""The checklist: what it says of each step, where it leads, and when an open page is renewed."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from django.utils.translation import override

from aisuru_mistral import simulator
from tenants.billing.models import BillingProfile, VatStatus
from tenants.common import scope
from tenants.console import guide
from tenants.console.templatetags.console import window_name
from tenants.keys.models import KeyStatus, MistralKey
from tenants.mistral import windows
from tenants.mistral.windows import window_of
from tenants.onboarding import services
from tenants.organizations.roles import Role
from tenants.registry.models import QuotaRecord
from tenants.spend.ratereport import LearnedWindow
from tests import people
from tests.api.world import World, world

HTMX = {"HX-Request": "true"}


@pytest.fixture
def hers() -> World:
    return world()


@pytest.fixture
def client(hers: World) -> Client:
    return people.visitor(hers.organization)


def start(hers: World) -> str:
    return f"/organizations/{hers.organization.pk}/start"


def step(client: Client, hers: World, key: str) -> str:
    page = html.unescape(client.get(start(hers)).content.decode())
    return page.split(f'id="step-{key}"')[1].split("</details>")[0]


def badge(shown: str) -> tuple[str, str]:
    found = re.search(r'class="badge badge-(\w+)">([^<]*)</span></summary>', shown)
    assert found
    return found[1], found[2]


def profile(hers: World, **facts: Any) -> None:
    with scope.tenant(hers.organization.pk):
        BillingProfile.objects.update_or_create(
            organization=hers.organization, defaults={"legal_name": "Rossi Srl"} | facts
        )


def test_a_vat_number_that_vies_refuses_needs_attention(hers, client):
    profile(hers)
    missing = step(client, hers, "billing_profile")
    assert badge(missing)[1] in {"open", "next"}
    assert "not entered yet" in missing
    profile(hers, vat_number="IT01533030480", vat_status=VatStatus.NOT_REGISTERED)
    refused = step(client, hers, "billing_profile")
    assert badge(refused) == ("bad", "needs attention")
    assert "Correct the number" in refused
    client.post(f"{start(hers)}/billing_profile", {"word": "skipped"})
    assert badge(step(client, hers, "billing_profile"))[1] == "left out"
    profile(hers, vat_status=VatStatus.REGISTERED)
    good = step(client, hers, "billing_profile")
    assert badge(good) == ("good", "done")
    assert "Correct the number" not in good


def test_an_open_checklist_follows_the_vat_number_and_whose_word_it_is(hers, client):
    def asks() -> str:
        page = html.unescape(client.get(start(hers)).content.decode())
        return page.split('hx-get="')[1].split('"')[0]

    def is_renewed(asked: str) -> bool:
        return bool(client.get(asked, headers=HTMX).status_code == 200)

    asked = asks()
    profile(hers)
    assert is_renewed(asked)
    profile(hers, vat_number="IT01533030480", vat_status=VatStatus.VALID_FORMAT)
    asked = asks()
    assert not is_renewed(asked)
    profile(hers, vat_status=VatStatus.REGISTERED)
    assert is_renewed(asked)
    client.post(f"{start(hers)}/phone", {"word": "done"})
    asked = asks()
    assert not is_renewed(asked)
    for word in ("neither", "done"):  # the same state, said again
        client.post(f"{start(hers)}/phone", {"word": word})
    assert is_renewed(asked)


def test_rate_limits_are_green_only_when_some_are_known(hers, client):
    limits = f"/organizations/{hers.organization.pk}/limits?agents=5&messages=2&requests=10"
    with scope.tenant(hers.organization.pk):
        record = QuotaRecord.objects.create(
            organization=hers.organization,
            quota_code=f"key:{hers.key.pk}",
            mistral_model="mistral-small-2603",
            observed_at=timezone.now(),
        )
    assert badge(step(client, hers, "rate_limits"))[1] == "open"
    unknown = client.get(limits).content.decode()
    assert "Nothing is known" in unknown
    assert "notice-wait" in unknown
    assert "notice-good" not in unknown
    record.windows = [{"window": "req-50-second", "by_size": False, "limit": 50, "remaining": 49}]
    with scope.tenant(hers.organization.pk):
        record.save()
    assert badge(step(client, hers, "rate_limits"))[1] == "done"
    known = client.get(limits.replace("agents=5", "agents=100000")).text
    assert "That needs 33,333.33 requests a second." in known


def test_what_mistral_limits_is_told_in_words_where_its_name_is_known():
    facts: dict[str, Any] = {"by_size": False, "limit": 1, "remaining": None}
    per_minute = LearnedWindow("tokens-minute", meter="tokens", seconds=60, **facts)
    odd = LearnedWindow("moons-fortnight", meter=None, seconds=None, **facts)
    with override("it"):
        assert window_name(per_minute) == "token al minuto"
        assert window_name(odd) == "moons-fortnight"


def read(name: str) -> LearnedWindow:
    meter, seconds = window_of(name) or (None, None)
    return LearnedWindow(name, by_size=False, meter=meter, seconds=seconds, limit=1, remaining=None)


def told_meters() -> set[str]:
    """Read from the simulator's source what the windows count that it tells, as Mistral does."""
    source = "".join(path.read_text() for path in Path(simulator.__path__[0]).rglob("*.py"))
    return set(re.findall(r'"x-ratelimit-limit-([a-z-]+)-(?:minute|month)?"', source))


def test_all_that_mistral_is_known_to_limit_has_words_in_both_languages():
    meters = told_meters() | set(windows.METERS)
    assert meters >= {"req", "tokens", "ocr-pages"}
    for meter in meters:
        for unit in ("second", "minute", "hour", "day", "month", "10-second", "5-minute"):
            window = read(f"{meter}-{unit}")
            with override("it"):
                italian = str(window_name(window))
            with override("en"):
                english = str(window_name(window))
            assert window.window not in {italian, english}
            assert italian != english


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ocr-pages-minute", "pagine lette con l'OCR al minuto"),
        ("tokens-month", "token al mese"),
        ("req-10-second", "richieste in 10 secondi"),
        ("tokens-5-minute", "token in 5 minuti"),
        ("custom-day", "custom-day"),
    ],
)
def test_what_mistral_limits_is_said_with_its_span(name, said):
    with override("it"):
        assert window_name(read(name)) == said


def test_a_step_that_is_done_leads_to_what_was_made(hers, client):
    client.get(f"/workspaces/{hers.workspace.pk}/keys")  # chosen from now on
    for key, page in (("api_key", "keys"), ("model", "models")):
        assert f'/workspaces/{hers.workspace.pk}/{page}"' in step(client, hers, key)


@pytest.mark.parametrize(
    ("key", "page"),
    [
        ("mistral_billing_details", "organization/billing"),
        ("plan", "subscription"),
        ("spending_limit", "organization/billing"),
        ("workspaces", "organization/workspaces"),
        ("members", "organization/members"),
        ("rate_limits", "plateforme/limits"),
    ],
)
def test_a_step_opens_the_page_at_mistral_that_its_words_name(hers, client, key, page):
    assert f'href="https://admin.mistral.ai/{page}"' in step(client, hers, key)


def test_the_keyboard_stays_at_the_step_that_was_confirmed(hers, client):
    answer = client.post(f"{start(hers)}/phone", {"word": "done"})
    assert answer.status_code == 303
    page = html.unescape(client.get(answer["Location"]).content.decode())
    [unfolded] = re.findall(r'<details id="step-(\w+)"[^>]* open>\s*<summary autofocus>', page)
    assert unfolded == "phone"
    assert "Not done after all" in page.split('id="step-phone"')[1].split("</details>")[0]
    assert "autofocus" not in client.get(start(hers)).content.decode()


def test_each_step_says_who_knows_of_it(hers, client):
    for key, words in guide.STEPS.items():
        shown = step(client, hers, key)
        is_done = badge(shown)[1] == "done"
        with override("en"):
            expected = str(words.seen if is_done else words.unseen)
            other = str(words.unseen if is_done else words.seen)
        assert expected in shown, key
        assert other not in shown, key
    client.post(f"{start(hers)}/phone", {"word": "done"})
    assert "Confirmed by" in step(client, hers, "phone")


def test_what_facts_can_show_has_words_for_it(hers):
    with scope.tenant(hers.organization.pk):
        shown = services.facts()
    assert set(shown) == {key for key, words in guide.STEPS.items() if words.seen is not None}


def test_billing_is_led_nowhere_that_it_may_not_go(hers, client):
    vera = people.visitor(hers.organization, Role.BILLING)
    page = vera.get(start(hers)).text
    links = set(re.findall(r'class="button[^"]*" href="(/[^"]+)"', page))
    assert links >= {
        f"/organizations/{hers.organization.pk}/{one}" for one in ("billing", "limits")
    }
    for link in links:
        assert vera.get(link).status_code == 200, link
    with scope.tenant(hers.organization.pk):
        MistralKey.objects.update(status=KeyStatus.PENDING)
    told = "An administrator of the organization does this"
    assert told in step(vera, hers, "api_key")
    assert told not in step(client, hers, "api_key")
