"""Master keys: whoever can wrap and unwrap a data key, in two methods, wherever the key lies."""

from typing import Protocol

from tenants.common.secrets import Secret
from tenants.vault.aead import AeadKey, decrypt, encrypt


class MasterKey(Protocol):
    """What a key service must offer: authenticated encryption of 32 bytes (as Tink's AEAD)."""

    def wrap(self, plain: Secret[bytes], associated: bytes) -> bytes:
        """Seal a data key, bound to its associated data.

        Raises:
            KeyringUnavailableError: the master key cannot be asked now.
        """

    def unwrap(self, wrapped: bytes, associated: bytes) -> Secret[bytes]:
        """Open what ``wrap`` gave, with the same associated data.

        Raises:
            OpeningError: anything else.
            KeyringUnavailableError: the master key cannot be asked now.
        """


class LocalKey:
    """A master key in this process's memory, from ``ENCRYPTION_KEYRING``."""

    def __init__(self, key: AeadKey) -> None:
        self._key = key

    def wrap(self, plain: Secret[bytes], associated: bytes) -> bytes:
        """Seal with AES-256-GCM."""
        return encrypt(self._key.octets, plain.reveal(), associated)

    def unwrap(self, wrapped: bytes, associated: bytes) -> Secret[bytes]:
        """Open with AES-256-GCM."""
        return Secret(decrypt(self._key.octets, wrapped, associated))
