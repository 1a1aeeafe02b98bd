"""The register of columns that hold bytes: which are sealed, with what, and which are not, and why.

Whoever adds a column of bytes enters it here, or a test fails. A sealed column must be shredded
when its organization is erased, and re-wrapped or short-lived when the keyring rotates.
"""

from collections.abc import Mapping

#: Sealed, by ``app.Model.column``: with which key.
SEALED: Mapping[str, str] = {
    "organizations.DataKey.wrapped": "a master key of the keyring; rotate_keyring re-wraps it",
    "organizations.IntakeKey.wrapped": "a master key of the keyring; re-wrapped, dies in a day",
    "keys.MistralKey.sealed": "the organization's data key",
    "keys.KeyReplacement.sealed": "the organization's data key",
    "accounting.AdminKey.sealed": "the organization's data key",
    "access.TenantRequest.body": "the organization's data key; dies in a day",
}

#: Not sealed: why that is no loss.
OPEN: Mapping[str, str] = {
    "organizations.IntakeKey.public": "a public key",
    "keys.MistralKey.fingerprint": "HMAC-SHA-256; its key is derived from SECRET_KEY",
    "keys.KeyReplacement.fingerprint": "HMAC-SHA-256; its key is derived from SECRET_KEY",
    "keys.SpentEnvelope.digest": "SHA-256 of a public point",
    "accounting.Statement.json": "sums of a month; no secret",
    "accounting.Statement.csv": "sums of a month; no secret",
    "accounting.Statement.pdf": "sums of a month; no secret",
    "access.PlatformToken.digest": "SHA-256 of 160 random bits",
    "access.OrganizationToken.digest": "SHA-256 of 160 random bits",
    "registry.ModelToken.digest": "SHA-256 of 160 random bits",
    "access.PlatformRequest.fingerprint": "keyed digest of a request",
    "access.PlatformRequest.body": "an answer without secrets: it belongs to no organization",
    "access.TenantRequest.fingerprint": "keyed digest of a request",
}
