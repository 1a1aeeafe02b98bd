"""Everything sealed with an organization's data keys, whichever room's table it lies in.

The register of sealed columns tells where, and how each box is bound. Boxes are read a page at a
time in the organization's scope; they are opened outside of it, because a key service may have to
be asked.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db.models import Model, QuerySet

from tenants.common import scope
from tenants.common.secrets import Secret
from tenants.organizations import data_keys
from tenants.organizations.data_keys import OpeningError, WrappedKey
from tenants.organizations.sealed_columns import BY_DATA_KEY, Sealed
from tenants.vault.envelope import Place

_PAGE = 200


@dataclass(frozen=True, slots=True)
class Box:
    """One sealed value as it was read.

    Attributes:
        column: ``app.Model.column``.
        pk: of its row.
        key_version: of the data key that sealed it.
        facts: the fields of the row that its place is made of.
    """

    column: str
    pk: UUID
    sealed: bytes
    key_version: int
    facts: dict[str, Any]

    def open(self, key: WrappedKey) -> Secret[str]:
        """Open it with the data key that sealed it.

        Raises:
            OpeningError: it does not open.
            KeyringUnavailableError: nobody knows, for now.
        """
        return self._opened(key)[0]

    def seal_anew(self, old: WrappedKey, new: WrappedKey) -> bytes:
        """Open it, and seal it with another data key.

        Raises:
            OpeningError: it does not open.
            KeyringUnavailableError: nobody knows, for now.
        """
        plain, slot = self._opened(old)
        return data_keys.seal(plain, key=new, place=self._place(new, slot))

    def _opened(self, key: WrappedKey) -> tuple[Secret[str], str]:
        *others, last = BY_DATA_KEY[self.column].slots
        for slot in others:
            try:
                return data_keys.unseal(self.sealed, key=key, place=self._place(key, slot)), slot
            except OpeningError:
                continue
        return data_keys.unseal(self.sealed, key=key, place=self._place(key, last)), last

    def _place(self, key: WrappedKey, slot: str) -> Place:
        """Where it belongs when a data key seals it."""
        bound = BY_DATA_KEY[self.column]
        facts = self.facts | {"data_key_version": key.version}
        workspace = facts[bound.workspace] if bound.workspace else None
        row, version = facts[bound.row], facts[bound.version]
        return Place(key.organization_id, workspace, row, slot, version)

    def replace(self, sealed: bytes, key: WrappedKey) -> bool:
        """Put what was sealed anew in its place, if the row is as it was; inside the scope."""
        name = self.column.rpartition(".")[2]
        untouched = _rows(self.column).filter(
            pk=self.pk, data_key_version=self.key_version, **{name: self.sealed}
        )
        return bool(untouched.update(data_key_version=key.version, **{name: sealed}))


def pages(organization_id: UUID, column: str, *, below: int | None = None) -> Iterator[list[Box]]:
    """Read the boxes of a column, page by page; outside of any scope.

    Args:
        organization_id: whose.
        column: ``app.Model.column`` of the register.
        below: only those that a data key of a lesser version sealed.
    """
    bound, name = BY_DATA_KEY[column], column.rpartition(".")[2]
    last: UUID | None = None
    while True:
        with scope.tenant(organization_id):
            rows = _rows(column).filter(**{f"{name}__isnull": False})
            if below is not None:
                rows = rows.filter(data_key_version__lt=below)
            if last is not None:
                rows = rows.filter(pk__gt=last)
            found = list(
                rows.order_by("pk").values("pk", name, "data_key_version", *_facts(bound))[:_PAGE]
            )
        if found:
            yield [
                Box(column, row["pk"], bytes(row[name]), row["data_key_version"], row)
                for row in found
            ]
        if len(found) < _PAGE:
            return
        last = found[-1]["pk"]


def uses(version: int) -> bool:
    """Tell whether anything is sealed with a data key of this version, inside the scope."""
    return any(
        _rows(column)
        .filter(data_key_version=version, **{f"{column.rpartition('.')[2]}__isnull": False})
        .exists()
        for column in BY_DATA_KEY
    )


def _facts(bound: Sealed) -> set[str]:
    named = {bound.row, bound.version, *([bound.workspace] if bound.workspace else [])}
    return named - {"data_key_version"}


def _rows(column: str) -> QuerySet[Model]:
    return QuerySet(apps.get_model(column.rpartition(".")[0]))
