"""Mistral's own cards of models, as the last accepted check of a key listed them.

A card is kept without its id, which is its row's, and without ``created``, which at Mistral is the
instant of the answer.
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson

from tenants.common import scope
from tenants.common.prepared import Prepared
from tenants.keys.models import SeenModel
from tenants.mistral.masking import mask_shapes

#: Bytes of a card, as JSON: Mistral's have about a thousand.
_LARGEST = 8 * 1024
_DEEPEST = 4
#: What JSON, the database and every reader take for the same number.
_LARGEST_NUMBER = 2**53
_NOT_KEPT = frozenset({"id", "created"})
#: What renaming, archiving and taking out again changes.
_CHANGED = ("name", "description", "archived")
_CARD = Prepared(
    lambda organization_id, key_id, mistral_id: SeenModel.objects.filter(
        organization_id=organization_id, key_id=key_id, mistral_id=mistral_id
    ).values_list("card"),
    *(UUID, UUID, str),
)


def read(members: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a card, for as long as there is room, the members that are plain data.

    What is shaped like a secret is none.
    """
    card: dict[str, Any] = {}
    room = _LARGEST
    for name, value in members.items():
        if name not in _NOT_KEPT and _is_plain({name: value}, _DEEPEST):
            size = len(orjson.dumps({name: value}))
            if size <= room:
                card[name] = value
                room -= size
    return card


def find(organization_id: UUID, key_id: UUID, mistral_id: str) -> dict[str, Any]:
    """Find a model's card by a key that sees it; empty while none is known."""
    with scope.tenant(organization_id):
        rows = _CARD.ask(organization_id, key_id, mistral_id)
    return (rows[0][0] if rows else None) or {}


def change(
    organization_id: UUID, workspace_id: UUID, mistral_id: str, answer: Mapping[str, Any]
) -> None:
    """Write down, for every key of a workspace, how Mistral says that it has changed a model."""
    news = read({name: answer[name] for name in _CHANGED if name in answer})
    with scope.tenant(organization_id):
        rows = SeenModel.objects.filter(
            organization_id=organization_id, key__workspace_id=workspace_id, mistral_id=mistral_id
        )
        for row in rows.order_by("pk").select_for_update(of=("self",)):
            row.card = {**(row.card or {}), **news}
            row.save(update_fields=["card"])


def _is_plain(value: object, depth: int) -> bool:
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, str):
        return "\0" not in value and mask_shapes(value) == value
    if isinstance(value, int | float):
        return abs(value) <= _LARGEST_NUMBER
    if isinstance(value, dict):
        value = [*value, *value.values()]
    return (
        isinstance(value, list) and depth > 0 and all(_is_plain(part, depth - 1) for part in value)
    )
