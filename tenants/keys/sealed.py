"""A Mistral key as it lies in the database: plain data that custody opens without a query."""

from dataclasses import dataclass
from uuid import UUID

from tenants.organizations.data_keys import WrappedKey


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A sealed key, its place, and the wrapped data key that opens it; harmless without keyring.

    Attributes:
        secret_version: of the secret behind the key's id; with the id it names one plaintext.
        box: the sealed secret.
        data_key: None when it was destroyed: nothing opens the box any more.
    """

    organization_id: UUID
    workspace_id: UUID
    key_id: UUID
    secret_version: int
    box: bytes
    data_key: WrappedKey | None
