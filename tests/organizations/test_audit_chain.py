"""The audit trail: whoever changes it, even as the database's owner, is found out."""

import io
import json
import threading
from uuid import UUID

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, connection, transaction
from hypothesis import given, settings
from hypothesis import strategies as st

from tenants.common import scope
from tenants.organizations import audit, audit_anchors, audit_chain, services
from tenants.organizations.audit_chain import Anchor, Finding
from tenants.organizations.models import AuditEvent, AuditHead, AuditLink, Organization
from tests import factories
from tests.factories import ACTOR
from tests.postgres import owner_url

TABLES = ("organizations_auditevent", "organizations_auditlink", "organizations_audithead")


@pytest.fixture
def trail(organization) -> list[UUID]:
    """The ids of the first five events of an organization, in the order of the chain."""
    for name in ("a", "b", "c", "d"):
        services.update_organization(actor=ACTOR, organization=organization, changes={"name": name})
    with scope.tenant(organization.pk):
        ids = list(AuditLink.objects.order_by("sequence").values_list("event_id", flat=True))
    assert len(ids) == 5
    return ids


def tamper(*statements: str) -> None:
    """Do what only the owner of the tables can: switch the triggers off, and on again after."""
    with psycopg.connect(owner_url()) as owner:
        for table in TABLES:
            owner.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for statement in statements:
            assert owner.execute(statement).rowcount != 0, statement
        owner.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in TABLES:
            owner.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER audit_append_only")
        owner.execute(
            "ALTER TABLE organizations_audithead ENABLE ALWAYS TRIGGER audit_forward_only"
        )
        owner.execute("ALTER TABLE organizations_auditevent ENABLE TRIGGER audit_chain")


def found(organization: Organization, *anchors: Anchor) -> list[Finding]:
    return audit_chain.verify(organization.pk, anchors).findings


def verified(organization: Organization, *options: str) -> str:
    written = io.StringIO()
    call_command(
        "verify_audit",
        "--organization",
        str(organization.pk),
        *options,
        stdout=written,
        stderr=io.StringIO(),
    )
    return written.getvalue()


def test_a_chain_that_nobody_touched_is_whole(trail, organization):
    verdict = audit_chain.verify(organization.pk)
    assert (verdict.events, verdict.findings) == (5, [])
    assert "1 organizations, 5 events: every chain is whole" in verified(
        organization, "--without-anchors"
    )
    with scope.tenant(organization.pk):
        head = AuditHead.objects.get()
        assert (head.sequence, head.hash) == (5, AuditLink.objects.get(sequence=5).hash)


def refused(sql: str, organization: Organization) -> None:
    """Try it as the application does."""
    with (
        pytest.raises(ProgrammingError, match="permission denied"),
        scope.tenant(organization.pk),
        connection.cursor() as cursor,
    ):
        cursor.execute(sql)


@pytest.mark.parametrize("table", TABLES)
def test_the_application_and_the_owner_can_only_append(table, trail, organization):
    for statement in (
        f"UPDATE {table} SET organization_id = gen_random_uuid()",
        f"DELETE FROM {table}",
        f"TRUNCATE {table}",
    ):
        refused(statement, organization)
        with (
            psycopg.connect(owner_url()) as owner,
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"),
        ):
            owner.execute(statement)
    assert found(organization) == []


def test_the_application_cannot_write_the_chain_itself(trail, organization):
    places = f"('{organization.pk}', 9, '{trail[0]}', '')"
    refused(f"INSERT INTO organizations_auditlink VALUES {places}", organization)
    linking = "SELECT organizations_link_audit(e) FROM organizations_auditevent e"
    refused(linking, organization)


EDITS = {
    "actor_name": "'Mallory'",
    "actor_id": "actor_id || 'x'",
    "verb": "'organization.read'",
    "target_id": "gen_random_uuid()",
    "created_at": "created_at - interval '1 microsecond'",
    "changed": "ARRAY['na', 'me']",
    "request_id": "'another'",
}


@pytest.mark.parametrize("column", EDITS)
def test_an_edited_event_is_found(column, trail, organization):
    tamper(
        f"UPDATE organizations_auditevent SET {column} = {EDITS[column]} WHERE id = '{trail[2]}'"
    )
    assert found(organization) == [Finding("edited", 3, trail[2])]
    with pytest.raises(CommandError, match="1 places do not fit"):
        verified(organization)


