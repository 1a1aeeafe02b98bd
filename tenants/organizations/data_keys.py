"""Data keys: one per organization and version, wrapped by the keyring, read in the tenant's scope.

KeyGoneError    the organization has no such data key (any more): its secrets are lost by design
"""

from collections import Counter
from dataclasses import dataclass
from uuid import UUID

from tenants.common import scope
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
    "all_of",
    "make",
    "newest",
    "of_version",
    "opens",
    "rewrap_all",
    "seal",
    "store",
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


def make(organization_id: UUID, version: int = 1) -> WrappedKey:
    """Make an organization's data key of a version, outside of any transaction; ``store`` it then.

    Raises:
        KeyringUnavailableError: the master key cannot be asked now.
    """
    place = envelope.Place(organization_id, None, new_id(), _SLOT, version)
    wrapped = envelope.new_data_key(place)
    return WrappedKey(organization_id, place.row, version, wrapped)


def store(key: WrappedKey) -> DataKey:
    """Store a data key that was just made, inside its organization's scope."""
    return DataKey.objects.create(
        id=key.row_id,
        organization_id=key.organization_id,
        version=key.version,
        wrapped=key.wrapped,
    )


def newest(organization_id: UUID) -> WrappedKey:
    """Return the data key that seals now, inside the organization's scope.

    Raises:
        KeyGoneError: the organization has none.
    """
    # Shared with others who seal; whoever destroys the key waits until what is sealed is committed.
    # Nobody is there the first time if it was replaced and destroyed while we waited for it.
    for _attempt in range(2):
        rows = DataKey.objects.raw(
            "SELECT * FROM organizations_datakey WHERE organization_id = %s"
            " ORDER BY version DESC LIMIT 1 FOR KEY SHARE",
            [organization_id],
        )
        if found := next(iter(rows), None):
            return _wrapped(found)
    raise KeyGoneError


def of_version(organization_id: UUID, version: int) -> WrappedKey:
    """Return the data key that sealed something earlier, inside the organization's scope.

    Raises:
        KeyGoneError: it was destroyed.
    """
    rows = DataKey.objects.filter(organization_id=organization_id, version=version)
    return _wrapped(rows.first())


def all_of(organization_id: UUID) -> list[WrappedKey]:
    """Return an organization's data keys, oldest first, inside its scope."""
    rows = DataKey.objects.filter(organization_id=organization_id).order_by("version")
    return [_wrapped(row) for row in rows]


def opens(key: WrappedKey) -> bool:
    """Tell whether the keyring can open a data key.

    Raises:
        KeyringUnavailableError: nobody knows, for now.
    """
    try:
        envelope.check(key.wrapped, key.place)
    except OpeningError:
        return False
    return True


def rewrap_all(organization_id: UUID) -> Counter[str]:
    """Wrap an organization's data keys by the newest master key; outside of any transaction.

    Safe while others read, and while another run does the same: a row is replaced only if it is
    still what was read, and is counted as what it is.

    Returns:
        How many data keys each master key wraps now. A key that does not open counts under
        ``UNOPENED``: it was lost before, and stays as it is.

    Raises:
        KeyringUnavailableError: a master key cannot be asked now; the rest stays as it was.
    """
    with scope.tenant(organization_id):
        keys = all_of(organization_id)
    wrapped_by: Counter[str] = Counter()
    fresh: list[tuple[WrappedKey, bytes]] = []
    for key in keys:
        try:
            new = envelope.rewrap(key.wrapped, key.place)
        except OpeningError:
            wrapped_by[UNOPENED] += 1
            continue
        if new == key.wrapped:
            wrapped_by[envelope.master_key_of(new)] += 1
        else:
            fresh.append((key, new))
    if fresh:
        with scope.tenant(organization_id):
            for key, new in fresh:
                wrapped_by += _replace(key, new)
    return wrapped_by


def _replace(key: WrappedKey, new: bytes) -> Counter[str]:
    row = DataKey.objects.filter(pk=key.row_id)
    if row.filter(wrapped=key.wrapped).update(wrapped=new):
        return Counter([envelope.master_key_of(new)])
    # Another run was faster, or the organization was erased.
    return Counter(envelope.master_key_of(bytes(one.wrapped)) for one in row)


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
