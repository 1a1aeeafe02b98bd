"""Whose a key is at Mistral, and whether that is the workspace that ours declares.

Only what somebody *declared* is held against a key. What is merely learned from a key is shown: a
second key of another Mistral workspace may be meant, and nobody said otherwise.
"""

from typing import Any

from tenants.common.secrets import Secret
from tenants.keys.models import MistralKey
from tenants.mistral.masking import mask_key_shaped
from tenants.mistral.wire import Identity, Named
from tenants.organizations.models import Workspace

#: What is known of a secret that was not checked yet.
NOBODY: dict[str, Any] = {
    "identity": None,
    "mistral_organization_id": "",
    "mistral_workspace_id": "",
}


def names(identity: Identity, plain: Secret[str] | None) -> dict[str, str | None]:
    """Keep what people call the key at Mistral, and nothing about the person.

    Names are free text: what quotes the key, or looks like one, is masked.
    """
    secrets = () if plain is None else (plain,)
    named = {
        "organization": identity.organization,
        "workspace": identity.workspace,
        "key_name": identity.api_key,
    }
    return {
        role: mask_key_shaped(found.name or found.id, secrets=secrets) if found else None
        for role, found in named.items()
    }


def ids(identity: Identity) -> dict[str, str]:
    """Keep the ids by which keys of one Mistral organization or workspace are recognised."""
    return {
        "mistral_organization_id": _id(identity.organization),
        "mistral_workspace_id": _id(identity.workspace),
    }


def is_elsewhere(declared: Workspace, found: Named | None) -> bool:
    """Tell whether a key surely belongs to another Mistral workspace than the one declared.

    Ids decide where both are known, else names, whatever their case. What Mistral does not tell is
    held against nobody.
    """
    if found is None:
        return False
    return _differs(declared, found.id, found.name or "")


def is_known_elsewhere(declared: Workspace, key: MistralKey) -> bool:
    """Tell the same of a key, by what its last accepted check learned."""
    return _differs(declared, key.mistral_workspace_id, workspace_name(key))


def workspace_name(key: MistralKey) -> str:
    """Name the Mistral workspace of a key as far as it is known; empty when it is not."""
    return (key.identity or {}).get("workspace") or ""


def _differs(declared: Workspace, found_id: str, found_name: str) -> bool:
    if declared.mistral_workspace_id and found_id:
        return declared.mistral_workspace_id.lower() != found_id.lower()
    if declared.mistral_workspace_name and found_name:
        return declared.mistral_workspace_name.casefold() != found_name.casefold()
    return False


def _id(found: Named | None) -> str:
    return found.id if found and len(found.id) <= 64 else ""  # noqa: PLR2004 - the column's length
