"""Sealed intake over HTTP: the public key to seal to, and the members that carry a secret.

A body has either ``key`` or ``sealed_key``. Nothing here opens anything: keys/intake.py does.
"""

import base64
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail, ValidationError

from tenants.api import fields
from tenants.api.endpoint import ApiView, Call, In, Out, Reply, endpoint
from tenants.common.secrets import Secret
from tenants.keys import intake
from tenants.keys.intake import Purpose
from tenants.organizations import intake_keys
from tenants.organizations.intake_keys import Envelope


@extend_schema_field({"type": "string", "format": "base64url", "writeOnly": True})
class Octets(serializers.Field[bytes, str, str, Any]):
    """Bytes as base64url without padding (RFC 4648 §5), of a length in a range."""

    default_error_messages = {
        "malformed": _("Must be base64url without padding, of the length that is documented.")
    }

    def __init__(self, lengths: range, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.lengths = lengths

    def to_internal_value(self, data: Any) -> bytes:
        """Decode."""
        try:
            return intake.read_octets(data, self.lengths)
        except ValueError:
            self.fail("malformed")


class SealedKeyIn(In):
    """A secret that was encrypted for this service; docs/intake.md says how."""

    intake_key_id = fields.Id()
    ephemeral_public_key = Octets(intake.OCTETS["ephemeral_public_key"])
    nonce = Octets(intake.OCTETS["nonce"])
    ciphertext = Octets(intake.OCTETS["ciphertext"])


class SecretIn(In):
    """A secret, plain or sealed; exactly one of the two."""

    key = fields.SecretText(required=False)
    sealed_key = SealedKeyIn(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Refuse both and neither."""
        if "key" in attrs and "sealed_key" in attrs:
            detail = _("Send key or sealed_key, not both.")
            raise ValidationError({"sealed_key": [ErrorDetail(str(detail), "ambiguous")]})
        if "key" not in attrs and "sealed_key" not in attrs:
            needed = str(self.fields["key"].error_messages["required"])
            raise ValidationError({"key": [ErrorDetail(needed, "required")]})
        return attrs


class IntakeKeyOut(Out):
    """The public key that ``sealed_key`` is sealed to now."""

    id = serializers.UUIDField()
    algorithm = serializers.CharField(help_text=f"`{intake_keys.ALGORITHM}`")
    public_key = serializers.CharField(
        help_text="P-256 point, uncompressed (65 bytes), as base64url without padding."
    )
    expires_at = serializers.DateTimeField(
        help_text="From then on what is sealed to it is refused."
    )


class IntakeKey(ApiView):
    """``/intake-key``."""

    @endpoint(
        "get_intake_key",
        summary="Read the public key that Mistral keys are sealed to",
        gives={200: IntakeKeyOut},
    )
    def get(self, call: Call) -> Reply:
        """It changes twice a day; whoever has a token may read it."""
        found = intake_keys.current()
        return Reply(
            {
                "id": found.id,
                "algorithm": intake_keys.ALGORITHM,
                "public_key": base64.urlsafe_b64encode(found.point).decode().rstrip("="),
                "expires_at": found.expires_at,
            }
        )


def secret_of(data: dict[str, Any], purpose: Purpose, *place: UUID) -> dict[str, Any]:
    """Turn the checked members of a body into a verb's facts: ``plain``, and perhaps ``envelope``.

    Raises:
        Invalid: the envelope does not open here.
    """
    facts = dict(data)
    plain: Secret[str] | None = facts.pop("key", None)
    if plain is not None:
        return {**facts, "plain": plain}
    sealed = facts.pop("sealed_key")
    opened = intake.open_envelope(
        Envelope(
            key_id=sealed["intake_key_id"],
            ephemeral=sealed["ephemeral_public_key"],
            nonce=sealed["nonce"],
            ciphertext=sealed["ciphertext"],
        ),
        purpose,
        *place,
    )
    return {**facts, "plain": opened.plain, "envelope": opened.envelope}
