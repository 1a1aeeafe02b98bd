"""Pages of statements, comparison, trials, support, letters, the set-up, export and erasure."""

import codecs
import csv
import hashlib
import io
import json
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from tenants.accounting.models import Statement
from tenants.assistance.models import SupportGrant
from tenants.common import scope
from tenants.keys.models import KeyProbe, KeyStatus, MistralKey, SeenModel, VerdictCode
from tenants.notices.models import MutedKind, WebhookEndpoint
from tenants.notices.services import create_webhook
from tenants.onboarding.models import Confirmation
from tenants.onboarding.steps import STEPS
from tenants.organizations.models import AuditEvent, ErasureCertificate, Organization
from tenants.organizations.roles import Role, WorkspaceRole
from tenants.spend.reporting import ReportedCall, report_usage
from tests import factories, people
from tests.api.world import CLOSED, WholeWorld, whole_world, world
from tests.factories import ACTOR
from tests.people import session_caller

HTML = {"Accept": "text/html"}
USAGE = {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000}


def english(organization: Organization, role: Role = Role.ADMIN, **facts: Any) -> Client:
    client = session_caller(people.member(organization, role, **facts).person).client
    client.cookies["aim_language"] = "en"
    return client


@pytest.fixture(scope="module")
def hers() -> WholeWorld:
    """A tenant that used its model yesterday, for two messages."""
    made = whole_world()
    at = timezone.now() - timedelta(days=1)
    report_usage(
        actor=ACTOR,
        organization=made.organization,
        calls=[
            ReportedCall(
                event_id=f"made-{number}",
                workspace_id=made.workspace.pk,
                key_id=made.key.pk,
                model_id=made.model.pk,
                model="mistral-small-latest",
                endpoint="/v1/chat/completions",
                occurred_at=at,
                usage=USAGE,
                message_id="=m-1" if number < 2 else "m-2",
            )
            for number in range(3)
        ],
    )
    with scope.tenant(made.organization.pk):
        SeenModel.objects.filter(key=made.key).update(capabilities={"completion_chat": True})
    return made


@pytest.fixture(scope="module")
def alice(hers) -> Client:
    return english(hers.organization)


def at(found: WholeWorld, rest: str) -> str:
    return f"/organizations/{found.organization.pk}/{rest}"


def text(answer: Any) -> str:
    return str(answer.content.decode())


def test_a_statement_is_read_and_its_files_have_the_digests_that_are_shown(hers, alice):
    assert "October 2026" in text(alice.get(at(hers, "statements")))
    page = text(alice.get(at(hers, f"statements/{CLOSED}")))
    for form in ("json", "csv", "pdf"):
        file = alice.get(at(hers, f"statements/{CLOSED}.{form}"))
        assert hashlib.sha256(file.content).hexdigest() in page
        assert "attachment" in file["Content-Disposition"]
    with scope.tenant(hers.organization.pk):
        assert Statement.objects.get().pdf_sha256 in page
    assert alice.get(at(hers, "statements/2020-01")).status_code == 404
    assert alice.get(at(hers, "statements/2020-99")).status_code == 404


def test_another_model_is_compared_before_anybody_switches(hers, alice):
    address = f"/models/{hers.model.pk}/quote"
    assert "Compare" in text(alice.get(address))
    page = text(alice.get(f"{address}?model=mistral-large-latest"))
    assert "3 calls with Assistente" in page
    assert "more" in page
    assert "3,000,000" in page
    refused = alice.get(f"{address}?model=no-such-model")
    assert refused.status_code == 422
    assert "no model of Mistral" in text(refused)


def test_a_figure_leads_to_messages_and_their_calls_and_a_table_of_them(hers, alice):
    page = text(alice.get(at(hers, "calls?message=m-2")))
    assert "Cost of the message" in page
    assert "1 call" in page
    sent = alice.get(at(hers, "calls.csv?message=%3Dm-1"))
    table = b"".join(sent.streaming_content)
    assert table.startswith(codecs.BOM_UTF8)
    rows = list(csv.DictReader(io.StringIO(table.decode("utf-8-sig"))))
    assert [(row["message_id"], row["prompt_tokens"]) for row in rows] == [("'=m-1", "1000000")] * 2
    assert len({row["call_id"] for row in rows}) == 2


