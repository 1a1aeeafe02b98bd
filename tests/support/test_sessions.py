"""Sessions of the staff: granted or broken open, told to the organization, over by themselves."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import ProgrammingError
from django.utils import timezone

from tenants.assistance import services
from tenants.assistance.models import SupportGrant, SupportSession
from tenants.assistance.staff import StaffRole
from tenants.common import scope
from tenants.common.problems import Conflict, Forbidden, Invalid
from tenants.notices.kinds import KINDS
from tenants.organizations.models import Announcement
from tests import people
from tests.api.callers import organization_caller
from tests.api.world import everything
from tests.factories import ACTOR
from tests.spend.made import as_owner
from tests.support.conftest import hire, verbs_of


def told(organization, kind: str) -> list[dict[str, Any]]:
    with scope.tenant(organization.pk):
        rows = Announcement.objects.filter(kind=kind).order_by("id")
        return list(rows.values_list("data", flat=True))


def test_nobody_gets_in_unasked(organization, agent):
    before = everything(organization.pk)
    page = f"organizations/{organization.pk}/open"
    answer = agent.post(page, reason="curious", hours="1")
    assert answer.status_code == 200
    assert "organization has not let" in answer.text
    with pytest.raises(Forbidden, match="support_not_granted"):
        services.open_session(staff=agent.staff, organization_id=organization.pk, reason="curious")
    # What an agent's form does not offer, it does not take either.
    agent.post(page, reason="curious", hours="1", break_open="on")
    with pytest.raises(Forbidden, match="staff_role_missing"):
        services.open_session(
            staff=agent.staff, organization_id=organization.pk, reason="x", break_open=True
        )
    assert everything(organization.pk) == before


def test_a_granted_session_is_told_and_never_outlasts_its_grant(organization, agent):
    services.grant_access(actor=ACTOR, organization=organization, hours=1)
    answer = agent.post(
        f"organizations/{organization.pk}/open", reason="ticket 7", ticket="T-7", hours="8"
    )
    assert answer.status_code == 302
    with scope.tenant(organization.pk):
        session, grant = SupportSession.objects.get(), SupportGrant.objects.get()
    assert session.ends_at == grant.ends_at
    (event,) = told(organization, "support.session_opened")
    assert event["staff"] == agent.staff.name
    assert (event["reason"], event["ticket"], event["granted_by"]) == (
        "ticket 7",
        "T-7",
        ACTOR.name,
    )
    assert (event["broken_open"], event["may_change"]) == (False, False)


def test_breaking_open_is_short_and_alerts_the_organization(organization, lead):
    page = f"organizations/{organization.pk}/open"
    refused = lead.post(page, reason="outage", hours="3", break_open="on", elevated="on")
    assert refused.status_code == 200
    assert told(organization, "support.session_opened") == []
    lead.post(page, reason="outage", hours="2", break_open="on", elevated="on")
    (event,) = told(organization, "support.session_opened")
    assert (event["broken_open"], event["granted_by"], event["may_change"]) == (True, "", True)
    shown = lead.get(f"organizations/{organization.pk}")
    assert b'id="support-session"' in shown.content


def test_the_page_about_support_does_not_hide_that_it_can_be_broken_open(organization, lead):
    services.open_session(
        staff=lead.staff, organization_id=organization.pk, reason="outage", break_open=True
    )
    with scope.tenant(organization.pk):
        opened = Announcement.objects.get(kind="support.session_opened")
    assert not KINDS[opened.kind].is_mutable
    page = f"/organizations/{organization.pk}/support"
    told_at_once = {
        "en": "enter unasked, for two hours at most: your administrators are told at once by mail",
        "it": "per due ore al massimo: gli amministratori vengono avvisati subito per e-mail",
    }
    assert timedelta(hours=2) == services.LONGEST_BREAK
    for language, sentence in told_at_once.items():
        shown = people.visitor(organization, language=language).get(page).text
        assert sentence in shown
        assert shown.index(sentence) < shown.index("outage")


def test_acting_needs_a_grant_to_act(organization, agent):
    services.grant_access(actor=ACTOR, organization=organization, hours=1)
    with pytest.raises(Forbidden, match="support_changes_not_granted"):
        services.open_session(
            staff=agent.staff, organization_id=organization.pk, reason="x", elevated=True
        )
    with pytest.raises(Invalid, match="support_reason_missing"):
        services.open_session(staff=agent.staff, organization_id=organization.pk, reason="  ")
    with pytest.raises(Invalid, match="support_hours_out_of_range"):
        services.grant_access(actor=ACTOR, organization=organization, hours=169)


def test_a_session_ends_by_itself_by_a_click_and_with_its_grant(organization, lead):
    page = f"organizations/{organization.pk}/keys"
    session = lead.enter(organization)
    with pytest.raises(Conflict, match="support_session_open"):
        services.open_session(staff=lead.staff, organization_id=organization.pk, reason="again")
    assert lead.get(page).status_code == 200
    as_owner(
        "UPDATE assistance_supportsession SET ends_at = now() - interval '1 second' WHERE id = %s",
        session.pk,
    )
    assert lead.get(page).status_code == 403

    lead.enter(organization)
    assert lead.get(page).status_code == 200
    assert lead.post(f"organizations/{organization.pk}/end").status_code == 302
    assert lead.get(page).status_code == 403
    assert verbs_of(organization.pk, lead.person)[-1] == "support.session_closed"
    assert len(told(organization, "support.session_closed")) == 1

    session = lead.enter(organization)
    with scope.tenant(organization.pk):
        grant = SupportGrant.objects.get(pk=session.grant_id)
    services.withdraw_access(actor=ACTOR, grant=grant)
    services.withdraw_access(actor=ACTOR, grant=grant)
    assert lead.get(page).status_code == 403


def test_the_application_cannot_lengthen_or_raise_a_session(organization, lead):
    session = lead.enter(organization)
    for changes in (
        {"ends_at": timezone.now()},
        {"is_elevated": True},
        {"reason": "another"},
    ):
        with pytest.raises(ProgrammingError, match="permission"), scope.tenant(organization.pk):
            SupportSession.objects.filter(pk=session.pk).update(**changes)
    with pytest.raises(ProgrammingError, match="permission"), scope.tenant(organization.pk):
        SupportSession.objects.filter(pk=session.pk).delete()


def test_security_gives_roles_and_nobody_themselves(lead):
    security, other = hire(StaffRole.SECURITY), hire(StaffRole.VIEWER)
    own = security.post("staff", email=security.person.email, role="lead")
    assert own.status_code == 200
    given = security.post("staff", email=other.person.email, role="lead")
    assert given.status_code == 302
    assert other.get("log").status_code == 200
    assert lead.post("staff", email=other.person.email, role="viewer").status_code == 403


def test_the_organization_lets_the_staff_in_and_sends_them_away_over_http(organization, agent):
    alice = organization_caller(organization)
    place = f"organizations/{organization.pk}/support-access"
    made = alice.post(place, {"hours": 3, "allows_changes": True, "reason": "ticket 7"})
    assert made.status == 201, made.raw
    assert (made.body["allows_changes"], made.body["withdrawn_at"]) == (True, None)
    services.open_session(
        staff=agent.staff, organization_id=organization.pk, reason="ticket 7", elevated=True
    )
    assert agent.get(f"organizations/{organization.pk}/keys").status_code == 200
    (session,) = alice.get(f"organizations/{organization.pk}/support-sessions").body["results"]
    assert (session["staff"], session["broken_open"]) == (agent.staff.name, False)
    assert session["granted_by"] == made.body["granted_by"]
    assert alice.call("DELETE", f"{place}/{made.body['id']}").status == 204
    assert agent.get(f"organizations/{organization.pk}/keys").status_code == 403
    (grant,) = alice.get(place).body["results"]
    assert grant["withdrawn_at"] is not None
    too_long = alice.post(place, {"hours": 169})
    assert (too_long.status, list(too_long.pointers)) == (422, ["/hours"])
    assert alice.call("DELETE", f"{place}/{organization.pk}").status == 404
