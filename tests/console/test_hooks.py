"""Webhooks on the console: whether they are on and why not, their secret, and what was sent."""

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone, translation

from tenants.common import scope
from tenants.console import words
from tenants.notices import services
from tenants.notices.letters_of_people import webhook_disabled
from tenants.notices.models import (
    Delivery,
    DeliveryStatus,
    DisabledReason,
    WebhookEndpoint,
    WebhookSecret,
)
from tenants.notices.telling import Told
from tenants.organizations.models import Announcement, Organization
from tenants.organizations.roles import Role
from tests import factories, people
from tests.console.html import faults
from tests.factories import ACTOR
from tests.people import session_caller

HTML = {"Accept": "text/html"}
URL = "https://hooks.example.com/erp"


class Hook:
    """A webhook with a delivery that was tried twice, and who administers it."""

    def __init__(self, organization: Organization) -> None:
        self.organization = organization
        self.row, _secret = services.create_webhook(actor=ACTOR, organization=organization, url=URL)
        self.at = f"/organizations/{organization.pk}/webhooks/{self.row.pk}"
        sent = services.send_test(actor=ACTOR, endpoint=self.row)
        tried = [
            {"at": timezone.now().isoformat(), "milliseconds": 7, **facts}
            for facts in (
                {"status_code": None, "error": "not_reachable"},
                {"status_code": 500, "error": ""},
            )
        ]
        with scope.tenant(organization.pk):
            Delivery.objects.filter(pk=sent.pk).update(
                attempts=2, log=tried, status_code=500, response="<script>alert(1)</script>"
            )
            self.delivery = Delivery.objects.get(pk=sent.pk)
        self.delivery_at = f"{self.at}/deliveries/{sent.pk}"

    def now(self) -> WebhookEndpoint:
        with scope.tenant(self.organization.pk):
            return WebhookEndpoint.objects.get(pk=self.row.pk)

    def make(self, **facts: Any) -> None:
        with scope.tenant(self.organization.pk):
            WebhookEndpoint.objects.filter(pk=self.row.pk).update(**facts)

    def deliveries(self, **facts: Any) -> None:
        with scope.tenant(self.organization.pk):
            Delivery.objects.filter(endpoint=self.row).update(**facts)


@pytest.fixture
def hook() -> Hook:
    return Hook(factories.organization())


def english(organization: Organization, **facts: Any) -> Client:
    who = people.person("Alice", password=people.PASSWORD)
    client = session_caller(people.member(organization, Role.ADMIN, who=who).person, **facts).client
    client.cookies["aim_language"] = "en"
    return client


@pytest.fixture
def alice(hook) -> Client:
    return english(hook.organization)


def text(client: Client, address: str) -> str:
    answer = client.get(address, headers=HTML)
    assert answer.status_code == 200
    page: str = answer.content.decode()
    assert faults(page) == []
    return page


@pytest.mark.parametrize(
    ("reason", "why"),
    [
        (DisabledReason.PERSON, "somebody did so"),
        (DisabledReason.GONE, "wants nothing any more (410)"),
        (DisabledReason.FAILING, "for days its endpoint took nothing"),
    ],
)
def test_one_that_is_off_says_so_and_why_and_is_switched_on_by_a_button(hook, alice, reason, why):
    assert "It is switched off" not in text(alice, hook.at)
    assert "is tried again" in text(alice, hook.at)
    hook.make(is_enabled=False, disabled_reason=reason)
    page = text(alice, hook.at)
    assert why in page
    assert "waits until the webhook is on" in page
    assert "is tried again" not in page
    assert "every 3s" not in page
    assert f'href="{hook.at}/switch"' in page
    assert "1 message waits and is sent at once." in text(alice, f"{hook.at}/switch")
    assert not hook.now().is_enabled
    answer = alice.post(f"{hook.at}/switch", {"to": "on"})
    assert answer["Location"] == hook.at
    assert hook.now().is_enabled
    assert "The webhook was switched on" in text(alice, hook.at)


def test_switching_off_asks_first_and_says_what_is_lost(hook, alice):
    assert "what happens meanwhile is never sent to it" in text(alice, f"{hook.at}/switch")
    assert hook.now().is_enabled
    alice.post(f"{hook.at}/switch", {"to": "off"})
    assert hook.now().disabled_reason == DisabledReason.PERSON


def test_one_that_takes_nothing_says_since_when(hook, alice):
    hook.make(failing_since=timezone.now())
    assert "It has taken nothing since" in text(alice, hook.at)


def test_the_page_looks_again_only_while_something_is_due_soon(hook, alice):
    assert "every 3s" in text(alice, hook.at)
    hook.deliveries(due_at=timezone.now() + timedelta(hours=2))
    assert "every 3s" not in text(alice, hook.at)


