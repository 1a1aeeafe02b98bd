"""Sums a month in several ways at once: one reading of its lines, one snapshot, whatever is shown.

PostgreSQL's GROUPING SETS, which Django's queries cannot say.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import connection

from tenants.common.months import Month

#: What lines can be cut by.
COLUMNS = frozenset({"category", "day", "model_id", "mistral_model", "workspace_id", "key_id"})


def cut(
    *,
    organization_id: UUID,
    month: Month,
    conditions: Mapping[str, UUID],
    sums: Mapping[str, str],
    cuts: Sequence[Sequence[str]],
) -> list[list[Mapping[str, Any]]]:
    """Sum a month's lines by each of ``cuts``, inside the organization's scope.

    Args:
        organization_id: whose.
        month: which.
        conditions: further columns, and what they must be.
        sums: SQL sums by the name that rows have them under.
        cuts: columns to sum by, several times.

    Returns:
        For each cut its rows, without order.

    Raises:
        ValueError: a column that lines are not cut by.
    """
    columns = list(dict.fromkeys(name for one in cuts for name in one))
    if unknown := ({*columns, *conditions} - COLUMNS):
        raise ValueError(f"no such columns: {', '.join(sorted(unknown))}")
    # Only our own words are written into the statement; values are its parameters.
    place = "grouping(" + ", ".join(columns) + ")"
    chosen = [*columns, f"{place} AS place", *(f"{text} AS {name}" for name, text in sums.items())]
    where = ["organization_id = %s", "period = %s", *(f"{name} = %s" for name in conditions)]
    sets = ", ".join("(" + ", ".join(one) + ")" for one in cuts)
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT {', '.join(chosen)} FROM spend_line WHERE {' AND '.join(where)}"  # noqa: S608
            f" GROUP BY GROUPING SETS ({sets})",
            [organization_id, month.first_day, *conditions.values()],
        )
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    by_place = {_place(one, columns): number for number, one in enumerate(cuts)}
    found: list[list[Mapping[str, Any]]] = [[] for _ in cuts]
    for row in rows:
        found[by_place[row["place"]]].append(row)
    return found


def _place(one: Sequence[str], columns: Sequence[str]) -> int:
    """Compute what PostgreSQL's ``grouping`` says of a cut: a bit for each column not in it."""
    bits = "".join("0" if name in one else "1" for name in columns)
    return int(bits, 2)
