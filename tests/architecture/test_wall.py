"""The wall between tenants, tried with the application's own credentials on every table."""

from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import ProgrammingError, connection

from tenants.common import scope
from tests import factories
from tests.postgres import owner_url

TENANT_MODELS = sorted(
    (
        model
        for model in apps.get_models()
        if model._meta.managed  # a view shows what its reader may see of its tables
        and (
            model._meta.db_table == "organizations_organization"
            or any(field.column == "organization_id" for field in model._meta.fields)
        )
    ),
    key=lambda model: model._meta.db_table,
)
TABLES = [model._meta.db_table for model in TENANT_MODELS]


def rows(sql: str, *values) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return list(cursor.fetchall())


def tenant_column(table: str) -> str:
    return "id" if table == "organizations_organization" else "organization_id"


def test_the_application_can_neither_bypass_the_wall_nor_own_what_is_behind_it():
    assert rows(
        "SELECT rolsuper, rolbypassrls, rolcreaterole FROM pg_roles WHERE rolname = current_user"
    ) == [(False, False, False)]
    owned = rows(
        """SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
           WHERE nspname = 'public' AND pg_has_role(current_user, relowner, 'MEMBER')"""
    )
    assert owned == []


def test_every_table_with_an_organization_is_walled():
    found = dict(
        rows(
            """SELECT c.relname, c.relrowsecurity AND EXISTS
                      (SELECT 1 FROM pg_policy WHERE polrelid = c.oid)
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'organization_id'
               WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition"""
        )
    )
    assert set(TABLES) - {"organizations_organization"} <= set(found)
    assert [table for table, walled in found.items() if not walled] == []


def test_the_application_has_no_grant_on_any_partition():
    assert (
        rows(
            """SELECT relname FROM pg_class c WHERE relispartition
           AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE')"""
        )
        == []
    )


@pytest.mark.parametrize("table", TABLES)
def test_without_context_a_table_is_empty(table, organization):
    assert rows(f"SELECT count(*) FROM {table}") == [(0,)]


@pytest.mark.parametrize("table", TABLES)
def test_in_a_tenants_scope_only_its_rows_are_seen_and_the_owner_knows_there_are_others(
    table, populated, stranger
):
    with psycopg.connect(owner_url()) as owner:
        column = tenant_column(table)
        everyones = owner.execute(
            f"SELECT count(*) FROM {table} WHERE {column} = %s", [populated.id]
        ).fetchone()
    made = everyones is not None and everyones[0] > 0
    assert made, f"the fixture makes no row in {table}: this test would prove nothing"
    with scope.tenant(stranger.id):
        assert rows(f"SELECT count(*) FROM {table} WHERE {column} = %s", populated.id) == [(0,)]
        assert rows(f"SELECT count(*) FROM {table} WHERE {column} <> %s", stranger.id) == [(0,)]
    with scope.tenant(populated.id):
        assert rows(f"SELECT count(*) FROM {table}") == [everyones]


@pytest.mark.parametrize("table", TABLES)
def test_rows_of_another_tenant_can_be_neither_changed_nor_taken_over(table, populated, stranger):
    column = tenant_column(table)
    for statement in (
        f"UPDATE {table} SET {column} = '{stranger.id}' WHERE {column} = '{populated.id}'",
        f"DELETE FROM {table} WHERE {column} = '{populated.id}'",
    ):
        try:
            with scope.tenant(stranger.id), connection.cursor() as cursor:
                cursor.execute(statement)
                touched = cursor.rowcount
        except ProgrammingError as error:
            assert isinstance(error.__cause__, psycopg.errors.InsufficientPrivilege)  # noqa: PT017 - either answer is good
            continue
        assert touched == 0


def test_views_show_what_their_reader_may_see_and_nothing_more(populated, stranger):
    views = rows(
        """SELECT relname, reloptions FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
           WHERE nspname = 'public' AND relkind IN ('v', 'm')"""
    )
    assert [name for name, options in views if options != ["security_invoker=true"]] == []
    for view, _options in views:
        assert rows(f"SELECT count(*) FROM {view}") == [(0,)]
        with scope.tenant(stranger.id):
            assert rows(f"SELECT count(*) FROM {view}") == [(0,)]
        with scope.tenant(populated.id):
            assert rows(f"SELECT DISTINCT organization_id FROM {view}") == [(populated.id,)]


#: Tables with a workspace that confined readers may see whole, and why.
NOT_CONFINED = {
    "organizations_announcement": "read by workers only, written by whoever acts",
}


def test_every_table_with_a_workspace_is_confined_to_it():
    found = {
        name
        for (name,) in rows(
            """SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'workspace_id'
               WHERE nspname = 'public' AND relkind IN ('r', 'p') AND NOT relispartition"""
        )
    }
    confined = {
        name
        for (name,) in rows(
            """SELECT relname FROM pg_policy p JOIN pg_class c ON c.oid = polrelid
               WHERE polname = 'workspace' AND NOT polpermissive AND polcmd = '*'"""
        )
    }
    assert found - set(NOT_CONFINED) <= confined


@pytest.mark.parametrize(
    "table", ["keys_mistralkey", "registry_registeredmodel", "spend_usageevent"]
)
def test_who_is_confined_to_a_workspace_sees_and_changes_nothing_of_another(table, populated):
    others = factories.workspace(populated)
    with scope.tenant(populated.id):
        all_rows = rows(f"SELECT count(*) FROM {table}")
        assert all_rows != [(0,)]
        (workspace_id,) = rows(f"SELECT workspace_id FROM {table} LIMIT 1")[0]
    for seen, expected in (([workspace_id], all_rows), ([others.pk], [(0,)]), ([], [(0,)])):
        with scope.confinement():
            scope.confine(seen)
            with scope.tenant(populated.id):
                assert rows(f"SELECT count(*) FROM {table}") == expected


def test_who_is_confined_to_a_workspace_can_put_nothing_into_another(organization, workspace):
    others = factories.workspace(organization)
    with scope.confinement():
        scope.confine([others.pk])
        with pytest.raises(ProgrammingError, match="policy"), scope.tenant(organization.id):
            factories.raw_key(organization, workspace)


def test_the_confinement_ends_with_its_request(organization):
    with scope.confinement():
        scope.confine([])
        with scope.tenant(organization.id):
            assert rows("SELECT count(*) FROM organizations_workspace") == [(0,)]
    with scope.tenant(organization.id):
        assert rows("SELECT count(*) FROM organizations_workspace") == [(1,)]


def test_a_row_cannot_point_into_another_tenant(organization, stranger):
    foreign = factories.default_workspace(stranger)
    with pytest.raises(Exception, match="tenant_fk"), scope.tenant(organization.id):
        factories.raw_key(organization, foreign)


def test_the_directory_shows_organizations_in_platform_scope_and_nothing_of_theirs(populated):
    with scope.platform():
        assert rows("SELECT id FROM organizations_organization WHERE id = %s", populated.id)
        for table in set(TABLES) - {"organizations_organization"}:
            assert rows(f"SELECT count(*) FROM {table}") == [(0,)], table


def test_the_context_ends_with_its_transaction(organization):
    with scope.tenant(organization.id):
        assert scope.current() == organization.id
    assert scope.current() is None
    assert rows("SELECT current_setting('aim.organization', true)") in ([("",)], [(None,)])


def test_scopes_do_not_nest(organization, stranger):
    with (
        scope.tenant(organization.id),
        pytest.raises(scope.ScopeError),
        scope.tenant(stranger.id),
    ):
        pass
