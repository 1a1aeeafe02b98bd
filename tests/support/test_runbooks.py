"""docs/runbooks, tried: each ticket played, and every label that a runbook names is on a page."""

import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from django.utils import timezone

from tenants.access.services import issue_organization_token
from tenants.common import scope
from tenants.keys.models import KeyStatus, KeyVerdict, MistralKey
from tenants.notices.models import Delivery, DeliveryStatus
from tenants.organizations.models import Announcement
from tenants.spend.meter import Meter
from tenants.spend.services import set_limit
from tests.api.callers import Caller
from tests.api.world import registered_model, valid_key, whole_world, world
from tests.factories import ACTOR
from tests.spend import made

ROOT = Path(__file__).resolve().parents[2]
TICKETS = sorted((ROOT / "docs" / "runbooks").glob("ticket-*.md"))


@pytest.fixture(scope="module")
def desk(lead):
    """A lead in a session that may act, and the world that it is in."""
    found = whole_world()
    lead.enter(found.organization, elevated=True)
    return lead, found, f"organizations/{found.organization.pk}"


def test_runbooks_name_what_pages_show():
    sources = " ".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tenants" / "support").glob("*.py")
    )
    assert len(TICKETS) >= 10
    for ticket in TICKETS:
        text = ticket.read_text(encoding="utf-8")
        for label in re.findall(r"\*\*([^*]+)\*\*", text):
            words = re.split(r"\s*…\w*\s*", label)
            shown = re.search(".*".join(map(re.escape, words)), sources, re.IGNORECASE)
            assert shown or label == "breaks open", f"{ticket.name}: {label}"


def test_a_model_that_does_not_answer(desk):
    lead, found, place = desk
    with scope.tenant(found.organization.pk):
        MistralKey.objects.filter(pk=found.key.pk).update(
            status=KeyStatus.INVALID, verdict_code="key_unknown", evidence={"http_status": 401}
        )
    shown = lead.get(place).text
    assert "blocked" in shown
    assert "Mistral does not accept the API key behind this model" in shown
    assert "401" in shown
    assert lead.post(f"{place}/keys/{found.key.pk}/check").status_code == 302
    with scope.tenant(found.organization.pk):
        assert MistralKey.objects.get(pk=found.key.pk).asked_at is not None


def test_who_changed_that(desk):
    lead, _found, place = desk
    shown = lead.get(f"{place}/audit").text
    assert "model.created" in shown
    assert ACTOR.name in shown
    assert "support.audit_viewed" in shown


def test_an_invitation_that_did_not_arrive(desk):
    lead, found, place = desk
    assert "invitation" in lead.post("", term=found.invitation.email).text
    lead.post(f"{place}/invitations/{found.invitation.pk}/resend")
    before = found.invitation.digest
    with scope.tenant(found.organization.pk):
        found.invitation.refresh_from_db()
    assert bytes(found.invitation.digest) != bytes(before)


def test_a_token_in_a_public_place(desk):
    lead, found, place = desk
    row, token = issue_organization_token(
        actor=ACTOR,
        organization=found.organization,
        name="leaked",
        scopes=["keys:read"],
        grantable=["keys:read"],
    )
    assert place in lead.post("", term=token.reveal()).text
    assert lead.post(f"{place}/tokens/{row.pk}/revoke").status_code == 302
    assert Caller(token.reveal()).get("keys").code == "token_revoked"


def test_a_webhook_that_gets_nothing(desk):
    lead, found, place = desk
    with scope.tenant(found.organization.pk):
        Delivery.objects.filter(pk=found.delivery.pk).update(
            status=DeliveryStatus.FAILED, due_at=None, error="timeout", attempts=9
        )
    shown = lead.get(f"{place}/outside").text
    assert "timeout" in shown
    assert "example.com" in shown
    assert "/webhooks" not in shown.replace("/webhooks.", "")  # the rest of its address
    assert lead.post(f"{place}/deliveries/{found.delivery.pk}/replay").status_code == 302
    with scope.tenant(found.organization.pk):
        found.delivery.refresh_from_db()
    assert found.delivery.status == DeliveryStatus.PENDING


