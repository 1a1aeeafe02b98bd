"""The export: everything of a tenant, nothing of another's, and not a secret."""

import base64
import tracemalloc
from typing import Any
from uuid import UUID

import orjson
import psycopg
import pytest
from asgiref.sync import sync_to_async
from django.apps import apps
from django.db import connection
from django.db.models import BinaryField
from django.test import AsyncClient

from tenants.access import exporting
from tenants.common import scope
from tenants.organizations.models import AuditEvent
from tenants.organizations.roles import Role
from tests import factories, people
from tests.api.callers import BASE, organization_caller
from tests.api.world import everything
from tests.architecture.conftest import populated  # noqa: F401 - a row of everything
from tests.people import session_caller
from tests.postgres import owner_url


def exported(organization_id: UUID) -> list[dict[str, Any]]:
    raw = b"".join(exporting.lines(organization_id))
    return [orjson.loads(line) for line in raw.splitlines()]


def test_every_table_of_tenants_is_exported_or_said_not_to_be_and_why():
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
               WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition"""
        )
        tables = {table for (table,) in cursor.fetchall()} | {"organizations_organization"}
    decided = [*exporting.EXPORTED, *exporting.NOT_EXPORTED]
    assert len(decided) == len(set(decided))
    assert {apps.get_model(label)._meta.db_table for label in decided} == tables, (
        "decide in tenants/access/exporting.py whether a new table is exported"
    )
    assert all(exporting.NOT_EXPORTED.values())


def test_what_a_part_names_is_there_and_bytes_are_not():
    for label, part in exporting.EXPORTED.items():
        model = apps.get_model(label)
        names = {found.attname for found in model._meta.concrete_fields}
        assert {*part.without, *part.text} <= names, label
        for name in set(exporting.columns(model, part)) - set(part.text):
            assert not isinstance(model._meta.get_field(name), BinaryField), (label, name)
    assert len({part.name for part in exporting.EXPORTED.values()}) == len(exporting.EXPORTED)


def test_the_documents_list_is_the_codes(request):
    page = (request.config.rootpath / "docs" / "export.md").read_text(encoding="utf-8")
    for part in exporting.EXPORTED.values():
        assert f"`{part.name}`" in page, part.name


def bytes_of(organization_id: UUID) -> set[bytes]:
    """Everything that lies in a column of bytes of an organization, but what is no secret."""
    open_text = {
        (apps.get_model(label)._meta.db_table, name)
        for label, part in exporting.EXPORTED.items()
        for name in part.text
    }
    found: set[bytes] = set()
    with psycopg.connect(owner_url()) as owner:
        places = owner.execute(
            """SELECT c.table_name, c.column_name FROM information_schema.columns c
               JOIN information_schema.columns o USING (table_schema, table_name)
               WHERE c.table_schema = 'public' AND c.data_type = 'bytea'
               AND o.column_name = 'organization_id'"""
        ).fetchall()
        for table, column in set(places) - open_text:
            rows = owner.execute(
                f"SELECT {column} FROM {table} WHERE organization_id = %s AND {column} IS NOT NULL",
                [organization_id],
            )
            found |= {bytes(value) for (value,) in rows.fetchall()}
    return found


def test_everything_is_in_it_and_no_secret_no_ciphertext_no_digest(populated):  # noqa: F811
    rows = exported(populated.pk)
    assert (rows[0]["export"], rows[0]["organization_id"]) == (1, str(populated.pk))
    assert rows[-1]["end"] is True
    counts = rows[-1]["rows"]
    assert set(counts) == {part.name for part in exporting.EXPORTED.values()}
    assert [name for name, count in counts.items() if count == 0] == []
    assert sum(counts.values()) == len(rows) - 2
    raw = b"".join(exporting.lines(populated.pk))
    hidden = bytes_of(populated.pk)
    assert len(hidden) > 10
    for value in hidden:
        for written in (value, value.hex().encode(), base64.b64encode(value)):
            assert written not in raw
    members = [row["row"] for row in rows if row.get("table") == "members"]
    assert all("@" in member["email"] and member["name"] for member in members)
    (statement,) = [row["row"] for row in rows if row.get("table") == "statements"]
    assert orjson.loads(statement["json"])["total"] == "0.00"


def test_no_plaintext_that_came_in_comes_out(organization):
    caller = organization_caller(organization)
    path = f"organizations/{organization.pk}"
    workspace = caller.get(f"{path}/workspaces").body["results"][0]["id"]
    key = "cAnArY" + "0123456789abcdefghijklmnop"
    caller.post(f"workspaces/{workspace}/keys", {"key": key, "name": "k"})
    caller.put(f"{path}/admin-key", {"key": key[::-1]})
    token = caller.post(f"{path}/tokens", {"name": "t"}).body["token"]
    answer = caller.get(f"{path}/export")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    saved = f'attachment; filename="{organization.slug}.ndjson"'
    assert answer.headers["Content-Disposition"] == saved
    for secret in (key, key[::-1], token, caller.token or ""):
        assert secret.encode() not in answer.raw
        assert secret[6:-6].encode() not in answer.raw


def test_an_export_is_an_event_and_changes_nothing_else(organization):
    before = everything(organization.pk)
    caller = organization_caller(organization, "organizations:export")
    caller.get(f"organizations/{organization.pk}/export")
    after = everything(organization.pk)
    changed = {table for table in before if before[table] != after[table]}
    trail = {f"organizations_audit{part}" for part in ("event", "link", "head")}
    assert changed == trail | {"access_organizationtoken"}
    with scope.tenant(organization.pk):
        assert AuditEvent.objects.latest("id").verb == "organization.exported"


def test_a_person_proves_who_it_is_before_taking_everything_away(organization):
    admin = people.person("Alice", password=people.PASSWORD)
    people.member(organization, Role.ADMIN, who=admin)
    answer = session_caller(admin, is_sudo=False).get(f"organizations/{organization.pk}/export")
    assert (answer.status, answer.code) == (403, "reauthentication_required")


@pytest.fixture(scope="module")
def large():
    """An organization with a few megabytes."""
    organization = factories.organization()
    with scope.tenant(organization.pk), connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO organizations_announcement (id, created_at, organization_id, kind, data)
               SELECT gen_random_uuid(), now(), %s, 'test.done',
                      jsonb_build_object('said', repeat('x', 1800), 'n', n)
               FROM generate_series(1, 8000) n""",
            [organization.pk],
        )
    return organization


def test_memory_stays_flat_however_much_there_is(large):
    total = rows = 0
    tracemalloc.start()
    try:
        for chunk in exporting.lines(large.pk):
            total += len(chunk)
            rows += chunk.count(b'"table":"announcements"')
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert rows == 8_000, "each once, over forty pages"
    assert total > 14_000_000
    assert peak < 7_000_000, "half of it"


async def test_under_asgi_chunks_are_sent_as_they_are_made(large):
    caller = await sync_to_async(organization_caller)(large)
    answer: Any = await AsyncClient().get(
        f"{BASE}/organizations/{large.pk}/export",
        headers={"Authorization": f"Bearer {caller.token}"},
    )
    assert answer.is_async
    chunks = [chunk async for chunk in answer.streaming_content]
    assert len(chunks) > 40
    assert orjson.loads(chunks[-1])["rows"]["announcements"] == 8_000
