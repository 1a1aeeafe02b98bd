"""The only door between a login secret of an organization and its row; it logs and keeps nothing.

Mistral keys have a custody of their own (``keys.custody``): theirs are bound to a workspace too.
"""

from enum import StrEnum
from typing import Protocol
from uuid import UUID

from tenants.common.secrets import Secret
from tenants.organizations import data_keys
from tenants.vault.envelope import Place


class Slot(StrEnum):
    """What a secret is for; a box opens in its own slot only."""

    ADMIN_KEY = "admin-key"
    AISURU_LOGIN = "aisuru-login"


class SealedRow(Protocol):
    """A row that keeps a sealed secret."""

    organization_id: UUID
    pk: UUID
    sealed: bytes | memoryview
    secret_version: int
    data_key_version: int


class UndecryptableError(Exception):
    """A stored secret that does not open: altered, misplaced, or its data or master key is gone."""

    def __init__(self) -> None:
        super().__init__("the stored secret does not open")


def seal(
    plain: Secret[str], *, slot: Slot, organization_id: UUID, row_id: UUID, version: int
) -> tuple[bytes, int]:
    """Seal a secret as a version of a row, inside the organization's scope.

    Returns:
        The box, and the version of the data key that it is sealed with.

    Raises:
        UndecryptableError: the organization's data key is gone or does not open.
    """
    try:
        data_key = data_keys.newest(organization_id)
        place = Place(organization_id, None, row_id, slot, version)
        return data_keys.seal(plain, key=data_key, place=place), data_key.version
    except data_keys.OpeningError:
        raise UndecryptableError from None


def borrow(row: SealedRow, slot: Slot) -> Secret[str]:
    """Open the secret of a row, inside its organization's scope.

    Raises:
        UndecryptableError: the box does not open.
    """
    try:
        data_key = data_keys.of_version(row.organization_id, row.data_key_version)
        place = Place(row.organization_id, None, row.pk, slot, row.secret_version)
        return data_keys.unseal(bytes(row.sealed), key=data_key, place=place)
    except data_keys.OpeningError:
        raise UndecryptableError from None