def test_an_organization_that_is_suspended_and_works_again(desk):
    lead, found, place = desk
    key = valid_key(found.workspace, "Works")
    model = registered_model(found.workspace, key, "Works")
    lead.post(f"{place}/suspend")
    shown = lead.get(place).text
    assert "The organization is suspended, so its models answer no calls" in shown
    assert f"/admin/{place}/reactivate" in shown
    lead.post(f"{place}/reactivate")
    assert f"/admin/{place}/suspend" in lead.get(place).text
    with scope.tenant(found.organization.pk):
        found.organization.refresh_from_db()
        kinds = Announcement.objects.filter(data__model_id=str(model.pk)).order_by("id")
        told = list(kinds.values_list("kind", flat=True))
    assert found.organization.status == "active"
    assert told[-2:] == ["model.blocked", "model.ready"]


def test_a_limit_that_stops_calls_though_there_is_money(desk):
    lead, found, place = desk
    organization = found.organization
    limit = set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal(10)
    )
    dead, meter = Meter(), Meter()
    at = timezone.now() - timedelta(minutes=1)
    held = made.intent(organization, found.workspace, "9", call_id=made.id_at(at))
    assert dead.open_calls([held])[0].is_accepted
    made.die(dead)
    waiting = made.intent(organization, found.workspace, "2")
    assert not meter.open_calls([waiting])[0].is_accepted
    shown = lead.get(f"{place}/spend").text
    assert "Last refused a call (gateway)" in shown
    assert f"{timezone.now():%Y-%m-%d}" in shown
    # Another organization's orphan stays where it is.
    other = world()
    others = Meter()
    theirs = made.intent(other.organization, other.workspace, "9", call_id=made.id_at(at))
    others.open_calls([theirs])
    made.die(others)
    assert str(held.call_id) in lead.get(place).text
    assert lead.post(f"{place}/holds/release").status_code == 302
    assert made.holds(organization) == []
    assert made.holds(other.organization) == [theirs.call_id]
    # The worst case is booked, so the limit is nearly full: a lead bridges the weekend.
    day = timezone.now().date() + timedelta(days=2)
    lead.post(
        f"{place}/limits/extend", limit=str(limit.pk), monthly_spend="20", until=day.isoformat()
    )
    assert meter.open_calls([waiting])[0].is_accepted
    meter.close()


def test_a_key_that_cannot_be_used(lead):
    found = world()
    lead.enter(found.organization, elevated=True)
    place = f"organizations/{found.organization.pk}"
    assert place in lead.post("", term=found.key.last4).text
    with scope.tenant(found.organization.pk):
        for status, code, cause in (
            ("undecryptable", "undecryptable", "box_closed"),
            ("suspended", "wrong_workspace", "another_workspace"),
        ):
            MistralKey.objects.filter(pk=found.key.pk).update(status=status, verdict_code=code)
            KeyVerdict.objects.create(
                organization=found.organization,
                key=found.key,
                status=status,
                verdict_code=code,
                evidence={"cause": cause, "http_status": 200, "correlation_id": f"t-{cause}-0001"},
            )
    shown = lead.get(f"{place}/keys/{found.key.pk}").text
    for word in ("box_closed", "another_workspace", "Workspace at Mistral", "Waiting secret"):
        assert word in shown
    assert place in lead.post("", term="t-another_workspace-0001").text
    assert "writes" in lead.get("platform/keyring").text
    assert lead.post(f"{place}/models/{found.model.pk}/unblock").status_code == 302
    with scope.tenant(found.organization.pk):
        assert MistralKey.objects.get(pk=found.key.pk).asked_at is not None
        MistralKey.objects.filter(pk=found.key.pk).update(
            status="expired", expires_on=timezone.now().date() - timedelta(days=2)
        )
    # No other key sees the model, so nothing changes; with another, the model goes to it.
    refused = lead.post(f"{place}/models/{found.model.pk}/unblock")
    assert (refused.status_code, "no_usable_key" in refused.text) == (409, True)
    another = valid_key(found.workspace, "Riserva")
    assert lead.post(f"{place}/models/{found.model.pk}/unblock").status_code == 302
    with scope.tenant(found.organization.pk):
        found.model.refresh_from_db()
    assert found.model.key_id == another.pk
    ready = lead.post(f"{place}/models/{found.model.pk}/unblock")
    assert (ready.status_code, "model_not_blocked" in ready.text) == (409, True)
