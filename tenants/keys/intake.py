"""Sealed intake: a secret that its sender encrypted for one purpose in one place, once.

An envelope opens only for the purpose and the place it was sealed for, and is taken once: a copy of
it out of somebody's log registers nothing. docs/intake.md describes it byte for byte.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db.models.functions import Now
from django.utils.translation import gettext as _

from tenants.common.problems import Conflict, Invalid
from tenants.common.secrets import Secret
from tenants.keys.models import SpentEnvelope
from tenants.organizations import intake_keys
from tenants.organizations.intake_keys import Envelope

POINTER = "/sealed_key"
#: How many bytes each member of an envelope has.
OCTETS: Mapping[str, range] = {
    "ephemeral_public_key": range(intake_keys.POINT_BYTES, intake_keys.POINT_BYTES + 1),
    "nonce": range(12, 13),
    "ciphertext": range(17, intake_keys.MAX_CIPHERTEXT + 1),
}
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


class Purpose(StrEnum):
    """What an envelope is for, and by which ids its place is named."""

    REGISTER = "register-key"  # the workspace
    REPLACE = "replace-key-secret"  # the workspace, the key
    ADMIN_KEY = "set-admin-key"  # the organization
    AISURU_LOGIN = "set-aisuru-login"  # the organization


@dataclass(frozen=True, slots=True)
class Opened:
    """What was in an envelope.

    Attributes:
        plain: the secret as it was pasted.
        envelope: names the envelope for ``spend``; tells nothing of its contents.
    """

    plain: Secret[str]
    envelope: bytes


def associated_data(purpose: Purpose, intake_key_id: UUID, *place: UUID) -> bytes:
    """Write what an envelope is bound to: version, purpose and ids, joined by line feeds."""
    ids = map(str, [intake_key_id, *place])
    return "\n".join([intake_keys.VERSION, purpose, *ids]).encode("ascii")


def read_octets(text: object, lengths: range) -> bytes:
    """Read base64url without padding (RFC 4648 §5) of as many bytes as are allowed.

    Raises:
        ValueError: it is not that.
    """
    if not isinstance(text, str) or len(text) > 2 * lengths[-1]:
        raise ValueError("no text, or too long")
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if not _BASE64URL.fullmatch(text) or len(octets) not in lengths:
        raise ValueError("padded, or of another length")
    return octets


def read_envelope(members: Mapping[str, object]) -> Envelope:
    """Read an envelope from its members as docs/intake.md names them.

    Raises:
        ValueError: one of them is missing or malformed.
    """
    octets = {name: read_octets(members.get(name), lengths) for name, lengths in OCTETS.items()}
    return Envelope(
        key_id=UUID(str(members.get("intake_key_id"))),
        ephemeral=octets["ephemeral_public_key"],
        nonce=octets["nonce"],
        ciphertext=octets["ciphertext"],
    )


def open_envelope(envelope: Envelope, purpose: Purpose, *place: UUID) -> Opened:
    """Open an envelope in the place it is used; outside of any scope.

    Args:
        envelope: what came in.
        purpose: what it has to be sealed for.
        place: the ids that the purpose wants, in its order.

    Raises:
        Invalid: ``intake_key_expired``: seal anew; ``sealed_key_not_opened``: altered, or sealed
            for another purpose or place.
    """
    associated = associated_data(purpose, envelope.key_id, *place)
    try:
        plain = intake_keys.unseal(envelope, associated)
    except intake_keys.IntakeKeyGoneError:
        detail = _("The intake key of this envelope is over. Fetch the present one and seal anew.")
        raise Invalid.field(POINTER, "intake_key_expired", detail) from None
    except intake_keys.OpeningError:
        detail = _("The envelope does not open here. Seal it for exactly this purpose and place.")
        raise Invalid.field(POINTER, "sealed_key_not_opened", detail) from None
    return Opened(plain, hashlib.sha256(envelope.ephemeral).digest())


def spend(organization_id: UUID, envelope: bytes | None) -> None:
    """Take an envelope in the open transaction of what it is for; it is never taken again.

    None is what came without one.

    Who comes second waits for the first to commit or fail. What is older than any intake key is
    forgotten on the way.

    Raises:
        Conflict: ``sealed_key_replayed``.
    """
    if envelope is None:
        return
    SpentEnvelope.objects.filter(created_at__lt=Now() - intake_keys.ACCEPTED).delete()
    row = SpentEnvelope(organization_id=organization_id, digest=envelope)
    SpentEnvelope.objects.bulk_create([row], ignore_conflicts=True)
    if not SpentEnvelope.objects.filter(pk=row.pk).exists():
        detail = _("This envelope was used before. Seal the key anew.")
        raise Conflict("sealed_key_replayed", detail)