def test_a_trial_says_what_it_costs_before_it_is_made(hers, alice):
    address = f"/keys/{hers.key.pk}"
    assert "It costs at most €0.000" in text(alice.get(address))
    assert alice.post(f"{address}/probe", headers=HTML).status_code == 303
    page = text(alice.get(address))
    assert "Being tried" in page
    assert "Try it with one token" not in page
    with scope.tenant(hers.organization.pk):
        assert KeyProbe.objects.get(key=hers.key).mistral_model == "mistral-small-latest"


def test_a_key_that_is_checked_again_in_minutes_is_not_said_to_be_checked_now(hers, alice):
    address = f"/keys/{hers.key.pk}"

    def judged(**facts: Any) -> str:
        with scope.tenant(hers.organization.pk):
            MistralKey.objects.filter(pk=hers.key.pk).update(**facts)
        return text(alice.get(address)).split('id="trials"')[0]

    with scope.tenant(hers.organization.pk):
        before = MistralKey.objects.values("status", "verdict_code", "checked_at").get(
            pk=hers.key.pk
        )
    unjudged = judged(status=KeyStatus.PENDING, verdict_code="", checked_at=None)
    now = timezone.now()
    fresh = judged(verdict_code=VerdictCode.KEY_UNKNOWN, checked_at=now)
    judged(**before)
    assert "takes a few seconds" in unjudged
    assert "every 2s" in unjudged
    assert "Check again now" not in unjudged
    assert "in a few minutes" in fresh
    assert "takes a few seconds" not in fresh
    assert "every 2s" not in fresh
    assert "Check again now" in fresh


def test_an_organization_that_is_not_set_up_is_not_said_to_work(hers):
    small = factories.organization()
    address = f"/organizations/{small.pk}"
    client = english(small)
    page = text(client.get(address))
    assert "Everything works." not in page
    assert "The set-up is not finished yet." in page
    assert "Get started" in page
    for step in STEPS:
        with scope.tenant(small.pk):
            Confirmation.objects.create(
                organization=small, step=step.key, is_skipped=True, confirmed_by="made"
            )
    assert "Everything works." in text(client.get(address))


def test_deleting_a_webhook_asks_first(hers, alice):
    there = "https://hooks.example.com/leaving"
    hook, _ = create_webhook(actor=ACTOR, organization=hers.organization, url=there)
    address = at(hers, f"webhooks/{hook.pk}")

    def is_there() -> bool:
        with scope.tenant(hers.organization.pk):
            return WebhookEndpoint.objects.filter(pk=hook.pk).exists()

    assert f'href="{address}/delete"' in text(alice.get(address))
    alice.post(address, {"action": "delete"})
    assert "Keep it" in text(alice.get(f"{address}/delete"))
    assert is_there()
    assert alice.post(f"{address}/delete")["Location"] == at(hers, "webhooks")
    assert not is_there()


def test_support_is_let_in_and_sent_away(hers, alice):
    sent = {"hours": "24", "reason": "ticket 12"}
    assert alice.post(at(hers, "support"), sent, headers=HTML).status_code == 303
    with scope.tenant(hers.organization.pk):
        grant = SupportGrant.objects.get(reason="ticket 12")
    assert not grant.allows_changes
    assert timedelta(hours=23) < grant.ends_at - timezone.now() <= timedelta(hours=24)
    assert "ticket 12" in text(alice.get(at(hers, "support")))
    alice.post(at(hers, f"support/{grant.pk}/withdraw"))
    with scope.tenant(hers.organization.pk):
        assert SupportGrant.objects.get(pk=grant.pk).withdrawn_at is not None
    assert alice.post(at(hers, "support"), {"hours": "9999"}).status_code == 422


