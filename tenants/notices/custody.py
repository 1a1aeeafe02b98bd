"""The only door between a webhook secret's plaintext and its row; it logs and keeps nothing."""

import base64
import secrets
from collections.abc import Iterable
from uuid import UUID

from tenants.common.secrets import Secret
from tenants.notices.models import WebhookSecret
from tenants.organizations import data_keys
from tenants.organizations.data_keys import WrappedKey
from tenants.vault.envelope import Place

_SLOT = "webhook-secret"
_PREFIX = "whsec_"
_BYTES = 32


class UndecryptableError(Exception):
    """A stored secret that does not open: altered, misplaced, or its data or master key is gone."""

    def __init__(self) -> None:
        super().__init__("the stored secret does not open")


def make() -> Secret[str]:
    """Make a secret as Standard Webhooks writes them: ``whsec_`` and 32 random bytes in base64."""
    return Secret(_PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode())


def seal(
    plain: Secret[str], *, organization_id: UUID, secret_id: UUID, version: int
) -> tuple[bytes, int]:
    """Seal a secret, inside the organization's scope.

    Returns:
        The box, and the version of the data key that it is sealed with.

    Raises:
        UndecryptableError: the organization's data key is gone or does not open.
        KeyringUnavailableError: nobody knows, for now.
    """
    try:
        data_key = data_keys.newest(organization_id)
        place = Place(organization_id, None, secret_id, _SLOT, version)
        return data_keys.seal(plain, key=data_key, place=place), data_key.version
    except data_keys.OpeningError:
        raise UndecryptableError from None


def borrow_all(
    organization_id: UUID, rows: Iterable[WebhookSecret]
) -> dict[UUID, Secret[str] | None]:
    """Open secrets of an organization, inside its scope; None for one that does not open.

    Raises:
        KeyringUnavailableError: nobody knows, for now.
    """
    keys = {key.version: key for key in data_keys.all_of(organization_id)}
    return {row.pk: _open(row, keys.get(row.data_key_version)) for row in rows}


def _open(row: WebhookSecret, data_key: WrappedKey | None) -> Secret[str] | None:
    if data_key is None:
        return None
    place = Place(row.organization_id, None, row.pk, _SLOT, row.version)
    try:
        return data_keys.unseal(bytes(row.sealed), key=data_key, place=place)
    except data_keys.OpeningError:
        return None
