"""One difference between Mistral and what is here, and its stable codes."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import UUID


class DifferenceCode(StrEnum):
    """What differs."""

    WORKSPACE_ONLY_AT_MISTRAL = "workspace_only_at_mistral"
    WORKSPACE_ONLY_HERE = "workspace_only_here"
    WORKSPACE_NAME_DIFFERS = "workspace_name_differs"
    KEY_ONLY_AT_MISTRAL = "key_only_at_mistral"
    KEY_ONLY_HERE = "key_only_here"
    KEY_AMBIGUOUS = "key_ambiguous"
    KEY_WORKSPACE_DIFFERS = "key_workspace_differs"
    KEY_EXPIRY_DIFFERS = "key_expiry_differs"
    LIMIT_DIFFERS = "limit_differs"
    PAYMENT_FAILED = "payment_failed"
    MEMBER_ONLY_AT_MISTRAL = "member_only_at_mistral"
    MEMBER_ONLY_HERE = "member_only_here"
    MEMBER_ROLE_DIFFERS = "member_role_differs"


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference: which row of ours, which id at Mistral, and what each side says."""

    code: DifferenceCode
    kind: str
    name: str
    ours_id: UUID | None = None
    mistral_id: str = ""
    ours: str | None = None
    theirs: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Write it as it is kept."""
        return {
            "code": self.code.value,
            "kind": self.kind,
            "name": self.name,
            "ours_id": str(self.ours_id) if self.ours_id else None,
            "mistral_id": self.mistral_id or None,
            "ours": self.ours,
            "theirs": self.theirs,
        }