def test_everybody_chooses_their_own_letters_among_those_that_reach_them(hers, alice):
    page = text(alice.get(at(hers, "letters")))
    assert 'value="member.joined" checked' in page
    assert 'value="key.invalid" checked disabled' in page
    sent = {"shown": ["member.joined", "statement.closed"], "wanted": ["statement.closed"]}
    alice.post(at(hers, "letters"), sent)
    with scope.tenant(hers.organization.pk):
        assert [row.kind for row in MutedKind.objects.all()] == ["member.joined"]
    assert 'value="member.joined" checked' not in text(alice.get(at(hers, "letters")))
    plain = english(hers.organization, Role.MEMBER)
    assert "your roles bring no letters" in text(plain.get(at(hers, "letters")))
    inside = english(
        hers.organization, Role.MEMBER, workspaces={hers.workspace: WorkspaceRole.ADMIN}
    )
    assert "key.expiring" in text(inside.get(at(hers, "letters")))


def test_the_audit_log_is_searched(hers, alice):
    page = text(alice.get(at(hers, f"audit?action=model.created&target={hers.model.pk}")))
    assert str(hers.model.pk) in page
    assert "key.registered</code>" not in page
    today = timezone.localdate(timezone=ZoneInfo(hers.organization.timezone))
    assert "model.created" in text(alice.get(at(hers, f"audit?since={today}&until={today}")))
    nothing = text(alice.get(at(hers, "audit?until=2020-01-01")))
    assert "Nothing was done that matches." in nothing


def test_a_step_is_left_out_and_taken_up_again_and_facts_are_stronger(hers):
    small = world()
    client = english(small.organization)
    start = f"/organizations/{small.organization.pk}/start"
    assert client.post(f"{start}/phone", {"word": "skipped"}).status_code == 303
    page = text(client.get(start))
    assert "Left out by" in page
    assert "1 left out" in page
    client.post(f"{start}/phone", {"word": "neither"})
    assert "Left out by" not in text(client.get(start))
    client.post(f"{start}/workspaces", {"word": "skipped"})
    factories.workspace(small.organization)
    assert "Left out by" not in text(client.get(start))
    assert client.post(f"{start}/api_key", {"word": "skipped"}).status_code == 409
    assert client.post(f"{start}/api_key", {"word": "done"}).status_code == 409


def test_an_open_checklist_is_renewed_only_when_something_changed(hers, alice):
    page = text(alice.get(at(hers, "start")))
    asked = page.split('hx-get="')[1].split('"')[0]
    htmx = {"HX-Request": "true"}
    assert alice.get(asked, headers=htmx).status_code == 204
    alice.post(at(hers, "start/plan"), {"word": "skipped"})
    alice.post(at(hers, "start/phone"), {"word": "skipped"})
    assert alice.get(asked, headers=htmx).status_code == 200
    assert alice.get(asked).status_code == 200


def test_everything_is_exported_as_it_comes_and_that_is_written_down(hers, alice):
    sent = alice.post(at(hers, "export"))
    assert sent.streaming
    lines = [json.loads(line) for line in b"".join(sent.streaming_content).splitlines()]
    assert "end" in lines[-1]
    with scope.tenant(hers.organization.pk):
        assert AuditEvent.objects.filter(verb="organization.exported").exists()


def test_erasing_asks_for_proof_and_for_the_name_and_shows_the_certificate():
    small = world()
    carla = people.person("Carla", password=people.PASSWORD)
    member = people.member(small.organization, Role.ADMIN, who=carla)
    erase = f"/organizations/{small.organization.pk}/erase"
    stale = session_caller(member.person, is_sudo=False).client.get(erase, headers=HTML)
    assert (stale.status_code, stale["Location"].split("?")[0]) == (303, "/confirm")
    client = session_caller(member.person).client
    client.cookies["aim_language"] = "en"
    page = text(client.get(erase))
    assert "1 API key is destroyed" in page
    assert small.organization.slug in page
    assert client.post(erase, {"confirm": "something-else"}).status_code == 422
    with scope.tenant(small.organization.pk):
        assert Organization.objects.get().status == "active"
    erased = client.post(erase, {"confirm": small.organization.slug}, headers=HTML)
    with scope.tenant(small.organization.pk):
        certificate = ErasureCertificate.objects.get()
    assert certificate.digest in text(erased)
    assert "metered calls and sums, by ids" in text(erased)
    assert not any(code in text(erased) for code in certificate.retained if "_" in code)
    assert client.get(erase, headers=HTML).status_code == 404