def test_a_deleted_event_is_found_with_or_without_its_link(trail, organization):
    tamper(f"DELETE FROM organizations_auditevent WHERE id = '{trail[1]}'")
    assert found(organization) == [Finding("event_missing", 2, trail[1])]
    tamper(f"DELETE FROM organizations_auditlink WHERE event_id = '{trail[1]}'")
    assert found(organization) == [Finding("link_missing", 2)]


def test_events_that_changed_places_are_found(trail, organization):
    swapped = f"""UPDATE organizations_auditlink SET event_id = CASE event_id
        WHEN '{trail[1]}'::uuid THEN '{trail[3]}'::uuid ELSE '{trail[1]}'::uuid END
        WHERE event_id IN ('{trail[1]}', '{trail[3]}')"""
    constraint = "organizations_auditlink_event_id_key"
    alter = f"ALTER TABLE organizations_auditlink {{}} CONSTRAINT {constraint}"
    with psycopg.connect(owner_url()) as owner:
        owner.execute(alter.format("DROP"))
    tamper(swapped)
    with psycopg.connect(owner_url()) as owner:
        owner.execute(alter.format("ADD") + " UNIQUE (event_id)")
    assert [one.sequence for one in found(organization)] == [2, 4]


def test_an_event_that_was_slipped_in_is_found(trail, organization):
    named = [str(field.column) for field in AuditEvent._meta.concrete_fields]
    columns = ", ".join(name for name in named if name != "id")
    tamper(
        f"""INSERT INTO organizations_auditevent (id, {columns})
            SELECT gen_random_uuid(), {columns} FROM organizations_auditevent
            WHERE id = '{trail[0]}'"""
    )
    (finding,) = found(organization)
    assert (finding.kind, finding.sequence) == ("event_unlinked", None)


def cut_off(trail: list[UUID], organization: Organization) -> list[str]:
    """Take the last event away, as somebody who knows the chain would."""
    return [
        f"DELETE FROM organizations_auditevent WHERE id = '{trail[-1]}'",
        f"DELETE FROM organizations_auditlink WHERE event_id = '{trail[-1]}'",
        f"""UPDATE organizations_audithead h SET sequence = 4, hash = l.hash
            FROM organizations_auditlink l WHERE l.organization_id = h.organization_id
            AND l.sequence = 4 AND h.organization_id = '{organization.pk}'""",
    ]


def test_a_cut_off_end_is_found_by_the_head(trail, organization):
    tamper(*cut_off(trail, organization)[:2])
    assert found(organization) == [Finding("cut_off", 5)]
    tamper(f"DELETE FROM organizations_audithead WHERE organization_id = '{organization.pk}'")
    assert found(organization) == [Finding("head_missing", 4)]


def test_a_cut_off_end_with_the_head_set_back_is_found_by_an_anchor(
    trail, organization, settings, tmp_path
):
    settings.AUDIT_ANCHORS = tmp_path / "anchors.jsonl"
    assert audit_anchors.write() >= 1
    assert "1 of them vouched for by anchors" in verified(organization)
    tamper(*cut_off(trail, organization))
    assert found(organization) == []  # the database alone cannot tell
    with pytest.raises(CommandError):
        verified(organization)
    # The next event takes the place of the one that was removed.
    services.update_organization(actor=ACTOR, organization=organization, changes={"name": "z"})
    anchors = audit_anchors.read([settings.AUDIT_ANCHORS])[organization.pk]
    (finding,) = found(organization, *anchors)
    assert (finding.kind, finding.sequence) == ("anchor_broken", 5)


def test_chains_that_nobody_vouches_for_are_not_called_whole(
    trail, organization, settings, tmp_path
):
    settings.AUDIT_ANCHORS = tmp_path / "gone.jsonl"
    with pytest.raises(CommandError, match="no anchor vouches"):
        verified(organization)
    assert "0 of them vouched for" in verified(organization, "--without-anchors")
    settings.AUDIT_ANCHORS = None
    with pytest.raises(CommandError, match="no anchor vouches"):
        verified(organization)


