"""The keyring wraps data keys: the first master key writes, all of them read."""

from functools import cache
from typing import Protocol

from django.conf import settings

from tenants.vault.aead import AeadKey, UnknownKeyError, key_id_of


class KeyringProvider(Protocol):
    """What a key management service must offer: two methods, bytes in, bytes out.

    Attributes:
        newest_id: names the master key that wraps now; every box it wraps names it too.
    """

    newest_id: str

    def wrap(self, plain: bytes, associated: bytes) -> bytes:
        """Seal a data key under the newest master key."""

    def unwrap(self, box: bytes, associated: bytes) -> bytes:
        """Open a data key sealed under any master key still on the ring.

        Raises:
            OpeningError: altered, misplaced, or sealed by a key that is gone.
        """


class LocalKeyring:
    """Master keys from ``ENCRYPTION_KEYRING``.

    Args:
        keys: newest first; at least one.
    """

    def __init__(self, keys: tuple[AeadKey, ...]) -> None:
        self._newest = keys[0]
        self.newest_id = keys[0].key_id
        self._by_id = {key.key_id: key for key in keys}

    def wrap(self, plain: bytes, associated: bytes) -> bytes:
        """Seal under the newest master key."""
        return self._newest.seal(plain, associated)

    def unwrap(self, box: bytes, associated: bytes) -> bytes:
        """Open with the master key that the box names."""
        key = self._by_id.get(key_id_of(box))
        if key is None:
            raise UnknownKeyError
        return key.open(box, associated)


@cache
def keyring() -> KeyringProvider:
    """Return the keyring of this process."""
    entries = settings.ENCRYPTION_KEYRING
    return LocalKeyring(tuple(AeadKey(key_id, secret.reveal()) for key_id, secret in entries))
