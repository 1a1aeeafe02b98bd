"""Lists at the desk: filters from menus that one may keep, CSV, and what an audit log proves."""

import csv
import io
import re
from decimal import Decimal
from uuid import UUID

import psycopg
import pytest
from django.db import DatabaseError

from tenants.access.erasure import erase_organization
from tenants.assistance import erasure, services
from tenants.assistance.models import CorrectionRequest, SavedFilter, SupportGrant, SupportSession
from tenants.assistance.staff import StaffRole
from tenants.common import scope
from tenants.keys.models import KeyStatus, KeyVerdict, MistralKey
from tenants.keys.services import delete_key, update_key
from tenants.organizations import audit_chain, deeds
from tenants.organizations.models import AuditEvent
from tenants.spend.services import set_limit
from tenants.support import words
from tests import factories
from tests.api.world import valid_key, whole_world, world
from tests.factories import ACTOR
from tests.postgres import owner_url
from tests.spend.made import as_owner
from tests.support.conftest import hire, verbs_of
from tests.support.test_table import asked, spent


def saved(worker) -> list[SavedFilter]:
    return list(SavedFilter.objects.filter(person=worker.person))


def test_filters_are_chosen_from_menus_kept_and_forgotten(organization):
    workspace = factories.default_workspace(organization)
    valid_key(workspace, "Funziona")
    broken = valid_key(workspace, "=Rotta")
    with scope.tenant(organization.pk):
        MistralKey.objects.filter(pk=broken.pk).update(status=KeyStatus.INVALID)
    agent, other = hire(StaffRole.AGENT), hire(StaffRole.AGENT)
    agent.enter(organization)
    other.enter(organization)
    place = f"organizations/{organization.pk}"
    shown = agent.get(f"{place}/keys", status="invalid").text
    assert "=Rotta" in shown
    assert "Funziona" not in shown
    assert agent.get(f"{place}/keys", status="' OR 1=1 --").status_code == 422

    kept = agent.post(f"{place}/filters/keys", name="rotte", status="invalid")
    assert kept.headers["Location"].endswith("/keys?status=invalid")
    (mine,) = saved(agent)
    assert mine.choice == {"status": "invalid"}
    assert "?status=invalid" in agent.get(f"{place}/keys").text
    assert "rotte" not in other.get(f"{place}/keys").text  # each has their own
    assert agent.post(f"{place}/filters/keys", name="x", status="made-up").status_code == 422
    assert agent.post(f"{place}/filters/keys", name="").status_code == 422
    assert agent.post(f"{place}/filters/nothing", name="x").status_code == 422
    other.post(f"{place}/filters/keys/{mine.pk}/forget")
    assert saved(agent)
    agent.post(f"{place}/filters/keys/{mine.pk}/forget")
    assert saved(agent) == []


def test_the_audit_log_is_filtered_by_the_words_that_it_shows(organization):
    key = valid_key(factories.default_workspace(organization), "Produzione")
    delete_key(actor=ACTOR, key=key)
    viewer = hire(StaffRole.VIEWER)
    viewer.enter(organization)
    italian = {"Accept-Language": "it"}

    def shown(**query: str) -> tuple[str, list[str]]:
        page = viewer.client.get(
            f"/admin/organizations/{organization.pk}/audit", query_params=query, headers=italian
        )
        assert page.status_code == 200
        text = " ".join(page.text.split())
        return text, re.findall(r"<td>(…[^<]*…[^<]*) <small", text)

    page, told = shown()
    for offered in ("persona (person)", "assistenza (staff)", "Chiavi API (key)"):
        assert f"> {offered} <" in page or f">{offered}<" in page, offered
    assert "… ha eliminato la chiave API …" in told
    assert "… ha registrato la chiave API …" in told
    word = re.escape("… ha eliminato la chiave API … (key.deleted)")
    assert re.search(rf'<optgroup label="Chiavi API">.*?>\s*{word}\s*<', page)
    for query in ({"verb": "key.deleted"}, {"verb": "key.deleted", "noun": "key"}):
        assert set(shown(**query)[1]) == {"… ha eliminato la chiave API …"}
    assert {"… ha eliminato la chiave API …", "… ha registrato la chiave API …"} <= set(
        shown(noun="key")[1]
    )
    assert all("chiave API" in one for one in shown(noun="key")[1])
    assert not any("chiave API" in one for one in shown(actor="staff")[1])
    for query in ({"verb": "Chiavi API"}, {"verb": "key.made_up"}, {"noun": "key.deleted"}):
        assert viewer.get(f"organizations/{organization.pk}/audit", **query).status_code == 422
    with scope.tenant(organization.pk):
        verbs = set(AuditEvent.objects.values_list("verb", flat=True))
        kinds = set(AuditEvent.objects.values_list("actor_kind", flat=True))
    assert verbs <= set(deeds.SENTENCES)
    assert kinds <= set(words.ACTORS)


def test_the_audit_log_says_to_what_in_the_words_of_its_filter(organization):
    workspace = factories.default_workspace(organization)
    key = valid_key(workspace, "Produzione")
    update_key(actor=ACTOR, key=key, changes={"name": "Segreta"})
    set_limit(
        actor=ACTOR, organization=organization, subject=organization, monthly_spend=Decimal(20)
    )
    viewer = hire(StaffRole.VIEWER)
    viewer.enter(organization)
    page = f"/admin/organizations/{organization.pk}/audit"
    code = '<small class="desk-code">({})</small>'
    for noun, word, kind, field in [
        ("key", "Chiavi API", "mistralkey", f"nome {code.format('name')}"),
        ("limit", "Limiti", "limit", f"limite di spesa mensile {code.format('monthly_spend')}"),
    ]:
        answer = viewer.client.get(
            page, query_params={"noun": noun}, headers={"Accept-Language": "it"}
        )
        shown = " ".join(answer.text.split())
        assert f"{word} ({noun})" in shown, "the filter"
        targets = re.findall(r"<td>([^<]+ <small[^>]*>\(\w+\)</small> · \w+) [0-9a-f-]{36}", shown)
        assert set(targets) == {f"{word} {code.format(noun)} · {kind}"}
        assert field in shown
        assert "Segreta" not in shown, "the desk's log tells no names"


