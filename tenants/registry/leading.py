"""Answers to which snapshot a name leads, by what a key listed last before the catalogue.

Mistral's aliases move; the catalogue that comes with the service learns of it later than a key.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from types import MappingProxyType
from uuid import UUID

from django.db.models import F, QuerySet

from tenants.common.prepared import Prepared
from tenants.keys.models import SeenModel
from tenants.registry import catalog

#: Snapshots by the names that lead elsewhere than the catalogue says; usually none.
type Moved = Mapping[str, str]
NONE: Moved = MappingProxyType({})


def _listed(*key_ids: UUID) -> QuerySet[SeenModel, tuple[UUID, str, str]]:
    rows = SeenModel.objects.filter(key_id__in=key_ids).exclude(mistral_id=F("name"))
    return rows.order_by().values_list("key_id", "mistral_id", "name")


_OF_ONE = Prepared(_listed, UUID)


def moved(key_id: UUID) -> Moved:
    """Read which names of a key's lead elsewhere, inside its tenant's scope."""
    return _by_key(_OF_ONE.ask(key_id)).get(key_id, NONE)


def moved_of(key_ids: Collection[UUID]) -> Mapping[UUID, Moved]:
    """Read the same of many keys at once; those without such names are left out."""
    return _by_key(_listed(*key_ids))


def _by_key(rows: Iterable[tuple[UUID, str, str]]) -> Mapping[UUID, Moved]:
    found: dict[UUID, dict[str, str]] = defaultdict(dict)
    for key_id, name, listed in rows:
        snapshot = catalog.canonical(listed)
        if snapshot != catalog.canonical(name):
            found[key_id][name] = snapshot
    return found


def follow(name: str, moved: Moved) -> str:
    """Follow a name to its snapshot; an unknown one leads to itself."""
    return moved.get(name) or catalog.canonical(name)
