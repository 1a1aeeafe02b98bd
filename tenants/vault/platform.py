"""Seals short secrets that belong to no organization, as text: the keyring itself wraps them.

A sealed text is ``sealed:`` and the box in base64. It is bound to what it is for, and to nothing
else: the purpose is its associated data.
"""

import base64
import binascii

from tenants.common.secrets import Secret
from tenants.vault.aead import OpeningError, key_id_of
from tenants.vault.keyring import keyring

PREFIX = "sealed:"


def seal(plain: Secret[str], purpose: bytes) -> str:
    """Wrap a secret by the newest master key.

    Raises:
        KeyringUnavailableError: it cannot be asked now; so does everything below.
    """
    return _text(keyring().wrap(Secret(plain.reveal().encode()), purpose))


def unseal(sealed: str, purpose: bytes) -> Secret[str]:
    """Open what ``seal`` gave for the same purpose.

    Raises:
        OpeningError: anything else, or its master key is gone.
    """
    return Secret(keyring().unwrap(_box(sealed), purpose).reveal().decode())


def rewrap(sealed: str, purpose: bytes) -> str:
    """Return it wrapped by the newest master key; the same text when it is already.

    Raises:
        OpeningError: it does not open.
    """
    box = _box(sealed)
    if key_id_of(box) == keyring().newest_id:
        return sealed
    return _text(keyring().wrap(keyring().unwrap(box, purpose), purpose))


def master_key_of(sealed: str) -> str:
    """Tell which master key wraps it.

    Raises:
        OpeningError: no box of ours.
    """
    return key_id_of(_box(sealed))


def _text(box: bytes) -> str:
    return PREFIX + base64.b64encode(box).decode()


def _box(sealed: str) -> bytes:
    try:
        return base64.b64decode(sealed.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        raise OpeningError from None
