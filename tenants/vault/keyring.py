"""The keyring wraps data keys: the first master key wraps, all of them unwrap.

A wrapped box is a header that names its master key (the same as of any box, see ``aead``), and what
that master key made of the data key. The header is associated data, so a box opens with the very
master key it names or not at all, and one ring may hold keys of several kinds: that is how one
rotates from the environment to a key service, and back.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module

from django.conf import settings

from tenants.common.secrets import Secret
from tenants.vault.aead import AeadKey, UnknownKeyError, header_of, key_id_of
from tenants.vault.distant import Distant
from tenants.vault.keys import LocalKey, MasterKey

_VAULT, _KMS = "vault:", "kms:"


class Keyring:
    """Master keys by name.

    Args:
        keys: newest first; at least one.

    Attributes:
        newest_id: names the master key that wraps now.
    """

    def __init__(self, keys: Mapping[str, MasterKey]) -> None:
        self._keys = dict(keys)
        self.newest_id = next(iter(self._keys))

    @property
    def ids(self) -> tuple[str, ...]:
        """The names of its master keys, newest first."""
        return tuple(self._keys)

    def wrap(self, plain: Secret[bytes], associated: bytes) -> bytes:
        """Seal under the newest master key.

        Raises:
            KeyringUnavailableError: it cannot be asked now.
        """
        header = header_of(self.newest_id)
        return header + self._keys[self.newest_id].wrap(plain, header + associated)

    def unwrap(self, box: bytes, associated: bytes) -> Secret[bytes]:
        """Open with the master key that the box names.

        Raises:
            OpeningError: altered, misplaced, or no box of ours.
            UnknownKeyError: the ring has no master key of that name.
            KeyringUnavailableError: it cannot be asked now.
        """
        key_id = key_id_of(box)
        key = self._keys.get(key_id)
        if key is None:
            raise UnknownKeyError
        header = header_of(key_id)
        return key.unwrap(box[len(header) :], header + associated)


@cache
def keyring() -> Keyring:
    """Return the keyring of this process."""
    return Keyring({key_id: _key(key_id, entry) for key_id, entry in settings.ENCRYPTION_KEYRING})


def _key(key_id: str, entry: Secret[bytes] | str) -> MasterKey:
    """Make a master key of its entry, which ``env.py`` has read and checked."""
    if isinstance(entry, Secret):
        return LocalKey(AeadKey(key_id, entry.reveal()))
    # Imported by name: the clients of key services are loaded only by who uses one.
    if entry.startswith(_VAULT):
        transit = import_module("tenants.vault.transit")
        return Distant(transit.from_settings(entry.removeprefix(_VAULT)), key_id)
    kms = import_module("tenants.vault.kms")
    return Distant(kms.KmsKey(entry.removeprefix(_KMS)), key_id)
