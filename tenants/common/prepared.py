"""Queries that are asked again and again: compiled once in a process, planned once a connection.

Django compiles a query anew each time, and PostgreSQL plans it anew; of one that joins eight tables
and asks for a row, that is nearly the whole cost. What is asked stays an ordinary queryset.
"""

import threading
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any
from uuid import UUID

import psycopg
from django.db import DEFAULT_DB_ALIAS, connection
from django.db.models import Model, QuerySet

type _Row = tuple[Any, ...]
type _Value = UUID | str | bytes | date


class Prepared:
    """One query with values that differ; asked inside the scope whose rows it is to see.

    Args:
        build: makes the queryset, whose rows are tuples (``values_list``); it is called once, with
            stand-ins for the values.
        kinds: what the values are: ``UUID``, ``str``, ``bytes`` or ``date``.
    """

    def __init__(self, build: Callable[..., QuerySet[Any, Any]], *kinds: type[_Value]) -> None:
        self._build = build
        self._kinds = kinds
        self._lock = threading.Lock()
        self._compiled: _Compiled | None = None

    def ask(self, *values: _Value) -> list[_Row]:
        """Ask with these values."""
        compiled = self._compiled
        if compiled is None:
            with self._lock:
                compiled = self._compiled = self._compiled or _Compiled(self._build, self._kinds)
        return compiled.ask(values)

    def find[M: Model](self, model: type[M], *values: _Value) -> list[M]:
        """Ask for whole rows of a model: of a query that ends in a bare ``values_list()``."""
        names = [column.attname for column in model._meta.concrete_fields]
        return [model.from_db(DEFAULT_DB_ALIAS, names, row) for row in self.ask(*values)]


class _Compiled:
    """The statement, which value each of its parameters is, and how Django reads its columns."""

    def __init__(
        self, build: Callable[..., QuerySet[Any, Any]], kinds: Sequence[type[_Value]]
    ) -> None:
        stand_ins = [_stand_in(kind, place) for place, kind in enumerate(kinds)]
        self._compiler = build(*stand_ins).query.get_compiler(DEFAULT_DB_ALIAS)
        self._statement, parameters = self._compiler.as_sql()
        # bytes are wrapped for the driver
        plain = [getattr(one, "obj", one) for one in parameters]
        self._parameters = [
            (stand_ins.index(one), None) if one in stand_ins else (None, one) for one in plain
        ]
        if {place for place, _ in self._parameters} - {None} != set(range(len(kinds))):
            raise ValueError("each value has to be in the query")
        columns = [column for column, _, _ in self._compiler.select]
        self._converters = self._compiler.get_converters(columns)

    def ask(self, values: Sequence[_Value]) -> list[_Row]:
        given = [fixed if place is None else values[place] for place, fixed in self._parameters]
        connection.ensure_connection()
        with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
            cursor.execute(self._statement, given, prepare=True)
            rows = cursor.fetchall()
        if self._converters:
            rows = [tuple(row) for row in self._compiler.apply_converters(rows, self._converters)]
        return rows


def _stand_in(kind: type[_Value], place: int) -> _Value:
    if kind is UUID:
        return UUID(int=place + 1)
    if kind is date:
        return date(1, 1, place + 1)
    return f"value {place}" if kind is str else b"value %d" % place
