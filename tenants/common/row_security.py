"""Migration operations that put a table behind the wall, or beside it as reference data.

``TenantTable`` enables row-level security, keeps rows of one tenant together with composite foreign
keys, and grants the application's role no more than the verbs named. ``ReferenceTable`` is for data
that all tenants share, ``PlatformTable`` for rows of no tenant, seen in platform scope alone. All
are reversible. The owner of the tables is not subject to the policies: only migrations and the few
SECURITY DEFINER functions run as the owner.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState

APPLICATION_ROLE = "aim_app"
_CONTEXT = "NULLIF(current_setting('aim.organization', true), '')::uuid"
_READ_WRITE = "SELECT, INSERT, UPDATE, DELETE"


class SqlOperation(Operation):
    """Statements to run and to take back; changes no model state."""

    category = OperationCategory.SQL
    reversible = True
    reduces_to_sql = True

    def forwards(self) -> Iterable[str]:
        """Write the statements that do it; each is run before the next is asked for."""
        raise NotImplementedError

    def backwards(self) -> Iterable[str]:
        """Write the statements that undo it."""
        raise NotImplementedError

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """Leave the models as they are."""

    def database_forwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Do it."""
        for statement in self.forwards():
            schema_editor.execute(statement, params=None)

    def database_backwards(
        self,
        app_label: str,
        schema_editor: BaseDatabaseSchemaEditor,
        from_state: ProjectState,
        to_state: ProjectState,
    ) -> None:
        """Undo it."""
        for statement in self.backwards():
            schema_editor.execute(statement, params=None)


class TenantTable(SqlOperation):
    """Put a table behind row-level security.

    Args:
        table: its name; it has a column ``organization_id`` (or ``column``).
        parents: foreign-key column → parent table; the pair (organization_id, column) must exist
            there, so that no row can point into another tenant, whatever the application does.
        grants: what the application may do.
        column: the column that names the organization.
        platform_reads: the directory of organizations may be listed in platform scope.
        locatable: create ``<table>_tenant(uuid)``, which tells the organization of a row to a
            caller who may act for any (see ``scope.organization_of``); not of an erased one.
        referenced: other tables may point here with (organization_id, id), which takes an index.
    """

    def __init__(
        self,
        table: str,
        *,
        parents: Mapping[str, str] | None = None,
        grants: str = _READ_WRITE,
        column: str = "organization_id",
        platform_reads: bool = False,
        locatable: bool = False,
        referenced: bool = True,
    ) -> None:
        self.table = table
        self.parents = dict(parents or {})
        self.grants = grants
        self.column = column
        self.platform_reads = platform_reads
        self.locatable = locatable
        self.referenced = referenced and column == "organization_id"

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Describe the operation for a squashed migration."""
        arguments = {
            "parents": self.parents,
            "grants": self.grants,
            "column": self.column,
            "platform_reads": self.platform_reads,
            "locatable": self.locatable,
            "referenced": self.referenced,
        }
        return type(self).__name__, [self.table], arguments

    def forwards(self) -> list[str]:
        """Enable row-level security, tie the row to its tenant's parents, grant."""
        table, own = self.table, f"{self.column} = {_CONTEXT}"
        seen = f"({own} OR current_setting('aim.platform', true) = 'on')"
        reads = seen if self.platform_reads else own
        statements = [
            f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY tenant ON {table} USING ({reads}) WITH CHECK ({reads})",
            f"GRANT {self.grants} ON {table} TO {APPLICATION_ROLE}",
        ]
        if self.referenced:
            statements.append(
                f"CREATE UNIQUE INDEX {table}_tenant_uniq ON {table} (organization_id, id)"
            )
        if self.locatable:
            statements += [
                self._locator(),
                f"REVOKE ALL ON FUNCTION {table}_tenant(uuid) FROM PUBLIC",
                f"GRANT EXECUTE ON FUNCTION {table}_tenant(uuid) TO {APPLICATION_ROLE}",
            ]
        for column, parent in self.parents.items():
            statements.append(
                f"ALTER TABLE {table} ADD CONSTRAINT {table}_{column}_tenant_fk"
                f" FOREIGN KEY (organization_id, {column})"
                f" REFERENCES {parent} (organization_id, id) DEFERRABLE INITIALLY DEFERRED"
            )
        return statements

    def _locator(self) -> str:
        return (
            f"CREATE FUNCTION {self.table}_tenant(row_id uuid) RETURNS uuid LANGUAGE sql STABLE"  # noqa: S608 - the migration's own names
            " SECURITY DEFINER SET search_path = public, pg_temp"
            f" AS $$ SELECT t.{self.column} FROM {self.table} t"
            " JOIN organizations_organization o ON o.id = t.organization_id"
            " WHERE t.id = row_id AND o.status <> 'erased' $$"
        )

    def backwards(self) -> list[str]:
        """Take the wall down again; the table itself goes with its own operation."""
        statements = [
            f"ALTER TABLE {self.table} DROP CONSTRAINT {self.table}_{column}_tenant_fk"
            for column in self.parents
        ]
        if self.locatable:
            statements.append(f"DROP FUNCTION {self.table}_tenant(uuid)")
        if self.referenced:
            statements.append(f"DROP INDEX {self.table}_tenant_uniq")
        return [
            *statements,
            f"REVOKE ALL ON {self.table} FROM {APPLICATION_ROLE}",
            f"DROP POLICY tenant ON {self.table}",
            f"ALTER TABLE {self.table} DISABLE ROW LEVEL SECURITY",
        ]

    def describe(self) -> str:
        """Say it in the migration's log."""
        return f"Put {self.table} behind row-level security"


