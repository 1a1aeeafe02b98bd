"""Turns the differences of a reconciliation into correction events of the ledger, once.

A correction stands at the last instant that belongs to the month on both sides, so that comparing
again finds both sides equal. One that names no workspace is booked on the default one.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _

from tenants.accounting import books, reconciling
from tenants.accounting.books import Books
from tenants.accounting.models import Reconciliation
from tenants.organizations.audit import Actor
from tenants.organizations.models import Organization, Workspace
from tenants.spend.calls import Category
from tenants.spend.corrections import Difference, post_corrections
from tenants.spend.pricing import Meter

_MOST = 2**31 - 1
_ZERO = Decimal(0)
_COLUMNS: Mapping[str, tuple[Meter, ...]] = {
    "prompt_tokens": (Meter.INPUT, Meter.CACHED_INPUT),
    "cached_tokens": (Meter.CACHED_INPUT,),
    "completion_tokens": (Meter.OUTPUT,),
    "pages": (Meter.PAGE,),
    "annotated_pages": (Meter.ANNOTATED_PAGE,),
    "audio_seconds": (Meter.AUDIO_SECOND,),
    "characters": (Meter.CHARACTER,),
}


def post(
    actor: Actor,
    organization: Organization,
    row: Reconciliation,
    chosen: Collection[int] | None,
    ours: Books,
) -> list[UUID]:
    """Post the chosen lines (all, without a choice) inside the scope; returns the events' ids.

    Raises:
        Invalid: as ``post_corrections`` does.
    """
    at = instant(row)
    default: UUID = Workspace.objects.values_list("pk", flat=True).get(is_default=True)
    differences: dict[str, Difference] = {}
    for line in row.lines:
        if line["difference"] is None or not Decimal(line["difference"]):
            continue
        if chosen is not None and line["line"] not in chosen:
            continue
        for share, (workspace_id, amount) in enumerate(_shares(line, ours, default)):
            differences[f"reconciliation:{row.pk}:{line['line']}:{share}"] = Difference(
                workspace_id=workspace_id,
                category=Category(line["category"]),
                mistral_model=line["mistral_model"],
                amount=amount,
                quantities=_quantities(line["quantities"]) if share == 0 else {},
                at=at,
                message_id=f"reconciliation:{row.pk}",
            )
    posted = post_corrections(
        actor=actor,
        organization=organization,
        month=reconciling.month_of(row),
        differences=differences,
        reason=_("Reconciliation of the month"),
    )
    return [correction.event_id for correction in posted]


def _shares(line: Mapping[str, Any], ours: Books, default: UUID) -> list[tuple[UUID, Decimal]]:
    """Say where a difference is booked: in its workspace, else where the spend is that it takes.

    What is added without a workspace is booked on the default one. What is taken away goes where
    such spend is, the largest first: no workspace's month becomes less than nothing.
    """
    amount = Decimal(line["difference"])
    if line["workspace_id"]:
        return [(UUID(line["workspace_id"]), amount)]
    if amount > 0:
        return [(default, amount)]
    spent: dict[UUID, Decimal] = {}
    for place, one in ours.places.items():
        fits = place.category == line["category"] and line["mistral_model"] in {
            "",
            place.mistral_model,
        }
        if fits and place.workspace_id is not None and one.amount > 0:
            spent[place.workspace_id] = spent.get(place.workspace_id, _ZERO) + one.amount
    shares: list[tuple[UUID, Decimal]] = []
    for workspace_id, most in sorted(spent.items(), key=lambda one: (-one[1], str(one[0]))):
        share = max(amount, -most)
        if share:
            shares.append((workspace_id, share))
            amount -= share
    if amount:
        shares.append((default, amount))
    return shares


def instant(row: Reconciliation) -> datetime:
    """Find the last instant of the month that is within it on both sides."""
    month = reconciling.month_of(row)
    _starts_at, ends_at = books.utc_month(month)
    return min(month.ends_at, ends_at) - timedelta(seconds=1)


def _quantities(told: Mapping[str, Any]) -> dict[str, int]:
    """Say by how much their quantities differ from ours, as far as they tell any."""
    changes: dict[Meter, int] = {}
    for meter, both in told.items():
        if both["theirs"] is not None:
            changes[Meter(meter)] = int(Decimal(both["theirs"]) - Decimal(both["ours"]))
    return {
        column: max(-_MOST, min(_MOST, sum(changes.get(meter, 0) for meter in meters)))
        for column, meters in _COLUMNS.items()
    }
