"""What a key sees at Mistral: its catalogue, as of its last accepted check.

A model that leaves the list is kept as *gone* for a while, an archived one as *archived*: who still
calls it is told why, instead of finding nothing. All of it runs inside the organization's scope.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from tenants.keys import cards
from tenants.keys.models import Availability, MistralKey, SeenModel
from tenants.mistral.wire import ModelRow, ModelType

#: How long a model that left the list is remembered.
REMEMBERED = timedelta(days=90)
_MAX_NAME = 200
_MAX_COUNT = 2**31 - 1
_YEARS = range(2000, 2200)
_FACTS = (
    "name",
    "aliases",
    "kind",
    "root",
    "context_length",
    "capabilities",
    "deprecation_at",
    "replacement",
    "availability",
    "gone_at",
    "card",
)


def read(key: MistralKey, rows: Iterable[ModelRow]) -> list[SeenModel]:
    """Turn Mistral's list into rows: each id once; what no column takes is left out."""
    listed = {row.id: row for row in rows if len(row.id) <= _MAX_NAME}
    return [_row(key, row) for row in listed.values()]


def store(key: MistralKey, seen: list[SeenModel], now: datetime) -> int:
    """Store what the key sees now, writing only what changed; tell how many models it may call."""
    before = {row.mistral_id: row for row in SeenModel.objects.filter(key=key)}
    changed = [row for row in seen if not _is_same(row, before.pop(row.mistral_id, None))]
    for old in before.values():
        if old.availability != Availability.GONE:
            old.availability, old.gone_at = Availability.GONE, now
            changed.append(old)
    if changed:
        SeenModel.objects.bulk_create(
            changed,
            update_conflicts=True,
            unique_fields=["organization", "key", "mistral_id"],
            update_fields=_FACTS,
        )
    SeenModel.objects.filter(key=key, gone_at__lt=now - REMEMBERED).delete()
    return sum(row.availability == Availability.AVAILABLE for row in seen)


def _is_same(new: SeenModel, old: SeenModel | None) -> bool:
    return old is not None and all(getattr(old, fact) == getattr(new, fact) for fact in _FACTS)


def _row(key: MistralKey, row: ModelRow) -> SeenModel:
    tuned = row.type is ModelType.FINE_TUNED
    name = row.id if tuned else row.canonical_name
    length, deprecated_at = row.max_context_length, row.deprecated_at
    return SeenModel(
        organization_id=key.organization_id,
        key_id=key.pk,
        mistral_id=row.id,
        name=_short(name) or row.id,
        aliases=[alias for alias in row.aliases if _short(alias)],
        kind=row.type.value,
        root=_short(row.root),
        context_length=length if length and length <= _MAX_COUNT else None,
        capabilities=dict.fromkeys(sorted(row.capabilities), True),
        deprecation_at=deprecated_at if deprecated_at and deprecated_at.year in _YEARS else None,
        replacement=_short(row.replacement),
        availability=Availability.ARCHIVED if row.archived else Availability.AVAILABLE,
        card=cards.read(row.members),
    )


def _short(text: str | None) -> str:
    return text if text and len(text) <= _MAX_NAME else ""