class WorkspaceWall(SqlOperation):
    """Hide the other workspaces' rows of a tenant table from whoever is confined to some.

    It narrows the tenant's own policy (``TenantTable``) and opens nothing. Without confinement
    (``scope.confine``) every row of the tenant is seen.

    Args:
        table: its name.
        seen: the condition under which a confined reader sees a row, with ``{workspaces}`` for the
            array of ids; the row's own ``workspace_id`` when absent.
    """

    def __init__(self, table: str, *, seen: str = "workspace_id = ANY ({workspaces})") -> None:
        self.table = table
        self.seen = seen

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Describe the operation for a squashed migration."""
        return type(self).__name__, [self.table], {"seen": self.seen}

    def forwards(self) -> list[str]:
        """Add the policy."""
        made = f"CREATE POLICY workspace ON {self.table} AS RESTRICTIVE"
        return [f"{made} USING {self._condition} WITH CHECK {self._condition}"]

    @property
    def _condition(self) -> str:
        """Say who sees a row; the sub-selects are evaluated once a query, not once a row.

        CASE, and no OR: of that PostgreSQL believes that it hides forty-nine rows of fifty, and
        reads the newest fifty by sorting thousands (ADR 1).
        """
        setting = "NULLIF(current_setting('aim.workspaces', true), '')"
        seen = self.seen.format(workspaces=f"(SELECT string_to_array({setting}, ','))::uuid[]")
        return f"(CASE WHEN (SELECT {setting}) IS NULL THEN true ELSE {seen} END)"

    def backwards(self) -> list[str]:
        """Take it down."""
        return [f"DROP POLICY workspace ON {self.table}"]

    def describe(self) -> str:
        """Say it in the migration's log."""
        return f"Confine readers of {self.table} to their workspaces"


class RewordedWorkspaceWall(WorkspaceWall):
    """Write the policy of a table that has it again, in the words of today."""

    def forwards(self) -> list[str]:
        """Change the policy in place: no moment is without it."""
        altered = f"ALTER POLICY workspace ON {self.table}"
        return [f"{altered} USING {self._condition} WITH CHECK {self._condition}"]

    def backwards(self) -> list[str]:
        """Leave it: it says the same as before."""
        return []

    def describe(self) -> str:
        """Say it in the migration's log."""
        return f"Reword the policy that confines readers of {self.table}"


class ReferenceTable(SqlOperation):
    """Let the application use a table that belongs to no tenant.

    Args:
        table: its name.
        grants: what the application may do.
    """

    def __init__(self, table: str, *, grants: str = "SELECT") -> None:
        self.table = table
        self.grants = grants

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Describe the operation for a squashed migration."""
        return type(self).__name__, [self.table], {"grants": self.grants}

    def forwards(self) -> list[str]:
        """Grant."""
        return [f"GRANT {self.grants} ON {self.table} TO {APPLICATION_ROLE}"]

    def backwards(self) -> list[str]:
        """Revoke."""
        return [f"REVOKE ALL ON {self.table} FROM {APPLICATION_ROLE}"]

    def describe(self) -> str:
        """Say it in the migration's log."""
        return f"Let the application use {self.table}"


class PlatformTable(ReferenceTable):
    """Show a table that belongs to no tenant in platform scope only.

    Args:
        table: its name.
        grants: what the application may do there.
    """

    def forwards(self) -> list[str]:
        """Enable row-level security and grant."""
        allowed = "current_setting('aim.platform', true) = 'on'"
        return [
            f"ALTER TABLE {self.table} ENABLE ROW LEVEL SECURITY",
            f"CREATE POLICY platform ON {self.table} USING ({allowed}) WITH CHECK ({allowed})",
            *super().forwards(),
        ]

    def backwards(self) -> list[str]:
        """Revoke and take the wall down."""
        return [
            *super().backwards(),
            f"DROP POLICY platform ON {self.table}",
            f"ALTER TABLE {self.table} DISABLE ROW LEVEL SECURITY",
        ]

    def describe(self) -> str:
        """Say it in the migration's log."""
        return f"Show {self.table} in platform scope only"


class DefinerFunction(SqlOperation):
    """Create a SECURITY DEFINER function that the application may call.

    Args:
        signature: name and argument types, as in ``f(uuid, text)``; names it for GRANT and DROP.
        sql: the whole CREATE FUNCTION statement, SECURITY DEFINER and search_path included.
    """

    def __init__(self, signature: str, sql: str) -> None:
        self.signature = signature
        self.sql = sql

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        """Describe the operation for a squashed migration."""
        return type(self).__name__, [self.signature, self.sql], {}

    def forwards(self) -> list[str]:
        """Create it, and let nobody but the application call it.

        Where its migration was cut off outside a transaction, it may be there already.
        """
        return [
            self.sql.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION", 1),
            f"REVOKE ALL ON FUNCTION {self.signature} FROM PUBLIC",
            f"GRANT EXECUTE ON FUNCTION {self.signature} TO {APPLICATION_ROLE}",
        ]

    def backwards(self) -> list[str]:
        """Drop it."""
        return [f"DROP FUNCTION {self.signature}"]

    def describe(self) -> str:
        """Say it in the migration's log."""
        return f"Create the definer function {self.signature}"


class WithdrawnFunction(DefinerFunction):
    """Drop a definer function; taken back, it is there again."""

    def forwards(self) -> list[str]:
        """Drop it."""
        return super().backwards()

    def backwards(self) -> list[str]:
        """Create it again."""
        return super().forwards()

    def describe(self) -> str:
        """Say it in the migration's log."""
        return f"Drop the definer function {self.signature}"
