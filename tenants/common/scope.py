"""Whose rows a transaction may see: the only place that sets PostgreSQL's tenant context.

Row-level security compares each row's ``organization_id`` with the setting ``aim.organization``.
The setting is local to a transaction: no context, no rows, and nothing to forget to reset. There is
no way to see two tenants at once; platform-wide work walks organizations one at a time.

Inside an organization there is a second, inner wall: a request of somebody who sees some workspaces
only is *confined* to them, and ``WorkspaceWall`` hides all others whatever is asked.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import Model

_current: ContextVar[UUID | None] = ContextVar("organization", default=None)


_confined: ContextVar[str] = ContextVar("workspaces", default="")
#: Confined to no workspace at all: an id that none has.
_NONE = UUID(int=0)


class ScopeError(RuntimeError):
    """A programming error: a transaction where none may be, or one tenant inside another."""


@contextmanager
def tenant(organization_id: UUID, *, snapshot: bool = False) -> Iterator[None]:
    """Open one durable transaction that sees the rows of one organization.

    Args:
        organization_id: whose rows.
        snapshot: read only, and every query sees the same instant: for sums that must agree.

    Raises:
        ScopeError: another scope is open already; scopes do not nest.
    """
    assert_no_transaction()
    token = _current.set(organization_id)
    named = structlog.contextvars.bound_contextvars(organization_id=str(organization_id))
    try:
        with named, transaction.atomic(durable=True):
            if snapshot:
                _read_one_instant()
            _set("aim.organization", str(organization_id))
            if workspaces := _confined.get():
                _set("aim.workspaces", workspaces)
            yield
    finally:
        _current.reset(token)


@contextmanager
def platform() -> Iterator[None]:
    """Open one durable transaction that sees the directory of organizations and no tenant rows.

    Raises:
        ScopeError: another scope is open already; scopes do not nest.
    """
    assert_no_transaction()
    with transaction.atomic(durable=True):
        _set("aim.platform", "on")
        yield


@contextmanager
def confinement() -> Iterator[None]:
    """Let ``confine`` hold until here: around one request."""
    token = _confined.set("")
    try:
        yield
    finally:
        _confined.reset(token)


def confine(workspaces: Collection[UUID]) -> None:
    """Have every scope that is opened from now on show these workspaces only."""
    _confined.set(",".join(map(str, workspaces or [_NONE])))


def organization_of(model: type[Model], row_id: UUID) -> UUID | None:
    """Find whose row this is, for a caller who may act for any organization; None if nobody's.

    Needs no context: it calls the definer function that ``TenantTable(locatable=True)`` made.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {model._meta.db_table}_tenant(%s)", [row_id])
        found: UUID | None = cursor.fetchone()[0]
    return found


def current() -> UUID | None:
    """Return the organization of the open scope, or None outside of one."""
    return _current.get()


def assert_no_transaction() -> None:
    """Refuse to go on while a database transaction is open: HTTP and scopes both wait outside.

    Raises:
        ScopeError: a transaction is open on this thread's connection.
    """
    if connection.in_atomic_block:
        raise ScopeError("a database transaction is open here")


def _read_one_instant() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")


def _set(name: str, value: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config(%s, %s, true)", [name, value])
