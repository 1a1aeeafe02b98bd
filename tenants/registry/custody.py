"""The only door between AIsuru's login token and its row; it logs and keeps nothing."""

from uuid import UUID

from tenants.common.secrets import Secret
from tenants.organizations import data_keys
from tenants.registry.models import AisuruConnection
from tenants.vault.envelope import Place

_SLOT = "aisuru-login"


class UndecryptableError(Exception):
    """A stored secret that does not open: altered, misplaced, or its data or master key is gone."""

    def __init__(self) -> None:
        super().__init__("the stored secret does not open")


def seal(
    plain: Secret[str], *, organization_id: UUID, connection_id: UUID, version: int
) -> tuple[bytes, int]:
    """Seal a login token as a version of a connection, inside the organization's scope.

    Returns:
        The box, and the version of the data key that it is sealed with.

    Raises:
        UndecryptableError: the organization's data key is gone or does not open.
    """
    try:
        data_key = data_keys.newest(organization_id)
        place = _place(organization_id, connection_id, version)
        return data_keys.seal(plain, key=data_key, place=place), data_key.version
    except data_keys.OpeningError:
        raise UndecryptableError from None


def borrow(connection: AisuruConnection) -> Secret[str]:
    """Open the login token of a connection, inside its organization's scope.

    Raises:
        UndecryptableError: the box does not open.
    """
    try:
        data_key = data_keys.of_version(connection.organization_id, connection.data_key_version)
        place = _place(connection.organization_id, connection.pk, connection.secret_version)
        return data_keys.unseal(bytes(connection.sealed), key=data_key, place=place)
    except data_keys.OpeningError:
        raise UndecryptableError from None


def _place(organization_id: UUID, connection_id: UUID, version: int) -> Place:
    return Place(organization_id, None, connection_id, _SLOT, version)
