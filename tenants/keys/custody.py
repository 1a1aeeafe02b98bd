"""Custody: the only door between a Mistral key's plaintext and its row.

It seals a key into its slot, opens it for whoever is about to put it on the wire, and recognises
one by fingerprint. It logs nothing, keeps nothing, and never says why a box does not open.
"""

from uuid import UUID

from tenants.common.secrets import Secret
from tenants.keys.models import KeyReplacement, MistralKey
from tenants.keys.sealed import SealedKey
from tenants.organizations import data_keys
from tenants.vault import envelope

_SLOT = "mistral-key"


class UndecryptableError(Exception):
    """A stored key that does not open: altered, misplaced, or its data or master key is gone."""

    def __init__(self) -> None:
        super().__init__("the stored key does not open")


def seal(
    plain: Secret[str], *, organization_id: UUID, workspace_id: UUID, key_id: UUID, version: int
) -> tuple[bytes, int]:
    """Seal a secret into a version of a key's slot, inside the organization's scope.

    Returns:
        The box, and the version of the data key that it is sealed with.

    Raises:
        UndecryptableError: the organization's data key is gone or does not open.
    """
    place = _place(organization_id, workspace_id, key_id, version)
    try:
        data_key = data_keys.newest(organization_id)
        box = data_keys.seal(plain, key=data_key, place=place)
    except data_keys.OpeningError:
        raise UndecryptableError from None
    return box, data_key.version


def borrow(key: MistralKey) -> Secret[str]:
    """Open a key, inside its organization's scope: drop the plaintext as soon as it was sent.

    Raises:
        UndecryptableError: the box does not open, or was shredded.
    """
    return _open(key, key)


def borrow_waiting(key: MistralKey, waiting: KeyReplacement) -> Secret[str]:
    """Open the secret that waits to replace a key's, inside the organization's scope.

    Raises:
        UndecryptableError: the box does not open.
    """
    return _open(key, waiting)


def _open(key: MistralKey, holder: MistralKey | KeyReplacement) -> Secret[str]:
    try:
        return _open_as_read(key, holder)
    except UndecryptableError:
        # Since it was read it may have been sealed anew, and its old data key destroyed.
        rows = MistralKey.objects if isinstance(holder, MistralKey) else KeyReplacement.objects
        fresh = rows.filter(pk=holder.pk).first()
        if fresh is None or fresh.data_key_version == holder.data_key_version:
            raise
    return _open_as_read(key, fresh)


def _open_as_read(key: MistralKey, holder: MistralKey | KeyReplacement) -> Secret[str]:
    if holder.sealed is None:
        raise UndecryptableError
    try:
        data_key = data_keys.of_version(key.organization_id, holder.data_key_version)
    except data_keys.KeyGoneError:
        raise UndecryptableError from None
    return open_sealed(
        SealedKey(
            key.organization_id,
            key.workspace_id,
            key.id,
            holder.secret_version,
            bytes(holder.sealed),
            data_key,
        )
    )


def open_sealed(sealed: SealedKey) -> Secret[str]:
    """Open a key from plain data, without a query and outside of any scope.

    Raises:
        UndecryptableError: the box does not open.
    """
    if sealed.data_key is None:
        raise UndecryptableError
    place = _place(
        sealed.organization_id, sealed.workspace_id, sealed.key_id, sealed.secret_version
    )
    try:
        return data_keys.unseal(sealed.box, key=sealed.data_key, place=place)
    except data_keys.OpeningError:
        raise UndecryptableError from None


def fingerprint(plain: Secret[str]) -> bytes:
    """Make the 32 bytes by which the same key is recognised; they reveal nothing of it."""
    return envelope.fingerprint(plain)


def _place(organization_id: UUID, workspace_id: UUID, key_id: UUID, version: int) -> envelope.Place:
    return envelope.Place(organization_id, workspace_id, key_id, _SLOT, version)