def test_a_list_is_taken_as_csv_by_who_may_and_the_audit_log_says_so(organization):
    valid_key(factories.default_workspace(organization), "=cmd() & <co>")
    viewer, agent = hire(StaffRole.VIEWER), hire(StaffRole.AGENT)
    page = f"organizations/{organization.pk}/keys"
    viewer.enter(organization)
    assert viewer.get(page, format="csv").status_code == 403
    assert "format=csv" not in viewer.get(page).text
    assert agent.get(page, format="csv").status_code == 403  # no session
    agent.enter(organization)
    answer = agent.get(page, format="csv")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    header, row = csv.reader(io.StringIO(answer.text))
    assert (header[0], row[0][:14]) == ("Key", "'=cmd() & <co>")
    assert "support.keys_exported" in verbs_of(organization.pk, agent.person)
    over = agent.get("platform/attention", csv="over-80")
    assert over.text.startswith("Band,Organizations")
    ids = agent.get("platform/attention", csv="over-80-ids").text
    assert ids.startswith("Organization,Band")
    assert viewer.get("platform/attention", csv="over-80").status_code == 403


def test_verdicts_of_a_key_are_kept_when_they_change(organization):
    key = valid_key(factories.default_workspace(organization))
    with scope.tenant(organization.pk):
        for status, code in (("invalid", "key_unknown"), ("valid", "ok")):
            KeyVerdict.objects.create(
                organization=organization, key=key, status=status, verdict_code=code
            )
    viewer = hire(StaffRole.VIEWER)
    viewer.enter(organization)
    shown = viewer.get(f"organizations/{organization.pk}/keys/{key.pk}").text
    assert shown.index("<td>ok</td>") < shown.index("<td>key_unknown</td>")
    stranger = world()
    assert viewer.get(f"organizations/{organization.pk}/keys/{stranger.key.pk}").status_code == 404


def test_a_look_of_the_staff_cannot_be_taken_back(organization):
    viewer = hire(StaffRole.VIEWER)
    viewer.enter(organization)
    viewer.get(f"organizations/{organization.pk}/keys")
    with scope.tenant(organization.pk):
        look = AuditEvent.objects.get(verb="support.keys_viewed")
    assert audit_chain.verify(organization.pk, ()).findings == []
    tables = ("organizations_auditevent", "organizations_auditlink", "organizations_audithead")
    for statement in (
        f"UPDATE organizations_auditevent SET actor_name = 'nobody' WHERE id = '{look.pk}'",
        f"DELETE FROM organizations_auditevent WHERE id = '{look.pk}'",
    ):
        # The application may not, and neither may the owner while the triggers are on.
        with pytest.raises(psycopg.Error), psycopg.connect(owner_url()) as owner:
            owner.execute(statement)
    with psycopg.connect(owner_url()) as owner:
        for table in tables:
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        owner.execute(
            "UPDATE organizations_auditevent SET actor_name = 'nobody' WHERE id = %s", [look.pk]
        )
        for table in tables:
            owner.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_append_only")
        owner.execute(
            "ALTER TABLE organizations_audithead ENABLE ALWAYS TRIGGER audit_forward_only"
        )
        owner.execute("ALTER TABLE organizations_auditevent ENABLE TRIGGER audit_chain")
    assert audit_chain.verify(organization.pk, ()).findings != []


def test_erasing_keeps_who_looked_in_and_forgets_what_people_wrote():
    found = whole_world()
    organization = found.organization
    spent(found)
    waiting: UUID = asked(found)
    lead = hire(StaffRole.LEAD)
    services.open_session(
        staff=lead.staff,
        organization_id=organization.pk,
        reason="Mrs Rossi wrote",
        ticket="T-7",
        break_open=True,
    )
    certificate = erase_organization(actor=ACTOR, organization=organization)
    assert "support_sessions" in certificate.retained
    assert lead.get(f"organizations/{organization.pk}/keys").status_code == 403
    with scope.tenant(organization.pk):
        sessions = list(SupportSession.objects.all())
        grants = list(SupportGrant.objects.all())
        assert not CorrectionRequest.objects.filter(pk=waiting).exists()
    assert {one.person_name for one in sessions} >= {lead.staff.name}
    assert {(one.reason, one.ticket) for one in sessions} == {("erased", "")}
    assert [one.is_broken_open for one in sessions if one.person_id == lead.person.pk] == [True]
    assert all(one.ended_at for one in sessions)
    assert {(one.granted_by, one.reason) for one in grants} == {("erased", "")}
    assert all(one.withdrawn_at for one in grants)


def test_only_what_is_erased_is_forgotten(organization):
    session = hire(StaffRole.VIEWER).enter(organization)
    with (
        pytest.raises(DatabaseError, match="only an erased organization"),
        scope.tenant(organization.pk),
    ):
        erasure.forget()
    assert as_owner("SELECT reason FROM assistance_supportsession WHERE id = %s", session.pk) == [
        ("ticket 7",)
    ]
