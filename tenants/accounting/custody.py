"""The only door between an Admin API key's plaintext and its row; it logs and keeps nothing."""

from uuid import UUID

from tenants.accounting.models import AdminKey
from tenants.common.secrets import Secret
from tenants.organizations import data_keys
from tenants.vault.envelope import Place

_SLOT = "admin-key"


class UndecryptableError(Exception):
    """A stored secret that does not open: altered, misplaced, or its data or master key is gone."""

    def __init__(self) -> None:
        super().__init__("the stored secret does not open")


def seal(
    plain: Secret[str], *, organization_id: UUID, key_id: UUID, version: int
) -> tuple[bytes, int]:
    """Seal a secret as a version of an Admin API key, inside the organization's scope.

    Returns:
        The box, and the version of the data key that it is sealed with.

    Raises:
        UndecryptableError: the organization's data key is gone or does not open.
    """
    try:
        data_key = data_keys.newest(organization_id)
        place = _place(organization_id, key_id, version)
        return data_keys.seal(plain, key=data_key, place=place), data_key.version
    except data_keys.OpeningError:
        raise UndecryptableError from None


def borrow(key: AdminKey) -> Secret[str]:
    """Open an Admin API key, inside its organization's scope.

    Raises:
        UndecryptableError: the box does not open.
    """
    try:
        data_key = data_keys.of_version(key.organization_id, key.data_key_version)
        place = _place(key.organization_id, key.pk, key.secret_version)
        return data_keys.unseal(bytes(key.sealed), key=data_key, place=place)
    except data_keys.OpeningError:
        raise UndecryptableError from None


def _place(organization_id: UUID, key_id: UUID, version: int) -> Place:
    return Place(organization_id, None, key_id, _SLOT, version)
