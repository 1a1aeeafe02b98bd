"""Data keys: one per organization and version, wrapped by the keyring, read in the tenant's scope.

KeyGoneError    the organization has no such data key (any more): its secrets are lost by design
"""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from tenants.common.models import new_id
from tenants.common.secrets import Secret
from tenants.organizations.models import DataKey
from tenants.vault import envelope
from tenants.vault.aead import OpeningError

__all__ = [
    "UNOPENED",
    "KeyGoneError",
    "OpeningError",
    "WrappedKey",
    "create",
    "newest",
    "of_version",
    "rewrap_all",
    "seal",
    "unseal",
]

_SLOT = "data-key"
UNOPENED = "?"


class KeyGoneError(OpeningError):
    """The data key was destroyed, or never was."""


@dataclass(frozen=True)
class WrappedKey:
    """A data key as it is stored: bytes that only the keyring opens, and their place."""

    organization_id: UUID
    row_id: UUID
    version: int
    wrapped: bytes

    @property
    def place(self) -> envelope.Place:
        """What the wrapped bytes are bound to."""
        return envelope.Place(self.organization_id, None, self.row_id, _SLOT, self.version)


def create(organization_id: UUID, version: int = 1) -> DataKey:
    """Make and store an organization's data key of a version, inside its scope."""
    row_id = new_id()
    place = envelope.Place(organization_id, None, row_id, _SLOT, version)
    return DataKey.objects.create(
        id=row_id,
        organization_id=organization_id,
        version=version,
        wrapped=envelope.new_data_key(place),
    )


def newest(organization_id: UUID) -> WrappedKey:
    """Return the data key that seals now, inside the organization's scope.

    Raises:
        KeyGoneError: the organization has none.
    """
    # Shared with others who seal; whoever destroys the key waits until what is sealed is committed.
    rows = DataKey.objects.raw(
        "SELECT * FROM organizations_datakey WHERE organization_id = %s"
        " ORDER BY version DESC LIMIT 1 FOR KEY SHARE",
        [organization_id],
    )
    return _wrapped(next(iter(rows), None))


def of_version(organization_id: UUID, version: int) -> WrappedKey:
    """Return the data key that sealed something earlier, inside the organization's scope.

    Raises:
        KeyGoneError: it was destroyed.
    """
    rows = DataKey.objects.filter(organization_id=organization_id, version=version)
    return _wrapped(rows.first())


def rewrap_all(organization_id: UUID) -> Counter[str]:
    """Wrap an organization's data keys by the newest master key, inside its scope.

    Safe while others read, and while another run does the same: a row is replaced only if it is
    still what was read.

    Returns:
        How many data keys each master key wraps now. A key that does not open counts under
        ``UNOPENED``: it was lost before, and stays as it is.
    """
    wrapped_by: Counter[str] = Counter()
    for row in DataKey.objects.filter(organization_id=organization_id):
        old = bytes(row.wrapped)
        try:
            new = envelope.rewrap(old, _wrapped(row).place)
        except OpeningError:
            wrapped_by[UNOPENED] += 1
            continue
        if new != old:
            DataKey.objects.filter(pk=row.pk, wrapped=old).update(wrapped=new)
        wrapped_by[envelope.master_key_of(new)] += 1
    return wrapped_by


def seal(plain: Secret[str], *, key: WrappedKey, place: envelope.Place) -> bytes:
    """Seal a secret of the organization in its place.

    Raises:
        OpeningError: the data key does not open.
    """
    return envelope.seal(plain, data_key=key.wrapped, data_key_place=key.place, place=place)


def unseal(box: bytes, *, key: WrappedKey, place: envelope.Place) -> Secret[str]:
    """Open a secret of the organization in its place.

    Raises:
        OpeningError: the box or the data key does not open; the text never says why.
    """
    return envelope.open_box(box, data_key=key.wrapped, data_key_place=key.place, place=place)


def _wrapped(row: DataKey | None) -> WrappedKey:
    if row is None:
        raise KeyGoneError
    return WrappedKey(row.organization_id, row.id, row.version, bytes(row.wrapped))
