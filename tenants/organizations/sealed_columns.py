"""The register of columns that hold bytes or secrets: which are sealed, with what, or why not.

Whoever adds a column of bytes enters it here, or a test fails. What is sealed with the data key
says how it is bound, so that data-key rotation can seal it anew and the nightly audit can open it;
it must be shredded when its organization is erased. Whoever copies a box from one row to another
locks the row it comes from: rotation might destroy the data key of a copy it cannot see.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sealed:
    """Sealed with the organization's data key, whose version the row has in ``data_key_version``.

    Attributes:
        slot: the slot of its place; several, if rows are of several kinds.
        version: which field has the version of its place.
        row: which field has the id of its place.
        workspace: which field, of the row or one it refers to, has its workspace; None: none.
    """

    slot: str | tuple[str, ...]
    version: str
    row: str = "id"
    workspace: str | None = None

    @property
    def slots(self) -> tuple[str, ...]:
        """The slots that a box may be in."""
        return (self.slot,) if isinstance(self.slot, str) else self.slot


#: Sealed with the organization's data key, by ``app.Model.column``.
BY_DATA_KEY: Mapping[str, Sealed] = {
    "keys.MistralKey.sealed": Sealed("mistral-key", "secret_version", workspace="workspace_id"),
    "keys.KeyReplacement.sealed": Sealed(
        "mistral-key", "secret_version", row="key_id", workspace="key__workspace_id"
    ),
    "accounting.AdminKey.sealed": Sealed("admin-key", "secret_version"),
    "notices.WebhookSecret.sealed": Sealed("webhook-secret", "version"),
    "registry.AisuruConnection.sealed": Sealed("aisuru-login", "secret_version"),
    # Dies in a day.
    "access.TenantRequest.body": Sealed(("idempotent-answer", "call-answer"), "data_key_version"),
}

#: Wrapped by a master key of the keyring.
BY_MASTER_KEY: Mapping[str, str] = {
    "organizations.DataKey.wrapped": "rotate_keyring re-wraps it",
    "organizations.IntakeKey.wrapped": "rotate_keyring re-wraps it; dies in a day",
    # JSON of django-allauth's: the secret of an authenticator app, the seed of recovery codes.
    "mfa.Authenticator.data": "rotate_keyring re-wraps it; people.second_factors seals it",
}

#: Not sealed: why that is no loss.
OPEN: Mapping[str, str] = {
    "organizations.IntakeKey.public": "a public key",
    "organizations.Invitation.digest": "SHA-256 of 160 bits derived with SECRET_KEY",
    "keys.MistralKey.fingerprint": "HMAC-SHA-256; its key is derived from SECRET_KEY",
    "keys.KeyReplacement.fingerprint": "HMAC-SHA-256; its key is derived from SECRET_KEY",
    "keys.SpentEnvelope.digest": "SHA-256 of a public point",
    "accounting.Statement.json": "sums of a month; no secret",
    "accounting.Statement.csv": "sums of a month; no secret",
    "accounting.Statement.pdf": "sums of a month; no secret",
    "access.PlatformToken.digest": "SHA-256 of 160 random bits",
    "access.OrganizationToken.digest": "SHA-256 of 160 random bits",
    "access.PlatformToken.former_digest": "SHA-256 of 160 random bits",
    "access.OrganizationToken.former_digest": "SHA-256 of 160 random bits",
    "registry.ModelToken.digest": "SHA-256 of 160 random bits",
    "access.PlatformRequest.fingerprint": "keyed digest of a request",
    "access.PlatformRequest.body": "an answer without secrets: it belongs to no organization",
    "access.TenantRequest.fingerprint": "keyed digest of a request",
}
