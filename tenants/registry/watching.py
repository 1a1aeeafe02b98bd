"""What becomes of the Mistral models behind registered ones: aliases move, snapshots retire.

It compares what each key listed last with what the models are known to lead to. What a change costs
is asked of whoever knows prices, which this room does not. It runs inside the tenant's scope.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tenants.keys import expiry
from tenants.keys.models import Availability, SeenModel
from tenants.organizations import audit, outbox
from tenants.organizations.audit import Actor
from tenants.registry import catalog
from tenants.registry.models import RegisteredModel

WORKER = Actor(kind="worker", id="spend.watch_models", name="spend.watch_models")
#: Days before the end at which it is told again; the first time is when the date becomes known.
NOTICES = (0, 7, 30)
_FIRST = "known"

type PriceEffect = Callable[[str, str], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class _End:
    """When and why a model stops answering."""

    reason: str
    on: date | None
    replacement: str | None


def watch(now: datetime, price_effect: PriceEffect) -> int:
    """Announce every alias that moved and every model that retires; tell how many were news.

    Args:
        now: the instant.
        price_effect: from one snapshot to another, the prices before and after by meter.
    """
    models = RegisteredModel.objects.filter(retired_at=None).select_related("organization")
    seen = {
        (row.key_id, row.mistral_id): row
        for row in SeenModel.objects.filter(key__registered_models__in=models).defer("card")
    }
    told = 0
    for model in models:
        row = seen.get((model.key_id, model.mistral_model))
        if row is not None:
            told += _moved(model, row, price_effect) + _retiring(model, row, now, price_effect)
    return told


def _moved(model: RegisteredModel, row: SeenModel, price_effect: PriceEffect) -> bool:
    """Remember where the name leads now, and announce it if it led elsewhere before."""
    before, after = model.snapshot, catalog.canonical(row.name)
    if row.availability != Availability.AVAILABLE or before == after:
        return False
    # Whoever watches at the same time, or gives the model another name, wins or loses here.
    same = RegisteredModel.objects.filter(
        pk=model.pk, snapshot=before, mistral_model=model.mistral_model
    )
    if not same.update(snapshot=after) or not before:
        return False
    model.snapshot = after
    outbox.announce(
        organization_id=model.organization_id,
        workspace_id=model.workspace_id,
        kind="alias.moved",
        data=_facts(model) | {"from": before, "to": after, "prices": price_effect(before, after)},
    )
    audit.record(
        actor=WORKER,
        organization_id=model.organization_id,
        verb="model.alias_moved",
        target=model,
        changed=["snapshot"],
    )
    return True


def _retiring(
    model: RegisteredModel, row: SeenModel, now: datetime, price_effect: PriceEffect
) -> bool:
    end = _end(model, row)
    if end is None:
        return False
    days_left = None
    notice = end.reason
    if end.on is not None:
        days_left = (end.on - expiry.today(model.organization.timezone, now)).days
        notice = next((str(days) for days in NOTICES if days_left <= days), _FIRST)
    data = {
        "reason": end.reason,
        "retires_on": end.on.isoformat() if end.on else None,
        "days_left": days_left,
        "replacement": end.replacement,
        "prices": price_effect(model.snapshot, end.replacement) if end.replacement else [],
    }
    return outbox.announce(
        organization_id=model.organization_id,
        workspace_id=model.workspace_id,
        kind="model.retiring",
        data=_facts(model) | data,
        once=f"model.retiring:{model.pk}:{model.mistral_model}:{model.snapshot}:{end.on}:{notice}",
    )


def _end(model: RegisteredModel, row: SeenModel) -> _End | None:
    """Find how a model ends: gone or archived already, or on a day that Mistral has announced."""
    published = catalog.find(model.snapshot or model.mistral_model)
    replacement = row.replacement or (published.replacement if published else None)
    if row.availability != Availability.AVAILABLE:
        day = row.gone_at.date() if row.gone_at else None
        return _End(row.availability, day, replacement)
    day = published.retires_on if published else None
    if day is None and row.deprecation_at is not None:
        day = row.deprecation_at.date()
    return None if day is None else _End("retiring", day, replacement)


def _facts(model: RegisteredModel) -> dict[str, Any]:
    return {
        "model_id": str(model.pk),
        "name": model.name,
        "key_id": str(model.key_id),
        "mistral_model": model.mistral_model,
        "snapshot": model.snapshot,
    }