def test_it_is_changed_and_a_refusal_stands_at_its_field(hook, alice):
    assert URL in text(alice, f"{hook.at}/edit")
    said = {"url": "https://10.0.0.1/x", "description": "ERP", "kinds": ["key.invalid"]}
    refused = alice.post(f"{hook.at}/edit", said)
    assert refused.status_code == 422
    assert 'id="id_url_error"' in refused.content.decode()
    assert hook.now().url == URL
    alice.post(f"{hook.at}/edit", said | {"url": f"{URL}/2"})
    assert (hook.now().url, hook.now().kinds) == (f"{URL}/2", ["key.invalid"])
    assert "An API key stopped working" in text(alice, hook.at)


def test_a_new_secret_is_shown_once_and_the_one_before_signs_for_the_grace(hook, alice):
    assert "both sign" in text(alice, f"{hook.at}/secret")
    made = alice.post(f"{hook.at}/secret", {"grace_seconds": "3600"}).content.decode()
    (secret,) = re.findall(r"whsec_[\w+/=]+", made)
    with scope.tenant(hook.organization.pk):
        assert WebhookSecret.objects.filter(endpoint=hook.row).count() == 2
    assert secret not in text(alice, hook.at)
    alice.post(f"{hook.at}/secret", {"grace_seconds": "0"})
    with scope.tenant(hook.organization.pk):
        assert WebhookSecret.objects.filter(endpoint=hook.row).count() == 1
    assert alice.post(f"{hook.at}/secret", {"grace_seconds": "x"}).status_code == 422


def test_a_delivery_shows_its_attempts_its_body_and_an_answer_that_is_only_text(hook, alice):
    assert f'href="{hook.delivery_at}"' in text(alice, hook.at)
    page = text(alice, hook.delivery_at)
    assert "nobody answers there" in page
    assert "HTTP 500" in page
    assert f"msg_{hook.delivery.announcement_id.hex}" in page
    assert "&quot;type&quot;:&quot;webhook.test&quot;" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page


def test_a_delivery_is_sent_once_more_unless_the_webhook_is_off(hook, alice):
    hook.deliveries(status=DeliveryStatus.FAILED, due_at=None)
    assert "Send it once more" in text(alice, hook.delivery_at)
    assert alice.post(hook.delivery_at)["Location"] == hook.at
    with scope.tenant(hook.organization.pk):
        assert Delivery.objects.get(endpoint=hook.row).status == DeliveryStatus.PENDING
    hook.make(is_enabled=False, disabled_reason=DisabledReason.PERSON)
    page = text(alice, hook.delivery_at)
    assert "Send it once more" not in page
    assert "nothing can be sent to it" in page
    assert alice.post(hook.delivery_at, headers=HTML).status_code == 409


def test_a_delivery_of_another_webhook_is_not_there(hook, alice):
    other, _secret = services.create_webhook(actor=ACTOR, organization=hook.organization, url=URL)
    address = hook.delivery_at.replace(str(hook.row.pk), str(other.pk))
    assert alice.get(address, headers=HTML).status_code == 404


def test_why_there_was_no_answer_is_told_in_words_and_the_code_is_small(hook, alice):
    for code, word in words.UNANSWERED.items():
        hook.deliveries(status_code=None, error=code)
        page = text(alice, hook.at)
        assert f'{word} <code class="fine">{code}</code>' in page


def test_changing_or_switching_needs_proof_of_who_one_is(hook):
    client = english(hook.organization, is_sudo=False)
    for end in ("edit", "switch", "secret"):
        for answer in (client.get(f"{hook.at}/{end}"), client.post(f"{hook.at}/{end}")):
            assert answer["Location"].startswith("/confirm?next=")
    assert hook.now().is_enabled


def test_what_somebody_else_changed_meanwhile_is_shown_before_it_is_taken_back(hook, alice):
    page = text(alice, f"{hook.at}/edit")
    (seen,) = re.findall(r'name="seen" value="([^"]+)"', page)
    hook.make(description="Another's")
    said = {"url": URL, "description": "Mine", "kinds": [], "seen": seen}
    refused = alice.post(f"{hook.at}/edit", said)
    assert refused.status_code == 412
    assert "Another&#x27;s" in refused.content.decode()
    assert hook.now().description == "Another's"


def test_the_letter_about_one_that_was_switched_off_leads_to_it(hook, alice, settings):
    data = {"webhook_id": str(hook.row.pk), "host": "hooks.example.com", "reason": "failing"}
    row = Announcement(organization=hook.organization, kind="webhook.disabled", data=data)
    with translation.override("en"):
        letter = webhook_disabled(Told(row, hook.organization, ""))
    assert letter.button is not None
    assert letter.button.label == "Open the webhook"
    assert letter.button.link == f"{settings.PUBLIC_URL}{hook.at}"
    hook.make(is_enabled=False, disabled_reason=DisabledReason.FAILING)
    assert "Switch it on" in text(alice, letter.button.link.removeprefix(settings.PUBLIC_URL))
