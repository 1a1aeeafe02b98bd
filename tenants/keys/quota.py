"""Which keys share a quota: Mistral counts by workspace, and several keys may belong to one."""

import hashlib
from collections.abc import Mapping
from uuid import UUID

_KNOWN = "workspace:"


def is_known(code: str) -> bool:
    """Tell whether a code names a workspace, and not just a key of an unknown one."""
    return code.startswith(_KNOWN)


def quota_code(key_id: UUID, workspace_id: str, identity: Mapping[str, str | None] | None) -> str:
    """Name the workspace of Mistral's that a key belongs to; a key of no known one is its own.

    Keys of one organization with the same code draw on one quota. The code tells no name.

    Args:
        key_id: the key.
        workspace_id: Mistral's id of the workspace; empty if it was not told.
        identity: what people call it there, for keys that were checked before ids were kept.
    """
    named = workspace_id or _names(identity or {})
    if not named:
        return f"key:{key_id}"
    return f"{_KNOWN}{hashlib.sha256(named.encode()).hexdigest()[:32]}"


def _names(identity: Mapping[str, str | None]) -> str:
    names = (identity.get("organization"), identity.get("workspace"))
    return "\n".join(name for name in names if name) if all(names) else ""