def test_anchors_come_from_a_log_by_standard_input(
    trail, organization, settings, tmp_path, monkeypatch
):
    settings.AUDIT_ANCHORS, settings.DATA_DIR = None, tmp_path
    audit_anchors.write()
    assert audit_anchors.own() == [], "what a worker remembers of itself vouches for nothing"
    lines = (tmp_path / "audit-anchors.jsonl").read_text().splitlines()
    log = "".join(
        json.dumps({"event": "audit_anchor", **json.loads(line)}) + "\n" for line in lines
    )
    monkeypatch.setattr("sys.stdin", io.StringIO(f"Starting\n{log}"))
    assert "1 of them vouched for" in verified(organization, "--anchors", "-")


def test_a_chain_that_was_made_anew_after_an_edit_is_found_by_an_anchor(trail, organization):
    with scope.tenant(organization.pk):
        links = {link.sequence: link.hash for link in AuditLink.objects.all()}
    anchors = [Anchor(organization.pk, sequence, links[sequence]) for sequence in (2, 5)]
    assert found(organization, *anchors) == []
    tamper(
        f"UPDATE organizations_auditevent SET actor_name = 'Eve' WHERE id = '{trail[2]}'",
        f"DELETE FROM organizations_auditlink WHERE organization_id = '{organization.pk}'",
        f"DELETE FROM organizations_audithead WHERE organization_id = '{organization.pk}'",
        f"""SELECT organizations_link_audit(e) FROM organizations_auditevent e
            WHERE organization_id = '{organization.pk}' ORDER BY id""",
    )
    assert found(organization) == []
    assert found(organization, *anchors) == [Finding("anchor_broken", 5, trail[4])]


def test_anchors_are_private_written_once_a_move_and_read_from_logs_too(
    organization, settings, tmp_path, caplog
):
    settings.AUDIT_ANCHORS = path = tmp_path / "anchors.jsonl"
    audit_anchors.write()
    assert path.stat().st_mode & 0o777 == 0o600
    lines = path.read_text().splitlines()
    mine = [line for line in lines if str(organization.pk) in line]
    assert json.loads(mine[0])["sequence"] == 1
    log = tmp_path / "log"
    log.write_text("no JSON\n[]\n" + json.dumps({"event": "audit_anchor", **json.loads(mine[0])}))
    assert audit_anchors.read([log]) == {
        organization.pk: audit_anchors.read([path])[organization.pk]
    }
    services.update_organization(actor=ACTOR, organization=organization, changes={"name": "n"})
    audit_anchors.write()
    assert [one.sequence for one in audit_anchors.read([path])[organization.pk]][-1] == 2
    settings.AUDIT_ANCHORS = tmp_path / "no" / "folder"
    assert audit_anchors.write() >= 1


def test_writers_at_once_make_one_chain(organization):
    errors: list[BaseException] = []

    def write() -> None:
        try:
            for _ in range(5):
                with scope.tenant(organization.pk):
                    for verb in ("test.first", "test.second"):
                        audit.record(
                            actor=ACTOR,
                            organization_id=organization.pk,
                            verb=verb,
                            target=organization,
                        )
        except BaseException as error:  # noqa: BLE001 - told by the test
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    verdict = audit_chain.verify(organization.pk)
    assert (verdict.events, verdict.findings) == (61, [])


def test_what_is_rolled_back_leaves_no_link(organization):
    with scope.tenant(organization.pk):
        audit.record(
            actor=ACTOR, organization_id=organization.pk, verb="test.done", target=organization
        )
        transaction.set_rollback(True)
    assert audit_chain.verify(organization.pk).events == 1


@settings(max_examples=15)
@given(
    name=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
    changed=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9),
        max_size=3,
    ),
)
def test_python_and_the_database_hash_the_same(name, changed, shared):
    actor = audit.Actor(kind="command", id="1:,", name=name)
    with scope.tenant(shared.pk):
        audit.record(
            actor=actor,
            organization_id=shared.pk,
            verb="test.done",
            target=shared,
            changed=changed,
        )
    assert found(shared) == []


@pytest.fixture(scope="module")
def shared() -> Organization:
    return factories.organization()
