"""Opens what a client sealed to one of our public keys; docs/intake.md gives the bytes.

ECDH on P-256, HKDF-SHA-256 (RFC 5869), AES-256-GCM: what WebCrypto has in every browser. The
private key is wrapped by the keyring and bound to its id. It refuses points that are not on the
curve, and never says why an envelope does not open.
"""

from dataclasses import dataclass
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tenants.common.secrets import Secret
from tenants.vault.aead import KEY_BYTES, NONCE_BYTES, TAG_BYTES, OpeningError, key_id_of
from tenants.vault.keyring import keyring

VERSION = "aim-intake-1"
ALGORITHM = "ECDH-P256+HKDF-SHA256+A256GCM"
POINT_BYTES = 65
MAX_CIPHERTEXT = 1024 + TAG_BYTES
_CURVE = ec.SECP256R1()
_SCALAR_BYTES = 32


@dataclass(frozen=True, slots=True)
class Envelope:
    """A secret on its way in.

    Attributes:
        key_id: names the public key that it is sealed to.
        ephemeral: the sender's public key, made for this envelope alone: an uncompressed point.
        nonce: of the cipher.
        ciphertext: with the tag at its end.
    """

    key_id: UUID
    ephemeral: bytes
    nonce: bytes
    ciphertext: bytes


def new_key_pair(key_id: UUID) -> tuple[bytes, bytes]:
    """Make a key pair: the public point, and the private scalar wrapped by the keyring."""
    private = ec.generate_private_key(_CURVE)
    scalar = Secret(private.private_numbers().private_value.to_bytes(_SCALAR_BYTES))
    return _point(private.public_key()), keyring().wrap(scalar, _bound_to(key_id))


def rewrap(wrapped: bytes, key_id: UUID) -> bytes:
    """Return a private key wrapped by the newest master key; the same bytes when it is already.

    Raises:
        OpeningError: it does not open, or its master key is gone.
    """
    if key_id_of(wrapped) == keyring().newest_id:
        return wrapped
    return keyring().wrap(keyring().unwrap(wrapped, _bound_to(key_id)), _bound_to(key_id))


def open_envelope(envelope: Envelope, *, wrapped: bytes, associated: bytes) -> Secret[str]:
    """Open an envelope that was sealed to this key with the same associated data.

    Args:
        envelope: as it came in.
        wrapped: the private key that it names.
        associated: what the envelope is for, as docs/intake.md writes it.

    Raises:
        OpeningError: anything else, or what is in it is no UTF-8 text.
    """
    scalar = keyring().unwrap(wrapped, _bound_to(envelope.key_id))
    private = ec.derive_private_key(int.from_bytes(scalar.reveal()), _CURVE)
    if len(envelope.ephemeral) != POINT_BYTES or len(envelope.nonce) != NONCE_BYTES:
        raise OpeningError
    try:
        sender = ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, envelope.ephemeral)
        shared = private.exchange(ec.ECDH(), sender)
        salt = envelope.ephemeral + _point(private.public_key())
        derivation = HKDF(SHA256(), length=KEY_BYTES, salt=salt, info=VERSION.encode())
        cipher = AESGCM(derivation.derive(shared))
        return Secret(cipher.decrypt(envelope.nonce, envelope.ciphertext, associated).decode())
    except (InvalidTag, ValueError):  # no point of the curve, or no UTF-8
        raise OpeningError from None


def _point(public: ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _bound_to(key_id: UUID) -> bytes:
    return b"aim/intake-key/1/" + key_id.bytes
